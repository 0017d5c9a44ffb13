"""``firstlight runs rm`` and ``runs archive``: remove runs, or move them to where they are not listed."""

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from firstlight.engine.cli.table import print_table
from firstlight.engine.program import program
from firstlight.engine.runs import receipts
from firstlight.engine.runs.folders import ARCHIVE, LOGS, Run, relative_to_cwd
from firstlight.engine.runs.locks import is_run_locked, lock_run
from firstlight.errors import UsageError


def remove_runs(action: str, runs: Iterable[Run], *, is_confirmed: bool) -> dict[str, Any]:
    """List runs, ask unless that is confirmed, and remove them (``rm``) or move them into the archive (``archive``).

    Raises:
        UsageError: If a run is in use, a link, in no folder of runs, or archived already; if nobody can be asked.
    """
    chosen = list({run.folder.absolute(): run for run in runs}.values())
    print_table([_row(action, run) for run in chosen])
    if not is_confirmed:
        if not sys.stdin.isatty():
            raise UsageError(f"{program()} runs {action} asks first, and there is no terminal: add --yes")
        with contextlib.suppress(EOFError):
            is_confirmed = input(f"{'remove' if action == 'rm' else 'archive'} these? [y/N] ").lower() in ("y", "yes")
    if not is_confirmed:
        print("all are still there")
        return {"removed" if action == "rm" else "archived": []}
    for run in chosen:
        with lock_run(run):
            if action == "rm":
                shutil.rmtree(run.folder)  # which follows no links
                with contextlib.suppress(OSError):
                    run.folder.parent.rmdir()  # if no other run has this name
                continue
            target = _archived(run)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(run.folder, target)
        print(f"to put it back: {shlex.join(['mv', str(relative_to_cwd(target)), str(run)])}")
    return {"removed" if action == "rm" else "archived": [run.name for run in chosen]}


def _row(action: str, run: Run) -> dict[str, Any]:
    """Return what is said of a run before it goes, if it may."""
    if run.folder.absolute().parents[1].name not in (LOGS, ARCHIVE):
        raise UsageError(f"{run} is in no folder {LOGS}")
    if run.folder.is_symlink() or run.folder.parent.is_symlink():
        raise UsageError(f"{run} is a link, or in one: what it leads to is left alone")
    receipt = run.read_receipt()
    status = receipts.status(run, receipt)
    if status == "running" or is_run_locked(run):
        raise UsageError(f"{run} is in use: wait for its end, or stop it first")
    if action == "archive" and _archived(run).exists():
        raise UsageError(f"{relative_to_cwd(_archived(run))} is there already")
    files = [Path(folder, name) for folder, _, names in os.walk(run.folder) for name in names]
    size = f"{sum(file.lstat().st_size for file in files) / 1e6:.1f} MB"
    where = {"to": str(relative_to_cwd(_archived(run)))} if action == "archive" else {}
    return {"run": str(run), "status": status, "size": size, "note": receipt.get("note"), **where}


def _archived(run: Run) -> Path:
    return run.folder.absolute().parents[2] / ARCHIVE / run.name
