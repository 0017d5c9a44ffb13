"""Figures of many trials: which settings led to which score, and which settings matter."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firstlight.plots.style import BLACK, BLUE, VERMILION, new_figure, shades, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["importances", "parallel_coordinates"]

MOST_NAMED = 8
"""With more choices than this, an axis names only some of them."""


@styled
def parallel_coordinates(
    trials: Sequence[Mapping[str, Any]], axes: Mapping[str, Mapping[str, Any]], score: str, title: str
) -> "Figure":
    """Draw each trial as a line through its values to its score; the best one is thick.

    Args:
        trials: Values and score by name, the best trial first.
        axes: What each name was searched over: ``low``, ``high`` and ``log``, or ``values``.
        score: Name of the score.
        title: Title of the figure.
    """
    from matplotlib.lines import Line2D  # noqa: PLC0415  # slow to import
    from matplotlib.patches import PathPatch  # noqa: PLC0415
    from matplotlib.path import Path  # noqa: PLC0415

    scores = [trial[score] for trial in trials]
    scales = {**axes, score: {"low": min(scores), "high": max(scores), "log": 0 < 20 * min(scores) < max(scores)}}
    width = 2.4 + 1.7 * (len(scales) - 1)
    figure, (panel,) = new_figure(size=(width, 4.4), left=1.1, right=1.1, bottom=0.7, top=0.95)
    panel.set_axis_off()
    others = shades(max(len(trials), 2))[::-1]
    for rank, trial in reversed([*enumerate(trials)]):
        points: list[tuple[float, float]] = []
        for column, (name, scale) in enumerate(scales.items()):
            height = _position(scale, trial[name])
            curve = [(column - 0.5, points[-1][1]), (column - 0.5, height)] if points else []
            points += [*curve, (column, height)]
        codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
        style = {"edgecolor": others[rank], "linewidth": 1.3} if rank else {"edgecolor": VERMILION, "linewidth": 3.5}
        panel.add_patch(PathPatch(Path(points, codes), facecolor="none", **style))
    for column, (name, scale) in enumerate(scales.items()):
        _draw_axis(panel, column, name, scale)
    panel.set(xlim=(-0.02, len(scales) - 0.98), ylim=(-0.03, 1.03))
    panel.set_title(title, pad=34)
    lines = [Line2D([], [], color=VERMILION, linewidth=3.5, label="the best trial")]
    for rank, name in {1: "the second best", len(others) - 1: "the worst"}.items():
        lines.append(Line2D([], [], color=others[rank], linewidth=1.3, label=name))
    panel.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, -0.05), ncols=3)
    return figure


@styled
def importances(shares: Mapping[str, Sequence[float]], title: str) -> "Figure":
    """Draw how important each searched setting is for the score, the most important on top.

    Args:
        shares: By name: the importance, and the two ends of an interval around it. Importances add up to one.
        title: Title of the figure.
    """
    ascending = sorted(shares.items(), key=lambda item: item[1][0])
    names, values = [name for name, _ in ascending], [share for _, (share, *_) in ascending]
    around = [[share - low for _, (share, low, _) in ascending], [high - share for _, (share, _, high) in ascending]]
    size, left = (5.4, 1.4 + 0.45 * len(names)), 0.4 + 0.085 * max(map(len, names))
    figure, (panel,) = new_figure(size=size, left=left, right=0.3, bottom=0.75, top=0.4)
    panel.barh(names, values, color=BLUE, height=0.6)
    panel.errorbar(values, names, xerr=around, fmt="none", color=BLACK, capsize=3, linewidth=1.2)
    panel.set(title=title, xlim=(0, None))
    panel.set_xlabel("importance for the best tenth (PED-ANOVA);\nblack: 80 % of resampled sets of trials")
    panel.xaxis.set_major_formatter("{x:.0%}")
    panel.grid(visible=False, axis="y")
    return figure


def _position(scale: Mapping[str, Any], value: Any) -> float:
    """Return the position of a value on its axis, from 0 to 1."""
    if "values" in scale:
        return scale["values"].index(value) / (len(scale["values"]) - 1) if len(scale["values"]) > 1 else 0.5
    low, high = scale["low"], scale["high"]
    if low == high:
        return 0.5
    if scale["log"]:
        return math.log(value / low) / math.log(high / low)
    return float((value - low) / (high - low))


def _draw_axis(panel: "Axes", column: int, name: str, scale: Mapping[str, Any]) -> None:
    """Draw a vertical axis with a few values beside it and its name on top."""
    panel.plot([column, column], [0, 1], color=BLACK, linewidth=1, zorder=3)
    panel.text(column, 1.07, name, ha="center", va="bottom", fontweight="bold", fontsize=10)
    for value in _tick_values(scale):
        height, text = _position(scale, value), value if isinstance(value, str) else f"{value:.4g}"
        panel.plot([column - 0.015, column + 0.015], [height] * 2, color=BLACK, linewidth=1, zorder=3)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        panel.text(column + 0.03, height, text, va="center", fontsize=9, bbox=box, zorder=4)


def _tick_values(scale: Mapping[str, Any]) -> list[Any]:
    """Return the values to name on an axis: both ends, and a few between."""
    if "values" in scale:
        stride = math.ceil(len(scale["values"]) / MOST_NAMED)
        return list(scale["values"][::stride])
    low, high = scale["low"], scale["high"]
    if low == high:
        return [low]
    if scale["log"]:
        between = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    else:
        step = 10 ** math.floor(math.log10((high - low) / 2))
        step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
        between = [step * number for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
    inner = [value for value in between if 0.08 < _position(scale, value) < 0.92 and low < value < high]
    return [low, *inner, high]
