"""The style that all figures share.

Figures are made without pyplot, so none stays open, and matplotlib is imported when the first one is drawn. They are
small, so that their text can be read where TensorBoard shows them at half their size. The colours are safe for
colour-blind readers.

Sources: Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/ (the first six colours of lines);
Tol, "Colour Schemes", https://sronpersonalpages.nl/~pault/ (three of the others).
"""

import io
from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "BLACK",
    "BLUE",
    "COLORS",
    "LETTER",
    "VERMILION",
    "new_figure",
    "set_title",
    "shades",
    "shortened",
    "styled",
    "to_bytes",
]

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

BLACK, BLUE, VERMILION = "#000000", "#0072b2", "#d55e00"
COLORS = (BLUE, VERMILION, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#999933", "#882255", "#8c8c8c")
LETTER = 0.6
"""Width of a letter, about, in heights of the font."""
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "figure.dpi": 100,
    "figure.titlesize": 11,
    "font.size": 10,
    "grid.color": "#e3e3e3",
    "legend.borderaxespad": 0,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.linewidth": 2,
    "xtick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}
"""The settings of matplotlib that all figures share."""


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Let a function draw in the common style."""

    @wraps(draw)
    def draw_styled(*args: Arguments.args, **options: Arguments.kwargs) -> Drawn:
        from matplotlib import rc_context  # noqa: PLC0415  # slow to import, and a run without a logger never draws

        with rc_context(STYLE):
            return draw(*args, **options)

    return draw_styled


def shades(count: int) -> list[tuple[float, float, float, float]]:
    """Return colours for what follows one after another, from light to dark."""
    from matplotlib import colormaps  # noqa: PLC0415

    return [colormaps["viridis"](0.88 - 0.88 * number / max(count - 1, 1)) for number in range(count)]


def new_figure(
    *,
    size: tuple[float, float] = (5, 3.5),
    left: float = 0.75,
    right: float = 0.15,
    bottom: float = 0.5,
    top: float = 0.5,
    heights: Sequence[float] = (1,),
    columns: int = 1,
) -> tuple["Figure", list["Axes"]]:
    """Return an empty figure and its axes; sizes are in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    width, height = size
    figure = Figure(figsize=size)
    # a layout engine would find these margins too, in the time of a second drawing
    margins = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights, gridspec_kw=margins)
    return figure, list(grid.flat)


def set_title(axes: "Axes", title: str) -> None:
    """Centre a title on axes, in smaller letters if it would not fit into the figure."""
    place = axes.get_position()
    width = axes.bbox.width / place.width * 72 / STYLE["figure.dpi"]  # of the figure, in points
    middle = (place.x0 + place.x1) / 2
    room = 2 * min(middle, 1 - middle) * width
    longest = max(map(len, title.split("\n")))
    axes.set_title(title, fontsize=min(STYLE["axes.titlesize"], room / (LETTER * longest)))


def shortened(text: str, letters: int) -> str:
    """Return a text of at most that many letters."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def to_bytes(figure: "Figure", file_format: str) -> bytes:
    """Return a figure as the content of a file; the same figure always has the same."""
    from matplotlib import rc_context  # noqa: PLC0415

    content = io.BytesIO()
    with rc_context({"svg.hashsalt": "firstlight"}):
        figure.savefig(content, format=file_format, dpi=200, metadata={"Date": None} if file_format == "svg" else {})
    return content.getvalue()
