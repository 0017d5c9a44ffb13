"""A figure of how far a classifier's probabilities can be believed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from firstlight.plots.style import BLACK, BLUE, new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["reliability"]


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
    axes.legend(loc="upper left", bbox_to_anchor=(0.02, 0.98))
    below.bar(confidences, counts, width=0.03, color=BLUE)
    below.set(xlim=(0, 1), xlabel="confidence: probability of the guess", ylabel="examples")
    set_title(axes, title)
    return figure
