"""``firstlight runs``: list the runs, alone or in groups; compare two, remove or archive some."""

import json
import re
import statistics
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.removal import remove_runs
from firstlight.engine.cli.table import print_table
from firstlight.engine.command.settings import flatten, short_key
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import LOGS, Run, find_run, list_runs, read_runs
from firstlight.errors import CheckpointError, UsageError

EACH = "NAME, NAME/version_N or a folder each"
USES = {
    "": (range(2), {"group"}, "a name or text, --group; or: diff A B, rm RUN ..., archive RUN ..."),
    "diff": (range(2, 3), set[str](), f"two runs ({EACH})"),
    "rm": (range(1, sys.maxsize), {"yes"}, f"runs ({EACH}) and --yes"),
    "archive": (range(1, sys.maxsize), {"yes"}, f"runs ({EACH}) and --yes"),
}
"""What may stand after each action: how many words, which flags, and what to say of them."""


def runs(words: list[str]) -> dict[str, Any]:
    """List runs, the newest first; print in what two of them differ; or remove or archive some.

    Raises:
        UsageError: If there is no run of a name, or flags and words do not belong together.
    """
    parser = command_parser("runs", has_root=True)
    about = "only runs of this name, or with this text in name or note; two to compare; some to remove or to archive"
    parser.add_argument("names", nargs="*", metavar="TEXT | diff A B | rm RUN ... | archive RUN ...", help=about)
    parser.add_argument("--group", action="store_true", help="group finished runs that differ only in seed or fold")
    parser.add_argument("--yes", action="store_true", help="rm, archive: do not ask, for scripts")
    options = parser.parse_intermixed_args(words)
    action, names = "", options.names
    if names and names[0] in USES and not (len(names) == 1 and list_runs(options.root, names[0])):
        action, *names = names
    counts, flags, about = USES[action]
    if len(names) not in counts or any(getattr(options, flag) for flag in {"group", "yes"} - flags):
        raise UsageError(f"{program()} runs{f' {action}' * bool(action)} takes {about}")
    if action == "diff":
        from firstlight.engine.cli.compare import print_difference  # noqa: PLC0415  # NumPy is slow to import

        return print_difference(*(find_run(options.root, name) for name in names))
    if action:
        return remove_runs(action, [find_run(options.root, name) for name in names], is_confirmed=options.yes)
    chosen = read_runs(options.root, names[0] if names else None, _row)
    found = [*reversed(chosen or read_runs(options.root, None, _row))]
    if names and not chosen:
        text = names[0].casefold()
        found = [(run, row) for run, row in found if text in f"{run.name} {row['note'] or ''}".casefold()]
        if not found:
            find_run(options.root, names[0])  # says which names there are
    rows = group_rows(found) if options.group else [row for _, row in found]
    if rows:
        shown = [key for key in rows[0] if key != "mode" and not (key == "note" and all(not row[key] for row in rows))]
        print_table([{key: _local(row[key]) if key == "start" else row[key] for key in shown} for row in rows])
    elif found:
        print("no run has finished: there is nothing to group")
    else:
        print(f"no runs in {options.root / LOGS}: {program()} fit --config NAME makes one")
    return {"groups" if options.group else "runs": rows}


def _local(time: Any) -> Any:
    """Return a receipt's time in this machine's time zone, to the minute."""
    try:
        return f"{datetime.fromisoformat(time).astimezone():%Y-%m-%d %H:%M}"
    except (TypeError, ValueError):  # none, or a damaged one
        return time


def _row(run: Run, receipt: dict[str, Any]) -> dict[str, Any]:
    best = receipt.get("best", {})
    status, name = receipts.status(run, receipt), str(best.get("name"))
    score = best.get("score")
    return {
        "run": run.name,
        "score": best.get("name"),
        "mode": best.get("mode") or ("max" if "acc" in name else "min"),  # old receipts do not say
        "best": score if isinstance(score, int | float) else None,
        "test": receipts.test_score(run, receipt),
        "status": f"{status} early" if status == "finished" and receipt.get("stopped_by") else status,
        "epochs": receipt.get("epochs"),
        "start": receipt.get("start"),
        "note": receipt.get("note"),
    }


OF_NO_GROUP = re.compile(
    r"(\w+\.)?(seed_everything|seed|pictures|logger.*)|data\.(fold|root|device_resident)|checkpoint\.every_n_steps|"
    r"trainer\.(default_root_dir|log_every_n_steps|enable_progress_bar)|updates_per_batch"
)
"""Settings in which runs of a group may differ: seed, fold, and those that change no score."""
CLASSES = ("model", "data", "optimizer", "lr_scheduler")


def group_rows(runs: Iterable[tuple[Run, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a row for each group of the finished runs among some, each given with its own row, in their order.

    Standard deviations are those of samples. ``test_of_best`` is the test score of the run with the best validation
    score: the best of several test scores would be one that was chosen by test data.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for run, row in runs:
        if row["status"].startswith("finished") and row["best"] is not None:
            try:
                found = {short_key(key): value for key, value in flatten(run.read_config())}
            except CheckpointError:
                continue
            found = {key: value for key, value in found.items() if not OF_NO_GROUP.fullmatch(key)}
            same = json.dumps(found, sort_keys=True, default=str)
            groups.setdefault(same, []).append(row)
            settings[same] = found
    # settings of other models on other data are not comparable
    kinds = {same: (str(found.get("model")), str(found.get("data"))) for same, found in settings.items()}
    alike = {kind: [settings[same] for same in settings if kinds[same] == kind] for kind in kinds.values()}
    shown = {kind: _differing(found) for kind, found in alike.items()}
    named = _differing([dict(zip(CLASSES, kind, strict=False)) for kind in alike])
    return [
        _group_row(rows, " ".join(_text(key, found[key]) for key in [*named, *shown[kinds[same]]] if key in found))
        for same, rows in groups.items()
        for found in [settings[same]]
    ]


def _differing(groups: list[dict[str, Any]]) -> list[str]:
    """Return the settings that have another value in some of the groups that have them."""
    values: dict[str, set[str]] = {}
    for key, value in (item for group in groups for item in group.items()):
        values.setdefault(key, set()).add(str(value))
    return [key for key, found in sorted(values.items()) if len(found) > 1]


def _text(key: str, value: Any) -> str:
    """Return a setting as it is typed; of a class the name alone."""
    text = "null" if value is None else str(value)
    return f"{key}={text.rpartition('.')[2] if key in CLASSES else text}"


def _group_row(rows: list[dict[str, Any]], settings: str) -> dict[str, Any]:
    best = (max if rows[0]["mode"] == "max" else min)(rows, key=lambda row: float(row["best"]))
    scores, tests = [row["best"] for row in rows], [row["test"] for row in rows if row["test"] is not None]
    return {
        "run": rows[0]["run"] + f" and {len(rows) - 1} more" * (len(rows) > 1),
        "n": len(rows),
        "score": rows[0]["score"],
        "mean": statistics.fmean(scores),
        "std": statistics.stdev(scores) if len(scores) > 1 else None,
        "best": best["best"],
        "tested": len(tests),
        "test_mean": statistics.fmean(tests) if tests else None,
        "test_std": statistics.stdev(tests) if len(tests) > 1 else None,
        "test_of_best": best["test"],
        "settings": settings or None,
    }
