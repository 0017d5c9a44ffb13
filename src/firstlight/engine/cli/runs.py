"""``firstlight runs``: list the runs, alone or in groups; compare two, remove or archive some."""

import sys
from typing import Any

from firstlight.engine.cli.compare import print_difference
from firstlight.engine.cli.groups import group_rows
from firstlight.engine.cli.help import command_parser
from firstlight.engine.cli.removal import remove_runs
from firstlight.engine.cli.table import print_table
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import LOGS, Run, add_root_flag, find_run, list_runs, read_runs
from firstlight.errors import UsageError

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
    parser = command_parser("runs")
    about = "only runs of this name, or with this text in name or note; two to compare; some to remove or to archive"
    parser.add_argument("names", nargs="*", metavar="TEXT | diff A B | rm RUN ... | archive RUN ...", help=about)
    add_root_flag(parser)
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
        return print_difference(*(find_run(options.root, name) for name in names))
    if action:
        return remove_runs(action, [find_run(options.root, name) for name in names], is_confirmed=options.yes)
    chosen = read_runs(options.root, *names)
    found = [(run, _row(run, receipt)) for run, receipt in reversed(chosen or read_runs(options.root))]
    if names and not chosen:
        text = names[0].casefold()
        found = [(run, row) for run, row in found if text in f"{run.name} {row['note'] or ''}".casefold()]
        if not found:
            find_run(options.root, names[0])  # says which names there are
    rows = group_rows(found) if options.group else [row for _, row in found]
    if rows:
        shown = [key for key in rows[0] if key != "mode" and not (key == "note" and all(not row[key] for row in rows))]
        print_table([{key: row[key] for key in shown} for row in rows])
    elif found:
        print("no run has finished: there is nothing to group")
    else:
        print(f"no runs in {options.root / LOGS}: {program()} fit --config NAME makes one")
    return {"groups" if options.group else "runs": rows}


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
