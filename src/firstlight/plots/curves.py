"""Figures of curves: fits, scores and weights over the steps of training, activation functions."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from firstlight.plots.style import BLACK, BLUE, COLORS, VERMILION, new_figure, set_title, shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["activations", "curve_fit", "learning_curves", "weight_paths"]

DASHES = 4  # length of a dash in widths of its line


@styled
def learning_curves(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]], title: str, best: tuple[str, int] | None = None
) -> "Figure":
    """Draw scores over the steps of training, those of training and of validation in two colours.

    Args:
        scores: By score (``loss``) and by stage (``train``, ``val``): values by number of steps, ascending.
        title: Title of the figure.
        best: The score that the best checkpoint is chosen by, and the step of the best.
    """
    figure, panels = new_figure(size=(5.4, 3.4), left=0.75, bottom=0.8, top=0.6, columns=len(scores))
    figure.subplots_adjust(wspace=0.45)
    figure.suptitle(title, x=0.5 * (figure.subplotpars.left + figure.subplotpars.right))
    stages = {"train": ("training", BLUE, 3.2), "val": ("validation", VERMILION, 1.6)}
    for axes, (score, curves) in zip(panels, scores.items(), strict=True):
        for stage, points in sorted(curves.items()):
            name, color, width = stages[stage]
            size = 2 + width if len(points) < 20 else 0
            axes.plot(
                [*points], [*points.values()], color=color, linewidth=width, marker="o", markersize=size, label=name
            )
            if missing := [step for step, value in points.items() if not math.isfinite(value)]:
                top: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
                axes.plot(missing, [1] * len(missing), "x", color=color, label="NaN or infinite", **top)
        if best and best[0] == score:
            point = best[1], curves["val"][best[1]]
            axes.plot(*point, "o", color=BLACK, fillstyle="none", markersize=10, label="best validation")
        values = [value for points in curves.values() for value in points.values() if math.isfinite(value)]
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))  # longer numbers would not fit
        if values and 0 < 20 * min(values) < max(values):
            axes.set_yscale("log")
        axes.set(ylabel=score, xlabel="optimizer step")
        axes.locator_params(axis="x", nbins=4 if len(scores) == 1 else 3, integer=True, min_n_ticks=1)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    handles = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend([*handles.values()], [*handles], loc="lower center", ncols=4)
    return figure


@styled
def curve_fit(x: Tensor, y: Tensor, fits: Mapping[int, Tensor], title: str) -> "Figure":
    """Draw a curve with fits after several numbers of steps, and below it the residual of the last fit.

    Args:
        x: Angles in radians, ascending, of shape ``(points,)``.
        y: The curve, of shape ``(points,)``.
        fits: Predictions by number of steps, ascending, of shape ``(points,)``; or, of many fits, the mean and the two
            ends of a band around it, of shape ``(points, 3)``; the band of the last is drawn.
        title: Title of the figure.
    """
    figure, (above, below) = new_figure(right=1.25, heights=(2.2, 1))
    above.plot(x, y, color=BLACK, linewidth=5, alpha=0.3, label="data")
    for (step, fit), color in zip(fits.items(), [*shades(len(fits) - 1), VERMILION], strict=True):
        is_last = step == [*fits][-1]  # the bands of earlier fits would cover it
        curve = fit.reshape(len(x), -1)[:, : None if is_last else 1]
        _draw_band(above, x, curve, color, f"step {step:,}" if step else "start")
    low, high = float(y.min()), float(y.max())
    above.set_ylim(low - 0.4 * (high - low), high + 0.4 * (high - low))  # a first guess may lie anywhere
    above.set(ylabel="y", xticklabels=[])
    set_title(above, title)
    above.legend(loc="upper left", bbox_to_anchor=(1.03, 1))
    below.axhline(0, color=BLACK, linewidth=0.8)
    _draw_band(below, x, fits[[*fits][-1]].reshape(len(x), -1) - y[:, None], VERMILION)
    below.set(xlabel="x in radians", ylabel="residual", xlim=above.get_xlim())
    below.margins(y=0.15)
    below.locator_params(axis="y", nbins=4)
    figure.align_ylabels()
    return figure


def _draw_band(axes: "Axes", x: Tensor, fit: Tensor, color: object, label: str = "") -> None:
    """Draw a curve, or the mean of many with a band around it."""
    if fit.shape[1] == 3:
        axes.fill_between(x, fit[:, 1], fit[:, 2], color=color, alpha=0.25, linewidth=0)
    axes.plot(x, fit[:, 0], color=color, label=label)


@styled
def weight_paths(
    steps: Sequence[int], path: Tensor, goals: Tensor, names: Sequence[str], title: str, goal: str = "planted"
) -> "Figure":
    """Draw weights over the steps of training, on their way to known values, and below them their distance from these.

    Args:
        steps: Numbers of optimizer steps, ascending.
        path: Weights after each, of shape ``(len(steps), num_weights)``.
        goals: The known values, of shape ``(num_weights,)``.
        names: A name per weight.
        title: Title of the figure.
        goal: What the known values are.
    """
    from matplotlib.ticker import LogLocator  # noqa: PLC0415  # slow to import

    figure, (above, below) = new_figure(right=1.75, heights=(2.2, 1))
    for number, (name, color) in enumerate(zip(names, cycle(COLORS), strict=False)):
        values, known = path[:, number], float(goals[number])
        dashes = (DASHES * number, (DASHES, 3 * DASHES))  # where lines coincide, their dashes lie side by side
        above.axhline(known, color=color, linestyle=dashes, linewidth=1.5)
        above.plot(steps, values, color=color, label=f"{name} {values[-1]:.3f} ({known:.3f})")
        below.plot(steps, (values - known).abs().clamp(min=1e-8), color=color, linewidth=1.5)
    for axes in (above, below):
        axes.set_xscale("symlog", linthresh=1)  # the first steps are the longest, and step 0 has no logarithm
        axes.set(xlim=(steps[0], max(steps[-1], steps[0] + 1)))
    above.set(ylabel="value", xticklabels=[])
    set_title(above, title)
    above.legend(loc="upper left", bbox_to_anchor=(1.03, 1), title=f"last ({goal},\ndashed)", title_fontsize=9)
    below.xaxis.set_major_formatter("{x:,.0f}")  # powers set as mathematics take a quarter of the time
    below.set(xlabel="optimizer step", ylabel="distance", yscale="log")
    low, high = (math.log10(end) for end in below.get_ylim())
    below.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))  # whole powers of ten: there are ticks
    below.yaxis.set_major_locator(LogLocator(numticks=4))
    below.yaxis.set_major_formatter("{x:.0e}")
    below.minorticks_off()
    figure.align_ylabels()
    return figure


@styled
def activations(functions: Mapping[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]]) -> "Figure":
    """Draw activation functions and their derivatives from -5 to 5, side by side.

    Args:
        functions: A function and its derivative, both elementwise, by name.
    """
    figure, panels = new_figure(size=(10, 3), left=0.4, top=0.4, columns=len(functions))
    x = torch.linspace(-5, 5, 501)
    for axes, (name, (function, derivative)) in zip(panels, functions.items(), strict=True):
        axes.plot(x, function(x), color=BLUE, label="function")
        axes.plot(x, derivative(x), color=VERMILION, linestyle=(0, (4, 2)), label="derivative")
        axes.set(title=name, xlabel="x", ylim=(-1.2, 2.2))
    panels[0].legend(loc="upper left")
    return figure
