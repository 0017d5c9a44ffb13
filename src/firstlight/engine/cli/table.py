"""Print rows as a table."""

import shutil
import sys
import textwrap
from typing import Any

from firstlight.engine.texts import printable


def print_table(rows: list[dict[str, Any]], *, before: str = "") -> None:
    """Print rows under their keys, in columns as wide as they need to be.

    At a terminal no line is wider than it: columns that do not fit follow below, beside the first column once more, and
    a cell that does not fit either goes on in the next line. Without rows nothing is printed, not even what comes
    before them.
    """
    if not rows:
        return
    print(before, end="")
    lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    parts = [[0]]
    for column in range(1, len(widths)):
        if len(parts[-1]) > 1 and sum(widths[each] + 2 for each in parts[-1]) + widths[column] > room:
            parts.append([0])
        parts[-1].append(column)
    for number, part in enumerate(parts):
        print("\n" * (number > 0), end="")
        indent = " " * min(sum(widths[each] + 2 for each in part[:-1]), room // 2)
        for line in lines:
            text = "  ".join(f"{line[each]:{widths[each]}}" for each in part).rstrip()
            if len(text) > room:
                text = textwrap.fill(text, room, subsequent_indent=indent, break_on_hyphens=False)
            print(text)


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else printable(str(value))
