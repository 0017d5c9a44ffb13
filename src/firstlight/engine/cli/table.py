"""Print rows as a table."""

import shutil
import sys
from typing import Any

from firstlight.engine.texts import printable


def print_table(rows: list[dict[str, Any]], *, before: str = "") -> None:
    """Print rows under their keys, in columns as wide as they need to be; no line is wider than the terminal.

    Without rows nothing is printed, not even what comes before them.
    """
    if not rows:
        return
    print(before, end="")
    cells = [[_text(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(list(rows[0]), *cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in [list(rows[0]), *cells]:
        text = "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        print(text if len(text) <= room else f"{text[: room - 3]}...")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else printable(str(value))
