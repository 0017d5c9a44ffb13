"""``firstlight configs``: the configs and presets that ``--config`` takes by name."""

import re
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.configs import config_names, find_config


def configs(words: list[str]) -> dict[str, Any]:
    """List the configs, with the score that each ends at, and the presets that go on top of any of them."""
    command_parser("configs").parse_args(words)
    rows = [_described(name) for name in config_names()]
    presets = [row for row in rows if row["config"].startswith("presets/")]
    print_table([{key: row[key] for key in ("config", "ends at", "what it is")} for row in rows if row not in presets])
    print_table([{"preset": row["config"], "what it changes": row["what it is"]} for row in presets], before="\n")
    return {"configs": [{key.replace(" ", "_"): value for key, value in row.items()} for row in rows]}


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
