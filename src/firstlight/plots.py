"""Functions that turn tensors into matplotlib figures; they know nothing of models, runs or loggers.

Figures are made without pyplot, so none stays open, and matplotlib is imported when the first one is drawn. The colours
are safe for colour-blind readers.

Source: Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/ (the colours of lines).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = [
    "activations",
    "coefficient_paths",
    "confusion_matrix",
    "curve_fit",
    "mistakes",
    "planted_weights",
    "weight_images",
]

BLACK, BLUE, VERMILION = "#000000", "#0072b2", "#d55e00"
COLORS = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00")
MAX_CLASSES = 20
"""With more classes the cells of a confusion matrix are too small for names and numbers."""


def curve_fit(x: Tensor, y: Tensor, fits: Mapping[int, Tensor], title: str) -> "Figure":
    """Draw a curve with fits after several numbers of steps, and below it the residual of the last fit.

    Args:
        x: Angles in radians, ascending, of shape ``(points,)``.
        y: The curve, of shape ``(points,)``.
        fits: Predictions of shape ``(points,)`` by number of steps, ascending.
        title: Title of the figure.
    """
    figure, (above, below) = _figure(title, heights=(3, 1))
    *earlier, latest = fits
    above.plot(x, y, color=BLACK, linewidth=5, alpha=0.3, label="data")
    for number, step in enumerate(earlier, start=1):
        shade, label = 0.15 + 0.6 * number / len(fits), f"step {step:,}" if step else "start"
        above.plot(x, fits[step], color=BLUE, linewidth=1.3, alpha=shade, label=label)
    above.plot(x, fits[latest], color=VERMILION, linewidth=2, label=f"step {latest:,}")
    low, high = float(y.min()), float(y.max())
    above.set_ylim(low - 0.4 * (high - low), high + 0.7 * (high - low))  # a first guess may lie anywhere
    above.set(ylabel="y", xticklabels=[])
    above.legend(loc="upper left", ncols=3)
    residual = fits[latest] - y
    below.axhline(0, color=BLACK, linewidth=0.8)
    below.fill_between(x, residual, color=VERMILION, alpha=0.3, linewidth=0)
    below.plot(x, residual, color=VERMILION, linewidth=1.3)
    below.set(xlabel="x in radians", ylabel="fit - data", xlim=above.get_xlim())
    return figure


def coefficient_paths(steps: Sequence[int], path: Tensor, limit: Tensor, title: str) -> "Figure":
    """Draw the coefficients of a polynomial over the steps of training, with those of least squares.

    Args:
        steps: Numbers of optimizer steps, ascending.
        path: Coefficients after each, the constant first, of shape ``(len(steps), num_coefficients)``.
        limit: The coefficients of least squares, of shape ``(num_coefficients,)``.
        title: Title of the figure.
    """
    figure, (axes,) = _figure(title)
    for name, color, values, best in zip("abcde", COLORS, path.T, limit.tolist(), strict=False):
        axes.axhline(best, color=color, linestyle=(0, (4, 3)), linewidth=1.2)
        axes.plot(steps, values, color=color, linewidth=2, label=f"{name} = {values[-1]:.4f}, limit {best:.4f}")
    axes.set_xscale("symlog", linthresh=1)  # the first steps are the longest, and step 0 has no logarithm
    axes.xaxis.set_major_formatter("{x:,.0f}")  # powers set as mathematics take a quarter of the time
    axes.set(xlim=(steps[0], max(steps[-1], steps[0] + 1)))
    axes.set(xlabel="optimizer step", ylabel="coefficient (dashed: least squares)")
    axes.legend()
    return figure


def weight_images(weights: Tensor, names: Sequence[str], title: str) -> "Figure":
    """Draw the weights of each unit as an image: positive weights are red, negative ones blue.

    Args:
        weights: An image per unit, of shape ``(units, height, width)``.
        names: A caption per unit, or nothing.
        title: Title of the figure.
    """
    figure, (axes,) = _figure(title, size=(7, 3.4) if names else (7, 6.4), left=0.1, right=0.6, bottom=0.2)
    columns = min(5 if names else 8, len(weights))
    image = _tiles(axes, weights, [[name] for name in names], columns=columns)
    limit = float(weights.abs().quantile(0.99)) or 1.0  # a few large ones would leave all others pale
    image.set(cmap="RdBu_r", clim=(-limit, limit))
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, extend="both").ax.set_title("weight", fontsize=9)
    return figure


def confusion_matrix(counts: Tensor, names: Sequence[str], title: str) -> "Figure":
    """Draw a confusion matrix; cells are darker for a larger share of their row.

    Args:
        counts: Numbers of examples by truth and guess, of shape ``(num_classes, num_classes)``.
        names: Names of the classes.
        title: Title of the figure.
    """
    longest = max(map(len, names)) * 0.085  # inches, about
    figure, (axes,) = _figure(title, size=(6.6, 5.8), left=0.5 + longest, right=0.7, bottom=0.5 + 0.75 * longest)
    share = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    image = axes.imshow(share.numpy(), cmap="Blues", vmin=0, vmax=1)
    if len(counts) <= MAX_CLASSES:
        for row, column in counts.nonzero().tolist():
            color = "white" if share[row, column] > 0.5 else BLACK
            axes.text(column, row, str(int(counts[row, column])), ha="center", va="center", color=color)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.set(xlabel="guess", ylabel="truth")
    figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, label="share of the row")
    return figure


def mistakes(images: Tensor, captions: Sequence[tuple[str, str]], title: str) -> "Figure":
    """Draw misclassified images with captions, such as the truth and the guess.

    Args:
        images: Of shape ``(num_images, height, width)``, or ``(num_images, height, width, 3)``, from 0 to 1.
        captions: Two lines above each image.
        title: Title of the figure.
    """
    figure, (axes,) = _figure(title, size=(7.4, 8.8), left=0.2, bottom=0.2)
    image = _tiles(axes, images, captions, columns=6)
    image.set(cmap="gray", clim=(0, 1))
    return figure


def planted_weights(learned: Tensor, planted: Tensor, names: Sequence[str], title: str) -> "Figure":
    """Draw learned weights over planted ones, and below them their absolute differences.

    Args:
        learned: Learned weights, of shape ``(num_weights,)``.
        planted: Planted weights, of the same shape.
        names: A name per weight.
        title: Title of the figure.
    """
    figure, (above, below) = _figure(title, heights=(2, 1))
    places = range(len(names))
    above.axhline(0, color=BLACK, linewidth=0.8)
    above.scatter(places, planted, s=200, facecolors="none", edgecolors=BLACK, linewidths=2, label="planted")
    above.scatter(places, learned, s=50, color=VERMILION, label="learned")
    above.margins(x=0.15, y=0.2)
    above.set(ylabel="weight", xticks=places, xticklabels=[])
    above.legend()
    difference = (learned - planted).abs().tolist()
    below.scatter(places, difference, s=50, color=VERMILION)
    for place, value in zip(places, difference, strict=True):
        below.annotate(f"{value:.1e}", (place, value), (8, 0), textcoords="offset points", va="center")
    below.margins(x=0.15, y=0.2)
    below.set(ylabel="difference", yscale="log", xticks=places, xticklabels=names)
    below.minorticks_off()
    below.yaxis.set_major_formatter("{x:.0e}")
    return figure


def activations(functions: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]) -> "Figure":
    """Draw activation functions and their derivatives from -5 to 5, side by side.

    Args:
        functions: A function and its derivative, both elementwise, by name.
    """
    figure, panels = _figure("Activation functions and their derivatives", size=(11, 3.4), columns=len(functions))
    x = torch.linspace(-5, 5, 501)
    for axes, (name, (function, derivative)) in zip(panels, functions.items(), strict=True):
        axes.plot(x, function(x), color=BLUE, linewidth=2, label="function")
        axes.plot(x, derivative(x), color=VERMILION, linewidth=2, linestyle=(0, (4, 2)), label="derivative")
        axes.set(title=name, xlabel="x", ylim=(-1.2, 2.2))
    panels[0].legend(loc="upper left")
    return figure


def _figure(
    title: str,
    *,
    size: tuple[float, float] = (6.6, 4.6),
    left: float = 0.8,
    right: float = 0.2,
    bottom: float = 0.6,
    heights: Sequence[float] = (1,),
    columns: int = 1,
) -> tuple["Figure", list["Axes"]]:
    """Return an empty figure in the common style, and its axes; sizes are in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow to import, and a run without a logger never draws

    width, height = size
    figure = Figure(figsize=size, dpi=100)
    figure.suptitle(title)
    # a layout engine would find these margins too, in the time of a second drawing
    margins = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - 0.65 / height}
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights, gridspec_kw=margins)
    for axes in grid.flat:
        axes.grid(color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
    return figure, list(grid.flat)


def _tiles(axes: "Axes", images: Tensor, captions: Sequence[Sequence[str]], *, columns: int) -> "AxesImage":
    """Draw images in rows with captions above each, as one large image, which is faster than many."""
    count, height, width = images.shape[:3]
    lines = len(captions[0]) if captions else 0
    above, beside = round(height * (0.08 + 0.16 * lines)), max(1, round(width * (0.2 if lines else 0.08)))
    rows, blank = -(-count // columns), torch.nan if images.ndim == 3 else 1.0
    canvas = images.new_full(
        (rows * (height + above), columns * (width + beside) - beside, *images.shape[3:]), blank, dtype=torch.float
    )
    for number, image in enumerate(images):
        top, left = number // columns * (height + above) + above, number % columns * (width + beside)
        canvas[top : top + height, left : left + width] = image
        if captions:
            text = "\n".join(captions[number])
            axes.text(
                left + width / 2, top - 0.07 * height, text, ha="center", va="baseline", fontsize=9, linespacing=1
            )
    axes.set_axis_off()
    return axes.imshow(canvas.numpy(), interpolation="nearest")
