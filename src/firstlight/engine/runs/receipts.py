"""A run's receipt, ``run.json``: what was run, when, with which versions, and how it ended. Needs no torch."""

import json
import os
import platform
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

from firstlight.engine import processes
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.code_version import commit_of_cwd
from firstlight.engine.runs.folders import Run, is_run_locked, list_runs

__all__ = ["Ending", "Status", "find_run_of_job", "status", "update"]

Ending = Literal["finished", "stopped", "pruned", "failed"]
"""How a run ends: at its last epoch, by a signal, by the sweep it belongs to, or by an error."""
Status = Ending | Literal["running", "killed", "unknown"]
"""Killed: the receipt says running, but no process trains the run. Unknown: there is no receipt."""


def find_run_of_job(root: Path, name: str, job: str | None) -> Run | None:
    """Return the latest run with a name that a SLURM job started, if it has a checkpoint to resume from."""
    if job is None:
        return None
    runs = reversed(list_runs(root, name))
    return next((run for run in runs if run.read_receipt().get("job") == job and run.last.is_file()), None)


def start(run: Run, command: list[str], seed: int, device: str) -> None:
    """Write the receipt of a run that starts or is resumed.

    Raises:
        OSError: If it cannot be written.
    """
    receipt = run.read_receipt()
    update(
        run,
        commands=[*receipt.get("commands", []), command],
        versions={name: _version(name) for name in ("firstlight", "torch", "lightning")}
        | {"python": platform.python_version()},
        git=commit_of_cwd(),
        seed=seed,
        device=device,
        host=socket.gethostname(),
        pid=os.getpid(),
        job=processes.slurm_job_id(),
        start=receipt.get("start") or _now(),
        end=None,
        status="running",
    )


def end(run: Run, status: Ending, scores: Mapping[str, float], **fields: Any) -> None:
    """Add to the receipt how a run ended.

    Args:
        run: The run.
        status: How it ended.
        scores: The last score of each name.
        fields: ``step``, ``epochs``, ``best`` and, for a run that ended before its last epoch, ``stopped_by``.

    Raises:
        OSError: If it cannot be written.
    """
    update(run, end=_now(), status=status, scores=dict(scores), **fields)


def restore(run: Run, before: Mapping[str, Any], status: Ending) -> None:
    """Write the receipt from before a resume that had nothing left to train.

    Raises:
        OSError: If it cannot be written.
    """
    if status == "finished" and before["status"] == "stopped":  # the signal had come after the last step
        before = {**before, "status": status}
    update(run, **before)


def update(run: Run, **fields: Any) -> None:
    """Change fields of a receipt in an atomic write.

    Raises:
        OSError: If it cannot be written.
    """
    text = json.dumps({**run.read_receipt(), **fields}, indent=2) + "\n"
    write_atomically(run.folder / "run.json", text.encode())


def status(run: Run, receipt: Mapping[str, Any]) -> Status:
    """Return whether a run is running, or how it ended.

    Args:
        run: The run.
        receipt: Its receipt.
    """
    found: Status = receipt.get("status", "unknown")
    if found not in (*get_args(Ending), "running"):
        return "unknown"
    if found == "running" and receipt.get("host") == socket.gethostname() and not is_run_locked(run):
        return "killed"
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
