"""``firstlight runs``: list the runs, alone or in groups; compare two, remove or archive some."""

import json
from typing import Any

from firstlight.engine.cli.groups import group_rows
from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.settings import flatten
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.conditions import named_conditions
from firstlight.engine.runs.folders import LOGS, Run, add_root_flag, find_run, list_runs
from firstlight.errors import UsageError

__all__ = ["runs"]


def runs(words: list[str]) -> None:
    """List runs, the newest first, or print the settings and scores in which two of them differ.

    Raises:
        UsageError: If there is no run of a name.
    """
    parser = command_parser("runs")
    about = "only runs of this name, or with this text in name or note; or two to compare"
    parser.add_argument("names", nargs="*", metavar="TEXT | diff A B", help=about)
    add_root_flag(parser)
    parser.add_argument("--group", action="store_true", help="group finished runs that differ only in seed or fold")
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    options = parser.parse_intermixed_args(words)
    if options.names[:1] == ["diff"] and not (len(options.names) == 1 and list_runs(options.root, "diff")):
        if len(options.names) != 3:
            raise UsageError(f"{program()} runs diff takes two runs: NAME, NAME/version_N or a folder each")
        _print_difference(*(find_run(options.root, name) for name in options.names[1:]), as_json=options.json)
        return
    if len(options.names) > 1:
        raise UsageError(f"{program()} runs takes one name, or: diff A B")
    chosen = list_runs(options.root, *options.names)
    found = [(run, _row(run)) for run in reversed(chosen or list_runs(options.root))]
    if options.names and not chosen:
        text = options.names[0].casefold()
        found = [(run, row) for run, row in found if text in f"{run.name} {row['note'] or ''}".casefold()]
        if not found:
            find_run(options.root, options.names[0])  # says which names there are
    rows = group_rows(found) if options.group else [row for _, row in found]
    if options.json:
        print(json.dumps(rows, indent=2))
    elif rows:
        shown = [key for key in rows[0] if key != "mode" and not (key == "note" and all(not row[key] for row in rows))]
        print_table([{key: row[key] for key in shown} for row in rows])
    elif found:
        print("no run has finished: there is nothing to group")
    else:
        print(f"no runs in {options.root / LOGS}: {program()} fit --config NAME makes one")


def _row(run: Run) -> dict[str, Any]:
    receipt = run.read_receipt()
    best = receipt.get("best", {})
    status, name = receipts.status(run, receipt), str(best.get("name"))
    scores = best.get("score"), run.read_scores("test").get(name.replace("val", "test", 1))
    best_score, test_score = (score if isinstance(score, int | float) else None for score in scores)
    return {
        "run": run.name,
        "status": f"{status} early" if status == "finished" and receipt.get("stopped_by") else status,
        "epochs": receipt.get("epochs"),
        "score": best.get("name"),
        "mode": best.get("mode") or ("max" if "acc" in name else "min"),  # old receipts do not say
        "best": best_score,
        "test": test_score,
        "start": receipt.get("start"),
        "note": receipt.get("note"),
    }


def _print_difference(first: Run, second: Run, *, as_json: bool) -> None:
    sides = [dict(flatten(_contents(run))) for run in (first, second)]
    keys = sorted({*sides[0], *sides[1]})
    rows = [{"key": key, first.name: sides[0].get(key), second.name: sides[1].get(key)} for key in keys]
    rows = [row for row in rows if row[first.name] != row[second.name]]
    conditions = [named_conditions(run.read_receipt()) for run in (first, second)]
    rows += [
        {"key": key, first.name: was, second.name: conditions[1][key]}
        for key, was in conditions[0].items()
        if conditions[1].get(key, was) != was
    ]
    if as_json:
        print(json.dumps(rows, indent=2))
    elif rows:
        print_table(rows)
    else:
        print("the same settings and the same scores")


def _contents(run: Run) -> dict[str, Any]:
    """Return a run's settings and scores."""
    receipt = run.read_receipt()
    results = {"scores": receipt.get("scores"), "best": receipt.get("best"), "steps": receipt.get("step")}
    return run.read_config() | results
