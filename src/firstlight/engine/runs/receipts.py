"""A run's receipt, ``run.json``: what was run, with what, when, and how it ended. Nothing here needs torch."""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from firstlight.engine import processes
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.folders import Run, is_run_locked, list_runs

__all__ = ["find_run_of_job", "read", "status", "update"]


def read(run: Run) -> dict[str, Any]:
    """Return a run's receipt; an empty one if it has none that can be read."""
    try:
        content = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def find_run_of_job(root: Path, name: str, job: str | None) -> Run | None:
    """Return the latest run of a name that a SLURM job began, if it left something to go on from."""
    begun = [run for run in list_runs(root, name) if job and read(run).get("job") == job and run.last.is_file()]
    return begun[-1] if begun else None


def start(run: Run, seed: int, device: str) -> None:
    """Begin a receipt, or go on with that of a run that is resumed."""
    receipt = read(run)
    update(
        run,
        commands=[*receipt.get("commands", []), sys.argv],
        versions={name: _version(name) for name in ("firstlight", "torch", "lightning")}
        | {"python": platform.python_version()},
        git=_git(),
        seed=seed,
        device=device,
        host=socket.gethostname(),
        pid=os.getpid(),
        job=processes.slurm_job_id(),
        start=receipt.get("start") or _now(),
        end=None,
        status="running",
    )


def end(run: Run, status: str, scores: Mapping[str, float], step: int, epochs: int, best: Mapping[str, Any]) -> None:
    """Close a receipt."""
    update(run, end=_now(), status=status, step=step, epochs=epochs, best=dict(best), scores=dict(scores))


def restore(run: Run, before: Mapping[str, Any], status: str) -> None:
    """Leave the receipt of a run for which nothing was left to do as it was."""
    if status == "finished" and before["status"] == "stopped":  # by a signal that came after its last step
        before = {**before, "status": status}
    update(run, **before)


def update(run: Run, **fields: Any) -> None:
    """Change fields of a receipt; the file is whole at every moment."""
    text = json.dumps({**read(run), **fields}, indent=2) + "\n"
    write_atomically(run.folder / "run.json", text.encode())


def status(run: Run) -> str:
    """Return how a run stands: ``running``, ``finished``, ``stopped``, ``pruned``, ``failed``, or else ``killed``."""
    receipt = read(run)
    state = str(receipt.get("status", "unknown"))
    if state == "running" and receipt.get("host") == socket.gethostname() and not is_run_locked(run):
        return "killed"
    return state


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _git() -> dict[str, Any] | None:
    """Return the commit of the current folder's checkout, and whether anything in it was changed."""
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    answers = [
        subprocess.run([git, *args], capture_output=True, text=True, check=False)  # noqa: S603
        for args in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    ]
    if answers[0].returncode:
        return None
    return {"commit": answers[0].stdout.strip(), "dirty": bool(answers[1].stdout.strip())}
