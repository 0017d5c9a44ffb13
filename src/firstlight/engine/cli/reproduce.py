"""``firstlight reproduce RUN``: run a run again and check that its scores are bit-identical."""

from pathlib import Path
from typing import Any

from firstlight.engine.cli.help import command_parser
from firstlight.engine.command.stages import run
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.conditions import differences
from firstlight.engine.runs.folders import Run, find_run
from firstlight.errors import FirstlightError, UsageError


def reproduce(words: list[str]) -> dict[str, Any]:
    """Run a finished run again, from its own config, into a new folder, and compare the scores.

    Raises:
        UsageError: If there is no such run, or it did not finish.
        FirstlightError: If the scores differ.
    """
    parser = command_parser("reproduce", has_root=True)
    parser.add_argument("run", help="NAME (the latest), NAME/version_N, or a folder")
    parser.add_argument("--strict", action="store_true", help="refuse to run under other conditions")
    options = parser.parse_args(words)
    old = find_run(options.root, options.run)
    before = {"scores": {}} | old.read_receipt()
    if before.get("status") != "finished":
        how = before.get("not_resumable") or f"to resume it: {program()} fit {old.as_flag('--resume')}"
        raise UsageError(f"{old} did not finish ({receipts.status(old, before)}); {how}")
    if not before["scores"]:
        raise UsageError(f"{old} has no scores in its run.json: there is nothing to compare with")
    root = old.folder.parents[2]
    flags = ["--config", str(old.config), "--name", old.folder.parent.name, "--trainer.default_root_dir", str(root)]
    new = run("fit", [*flags, *["--strict"] * options.strict], old)
    after = Run(Path(new["folder"])).read_receipt() if new["folder"] else {}
    keys = sorted({*before["scores"], *after.get("scores", {})})
    scores = [(key, before["scores"].get(key), after.get("scores", {}).get(key)) for key in keys]
    different = [f"{key}: {was!r}, now {now!r}" for key, was, now in scores if was != now]
    if different:
        changed = differences(before, after)
        hint = f"\nconditions that differ: {', '.join(changed)}" if changed else ""
        if (commands := len(before.get("commands", []))) > 1:
            hint += f"\nit took {commands} commands, and this one had the settings of the last from the start"
        raise FirstlightError(f"{old.name} was not reproduced: {'; '.join(different)}{hint}")
    print(f"reproduced: the {len(scores)} scores of {old.name} are bit-identical")
    return {"reproduced": old.name, **new}
