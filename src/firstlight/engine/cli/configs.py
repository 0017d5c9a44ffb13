"""``firstlight configs``: the configs and presets that ``--config`` takes by name."""

import json
import re

from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.configs import config_names, find_config

__all__ = ["configs"]


def configs(words: list[str]) -> None:
    """List the configs, with the score that each ends at, and the presets that go on top of any of them."""
    parser = command_parser("configs")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    options = parser.parse_args(words)
    rows = [_described(name) for name in config_names()]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    presets = [row for row in rows if row["config"].startswith("presets/")]
    print_table([{key: row[key] for key in ("config", "ends at", "what it is")} for row in rows if row not in presets])
    if presets:
        print()
        print_table([{"preset": row["config"], "what it changes": row["what it is"]} for row in presets])


def _described(name: str) -> dict[str, str]:
    """Return what the comment that a config opens with says of it."""
    path = find_config(name)
    text = path.read_text(encoding="utf-8", errors="replace")
    ends = re.search(r"^#.*\bEnds at ([\w/]+ [-+.\de]*\d)", text, re.MULTILINE)
    what = re.match(r"#\s*(.*)", text)
    return {
        "config": name,
        "ends at": ends[1] if ends else "",
        "what it is": what[1] if what else "",
        "file": str(path),
    }
