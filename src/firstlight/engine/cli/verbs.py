"""Verbs that need no torch."""

import argparse
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from firstlight.engine.command.configs import find_config, known
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import LOGS, Run, add_root_flag, find_run, list_runs
from firstlight.errors import UsageError

__all__ = ["configs", "flat", "print_table", "runs", "tensorboard"]


class Parser(argparse.ArgumentParser):
    """A parser that raises what it has to say."""

    def __init__(self, verb: str, description: str) -> None:
        super().__init__(prog=f"{program()} {verb}", description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise the message."""
        raise UsageError(f"{self.prog}: {message}")


def configs(args: list[str]) -> None:
    """List the configs, with the score that each ends at, and the presets that go on top of any of them."""
    parser = Parser("configs", "List the configs and presets that --config takes by name.")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    rows = [_described(name) for name in known()]
    if parser.parse_args(args).json:
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


def runs(args: list[str]) -> None:
    """List runs, the newest first, or show in what two of them differ."""
    parser = Parser("runs", "List runs, the newest first; or: runs diff A B, in what two runs differ.")
    parser.add_argument("names", nargs="*", metavar="NAME | diff A B", help="only runs of this name; or two to compare")
    add_root_flag(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    options = parser.parse_args(args)
    if options.names[:1] == ["diff"]:
        if len(options.names) != 3:
            raise UsageError(f"{program()} runs diff takes two runs: NAME, NAME/version_N or a folder each")
        _print_difference(*(find_run(options.root, name) for name in options.names[1:]), as_json=options.json)
        return
    if len(options.names) > 1:
        raise UsageError(f"{program()} runs takes one name, or: diff A B")
    chosen = list_runs(options.root, *options.names)
    if options.names and not chosen:
        find_run(options.root, options.names[0])  # says which names there are
    rows = [_row(run) for run in reversed(chosen)]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table(rows)
    else:
        print(f"no runs in {options.root / LOGS}: {program()} fit --config NAME makes one")


def tensorboard(args: list[str]) -> None:
    """Open TensorBoard's server over the runs, on this machine's own address only."""
    parser = Parser(
        "tensorboard", "Open TensorBoard over the runs; what is not below goes to TensorBoard (--port 6007)."
    )
    parser.add_argument("--logdir", type=Path, default=Path(LOGS), help=f"folder that holds the runs (default: {LOGS})")
    options, others = parser.parse_known_args(args)
    if not options.logdir.is_dir():
        raise UsageError(f"no folder {options.logdir}: firstlight fit --config NAME makes {LOGS} where it is run")
    from tensorboard import main as program  # noqa: PLC0415  # slow to import

    sys.argv = ["tensorboard", "--logdir", str(options.logdir), *others]
    program.run_main()


def _row(run: Run) -> dict[str, Any]:
    receipt = receipts.read(run)
    best = receipt.get("best") or {}
    return {
        "run": run.name,
        "status": receipts.status(run),
        "epochs": receipt.get("epochs"),
        "score": best.get("name"),
        "best": best.get("score"),
        "start": receipt.get("start"),
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows under their keys, in columns as wide as they need to be; no line is wider than a terminal."""
    cells = [[_text(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(list(rows[0]), *cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for line in [list(rows[0]), *cells]:
        text = "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        print(text if len(text) <= room else f"{text[: room - 3]}...")


def _print_difference(first: Run, second: Run, *, as_json: bool) -> None:
    sides = [dict(flat(_contents(run))) for run in (first, second)]
    keys = sorted({*sides[0], *sides[1]})
    rows = [{"key": key, first.name: sides[0].get(key), second.name: sides[1].get(key)} for key in keys]
    rows = [row for row in rows if row[first.name] != row[second.name]]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table(rows)
    else:
        print("the same settings and the same scores")


def _contents(run: Run) -> dict[str, Any]:
    """Return a run's settings and scores."""
    receipt = receipts.read(run)
    return {
        **run.read_config(),
        "scores": receipt.get("scores"),
        "best": receipt.get("best"),
        "steps": receipt.get("step"),
    }


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested settings, without ``init_args``."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from flat(item, key if name == "init_args" else f"{key}.{name}".strip("."))
    else:
        yield key, value


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
