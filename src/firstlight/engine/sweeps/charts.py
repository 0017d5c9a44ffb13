"""Charts of a sweep, as matplotlib figures."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from firstlight.plots import BLACK, BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["importances", "parallel_coordinates"]

MOST_NAMED = 8
"""With more choices than this, an axis names only some of them."""


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
    from matplotlib import colormaps  # noqa: PLC0415  # slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.patches import PathPatch  # noqa: PLC0415
    from matplotlib.path import Path  # noqa: PLC0415

    scores = [trial[score] for trial in trials]
    scales = {**axes, score: {"low": min(scores), "high": max(scores), "log": False}}
    width = 2.4 + 1.9 * (len(scales) - 1)
    figure = Figure(figsize=(width, 4.8), dpi=100)
    figure.suptitle(title)
    panel = figure.add_axes((1.1 / width, 0.14, 1 - 2.2 / width, 0.7))
    panel.set_axis_off()
    for rank, trial in reversed([*enumerate(trials)]):
        points: list[tuple[float, float]] = []
        for column, (name, scale) in enumerate(scales.items()):
            height = _position(scale, trial[name])
            curve = [(column - 0.5, points[-1][1]), (column - 0.5, height)] if points else []
            points += [*curve, (column, height)]
        codes = [Path.MOVETO, *[Path.CURVE4] * (len(points) - 1)]
        color = colormaps["viridis"](0.9 * rank / max(len(trials) - 1, 1))
        style = {"edgecolor": "#d55e00", "linewidth": 3.5} if rank == 0 else {"edgecolor": color, "linewidth": 1.3}
        panel.add_patch(PathPatch(Path(points, codes), facecolor="none", alpha=1 if rank == 0 else 0.75, **style))
    for column, (name, scale) in enumerate(scales.items()):
        _draw_axis(panel, column, name, scale)
    panel.set(xlim=(-0.02, len(scales) - 0.98), ylim=(-0.03, 1.03))
    caption = "thick: the best trial; the darker the others, the better their score"
    figure.text(0.5, 0.03, caption, ha="center", fontsize=9)
    return figure


def importances(shares: Mapping[str, float], title: str) -> "Figure":
    """Draw how important each searched setting is for the score, the most important on top.

    Args:
        shares: Importance by name; they add up to one.
        title: Title of the figure.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415  # slow to import

    ascending = sorted(shares.items(), key=lambda item: item[1])
    names, values = [name for name, _ in ascending], [share for _, share in ascending]
    height, left = 1.4 + 0.45 * len(names), 0.4 + 0.085 * max(map(len, names))
    figure = Figure(figsize=(6.6, height), dpi=100)
    figure.suptitle(title)
    panel = figure.add_axes((left / 6.6, 0.55 / height, 1 - (left + 0.6) / 6.6, 1 - 1.1 / height))
    bars = panel.barh(names, values, color=BLUE, height=0.6)
    panel.bar_label(bars, [f"{value:.0%}" for value in values], padding=4)
    panel.set(xlabel="importance for the best 10 % of the trials (PED-ANOVA)", xlim=(0, max([*values, 0.1]) * 1.15))
    panel.xaxis.set_major_formatter("{x:.0%}")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(axis="x", color="#dddddd", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0)
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
    panel.text(column, 1.07, name, ha="center", va="bottom", fontweight="bold", fontsize=9)
    for value in _tick_values(scale):
        height, text = _position(scale, value), value if isinstance(value, str) else f"{value:.4g}"
        panel.plot([column - 0.015, column + 0.015], [height] * 2, color=BLACK, linewidth=1, zorder=3)
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
        panel.text(column + 0.03, height, text, va="center", fontsize=8.5, bbox=box, zorder=4)


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
