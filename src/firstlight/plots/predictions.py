"""Figures of predictions, and of how far the probabilities of a classifier can be believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from firstlight.plots.style import BLACK, BLUE, COLORS, new_figure, set_title, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["confusion_matrix", "decision_boundary", "predictions_over_truth", "reliability"]

MAX_CLASSES = 20
"""With more classes the cells of a confusion matrix are too small for names and numbers."""


@styled
def confusion_matrix(counts: Tensor, names: Sequence[str], title: str) -> "Figure":
    """Draw a confusion matrix: correct guesses in blue, mistakes in red, darker for a larger share of their row.

    Each colour has a scale of its own, so that few mistakes are seen too. Beside each row is the share that is correct.

    Args:
        counts: Numbers of examples by truth and guess, of shape ``(num_classes, num_classes)``.
        names: Names of the classes.
        title: Title of the figure.
    """
    names = [shortened(name, 20) for name in names]
    longest = max(map(len, names)) * 0.08  # inches, about
    left, right, bottom, top = 0.45 + longest, 0.65, 0.45 + 0.75 * longest, 0.65
    side = min(3.4, max(2.2, 0.5 * len(counts)))
    size = side + left + right, side + bottom + top
    figure, (axes,) = new_figure(size=size, left=left, right=right, bottom=bottom, top=top)
    share = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    diagonal = torch.eye(len(counts), dtype=torch.bool)
    wrong = share.masked_fill(diagonal | (counts == 0), torch.nan)
    worst = max(0.1, float(wrong.nan_to_num().max()))  # a few mistakes need not alarm
    axes.imshow(share.masked_fill(~diagonal, torch.nan).numpy(), cmap="Blues", vmin=0, vmax=1.2)
    axes.imshow(wrong.numpy(), cmap="Reds", vmin=0, vmax=1.2 * worst)
    if len(counts) <= MAX_CLASSES:
        font = min(9, 90 / len(counts))
        for row, column in counts.nonzero().tolist():
            is_dark = share[row, column] > 0.6 * (1 if row == column else worst)
            color = "white" if is_dark else BLACK
            axes.text(column, row, f"{counts[row, column]:d}", ha="center", va="center", color=color, fontsize=font)
        for row, value in enumerate(share.diagonal().tolist()):
            axes.annotate(f"{value:.1%}", (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9)
        axes.annotate("recall", (1.02, -0.02), xycoords="axes fraction", va="top", fontsize=9)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="guess", ylabel="truth")
    set_title(axes, title)
    return figure


@styled
def decision_boundary(
    ranges: tuple[Tensor, Tensor],
    probabilities: Tensor,
    x: Tensor,
    y: Tensor,
    names: Sequence[str],
    features: Sequence[str],
    title: str,
) -> "Figure":
    """Draw which class is guessed where, and the examples by their classes.

    Args:
        ranges: The two coordinates of a grid, of shapes ``(columns,)`` and ``(rows,)``.
        probabilities: Of each class at each point of the grid, of shape ``(rows, columns, num_classes)``.
        x: Examples, of shape ``(examples, 2)``.
        y: Their classes, of shape ``(examples,)``.
        names: Names of the classes.
        features: Names of the two features.
        title: Title of the figure.
    """
    from matplotlib.colors import to_rgb  # noqa: PLC0415  # slow to import

    names = [shortened(name, 14) for name in names]
    beside = 0.5 + 0.09 * max(map(len, names))  # inches, about
    figure, (axes,) = new_figure(size=(3.8 + beside, 3.7), left=0.65, right=beside)
    colors = [COLORS[number % len(COLORS)] for number in range(len(names))]
    white = 0.55  # how much lighter areas are than examples
    shade = white + (1 - white) * probabilities @ torch.tensor([to_rgb(color) for color in colors])
    left, right, bottom, top = (float(end) for coordinate in ranges for end in coordinate[[0, -1]])
    axes.imshow(
        shade.numpy(), origin="lower", extent=(left, right, bottom, top), aspect="auto", interpolation="bilinear"
    )
    for number, (name, color) in enumerate(zip(names, colors, strict=True)):
        others = probabilities.index_fill(2, torch.tensor([number]), -1).amax(dim=2)
        margin = probabilities[:, :, number] - others
        if margin.min() < 0 < margin.max():
            axes.contour(*ranges, margin, levels=[0], colors=BLACK, linewidths=1)
        points = x[y == number]
        axes.scatter(points[:, 0], points[:, 1], s=9, color=color, edgecolors="white", linewidths=0.4, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1), markerscale=2)
    axes.grid(visible=False)
    axes.set(xlabel=features[0], ylabel=features[1])
    set_title(axes, title)
    return figure


@styled
def predictions_over_truth(truth: Tensor, predictions: Tensor, title: str) -> "Figure":
    """Draw predicted numbers over the true ones, and the diagonal where those of a perfect model are.

    Args:
        truth: Targets, of shape ``(examples,)``.
        predictions: What the model says of the same examples.
        title: Title of the figure.
    """
    figure, (axes,) = new_figure(size=(4.2, 4), top=0.6)
    ends = [float(end) for end in torch.cat([truth, predictions]).aminmax()]
    axes.plot(ends, ends, color=BLACK, linewidth=1, linestyle="--")
    axes.plot(truth, predictions, "o", color=BLUE, markersize=4, markeredgewidth=0, alpha=0.6)
    axes.ticklabel_format(scilimits=(-3, 4))  # longer numbers would not fit
    axes.set(xlabel="truth", ylabel="prediction")
    set_title(axes, title)
    return figure


@styled
def reliability(
    confidences: Sequence[float], accuracies: Sequence[float], counts: Sequence[int], title: str
) -> "Figure":
    """Draw accuracy over confidence, which a calibrated model has on the diagonal, and how many examples there are.

    Args:
        confidences: Mean probability of the guesses, by intervals of confidence.
        accuracies: Share of the guesses that are correct, in the same intervals.
        counts: Numbers of examples in these intervals.
        title: Title of the figure.
    """
    figure, (axes, below) = new_figure(size=(5, 4), heights=(3, 1))
    axes.plot([0, 1], [0, 1], color=BLACK, linewidth=1, linestyle="--", label="calibrated")
    axes.plot(confidences, accuracies, color=BLUE, marker="o", markersize=4, label="the model")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    axes.tick_params(labelbottom=False)
    axes.legend(loc="best", borderaxespad=0.5)  # where there is no curve
    below.bar(confidences, counts, width=0.03, color=BLUE)
    below.set(xlim=(0, 1), xlabel="confidence: probability of the guess", ylabel="examples")
    set_title(axes, title)
    return figure
