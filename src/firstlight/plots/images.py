"""Figures of images: weights as images, and examples with captions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from firstlight.plots.style import BLACK, LETTER, VERMILION, new_figure, set_title, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = ["mistakes", "weight_images"]

CAPTION = 9.5
"""Height of the captions' font: they can be read at two thirds of a picture's size."""


@styled
def weight_images(weights: Tensor, names: Sequence[str], title: str) -> "Figure":
    """Draw the weights of each unit as an image: positive weights are red, negative ones blue.

    Args:
        weights: An image per unit, of shape ``(units, height, width)``.
        names: A caption per unit, or nothing.
        title: Title of the figure.
    """
    columns = min(5 if names else 8, len(weights))
    figure, image = _tiles(weights, [[name] for name in names], title, columns=columns, right=0.85)
    limit = float(weights.abs().quantile(0.99)) or 1.0  # a few large ones would leave all others pale
    image.set(cmap="RdBu_r", clim=(-limit, limit))
    beside = image.axes.inset_axes((1.03, 0, 0.035, 1))
    figure.colorbar(image, cax=beside, extend="both").outline.set_visible(False)
    beside.ticklabel_format(axis="y", scilimits=(-2, 2))  # longer numbers would not fit
    return figure


@styled
def mistakes(images: Tensor, captions: Sequence[tuple[str, str]], title: str) -> "Figure":
    """Draw misclassified images with captions.

    Args:
        images: Of shape ``(num_images, height, width)``, or ``(num_images, height, width, 3)``, from 0 to 1.
        captions: Two lines above each image: the truth in black, and the guess in orange.
        title: Title of the figure.
    """
    figure, image = _tiles(images, captions, title, columns=4)
    image.set(cmap="gray", clim=(0, 1))
    return figure


def _tiles(
    images: Tensor, captions: Sequence[Sequence[str]], title: str, *, columns: int, right: float = 0.1
) -> tuple["Figure", "AxesImage"]:
    """Draw images in rows with captions above each, as one large image, which is faster than many."""
    count, height, width = images.shape[:3]
    lines = len(captions[0]) if captions else 0
    above, beside = round(height * (0.08 + 0.2 * lines)), max(1, round(width * (0.25 if lines else 0.08)))
    rows, blank = -(-count // columns), torch.nan if images.ndim == 3 else 1.0
    shape = rows * (height + above), columns * (width + beside) - beside, *images.shape[3:]
    canvas = images.new_full(shape, blank, dtype=torch.float)
    room = 5.2 - right  # inches across
    letters = int(72 * room * (width + beside) / shape[1] / (LETTER * CAPTION))
    figure, (axes,) = new_figure(
        size=(5.3, 0.7 + room * shape[0] / shape[1]), left=0.1, right=right, bottom=0.1, top=0.6
    )
    for number, image in enumerate(images):
        top, left = number // columns * (height + above) + above, number % columns * (width + beside)
        canvas[top : top + height, left : left + width] = image
        for line, text in enumerate(captions[number] if captions else ()):
            base = top - (0.07 + 0.19 * (lines - 1 - line)) * height
            color = (BLACK, VERMILION)[line]
            shown = shortened(text, letters)
            axes.text(left + width / 2, base, shown, ha="center", va="baseline", fontsize=CAPTION, color=color)
    axes.set_axis_off()
    set_title(axes, title)
    return figure, axes.imshow(canvas.numpy(), interpolation="nearest")
