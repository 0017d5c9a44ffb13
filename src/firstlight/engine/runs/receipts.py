"""A run's receipt, ``run.json``: what was run, when, with which versions, and how it ended. Needs no torch.

Each function that changes it raises an ``OSError`` if it cannot be written.
"""

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from firstlight.engine import processes
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.folders import Run, read_runs
from firstlight.engine.runs.locks import is_run_locked, lock_if_free

Ending = Literal["finished", "stopped", "pruned", "failed"]
"""How a run ends: at its last epoch, by a signal, by the sweep it belongs to, or by an error."""
Status = Ending | Literal["running", "killed", "unknown"]
"""Killed: the receipt says running, but no process trains the run. Unknown: there is no receipt."""
MAX_COMMANDS = 100
"""How many of a run's last commands are kept with their conditions: a receipt must stay small enough to be read."""


def find_run_of_job(root: Path, name: str, job: str | None) -> Run | None:
    """Return the latest run with a name that a SLURM job started, if it has a checkpoint to resume from."""
    if job is None:
        return None
    runs = reversed(read_runs(root, name, lambda _run, receipt: receipt.get("job")))
    return next((run for run, started_by in runs if started_by == job and run.last.is_file()), None)


def start(run: Run, command: list[str], seed: int, note: str | None = None, **conditions: Any) -> None:
    """Write the receipt of a run that starts or is resumed.

    A resume that says nothing keeps the note. The receipt keeps the conditions of the first fit, and ``history`` has
    those of each command.
    """
    receipt = run.read_receipt()
    update(
        run,
        commands=[*receipt.get("commands", []), command],
        **({} if "start" in receipt else conditions),
        history=_with_command(receipt, command, conditions),
        seed=seed,
        note=note or receipt.get("note"),
        host=socket.gethostname(),
        boot=processes.boot_id(),
        pid=os.getpid(),
        job=processes.slurm_job_id(),
        start=receipt.get("start") or _now(),
        end=None,
        status="running",
    )


def add_data(run: Run, fingerprint: dict[str, str] | None) -> None:
    """Add the fingerprint of its data to the command that has just started; None if the data has none."""
    receipt = run.read_receipt()
    *before, last = receipt.get("history", [{}])
    first = {} if before or len(receipt.get("commands", [])) > 1 else {"data": fingerprint}
    update(run, **first, history=[*before, {**last, "data": fingerprint}])


def add_command(run: Run, command: list[str], **conditions: Any) -> None:
    """Add a command that used a run to its receipt, unless a process trains it: that one writes the receipt."""
    with lock_if_free(run) as is_free:
        if is_free:
            update(run, history=_with_command(run.read_receipt(), command, conditions))


def end(run: Run, status: Ending, scores: Mapping[str, float], **fields: Any) -> None:
    """Add to the receipt how a run ended: its last scores, ``step``, ``epochs``, ``best`` and ``stopped_by``."""
    update(run, end=_now(), status=status, scores=dict(scores), **fields)


def update(run: Run, **fields: Any) -> None:
    """Change fields of a receipt in an atomic write."""
    text = json.dumps({**run.read_receipt(), **fields}, indent=2) + "\n"
    write_atomically(run.folder / "run.json", text.encode())


def test_score(run: Run, receipt: Mapping[str, Any]) -> float | None:
    """Return the test score that belongs to the best score in a receipt: ``accuracy/test`` to ``accuracy/val``.

    It is None if other weights were tested: a resume may have found better ones since.
    """
    best, tested = receipt.get("best", {}), run.read_scores("test")
    score = tested.get(str(best.get("name")).replace("val", "test", 1))
    is_of_best = tested.get("epoch") in (None, best.get("epoch"))
    return score if is_of_best and isinstance(score, int | float) else None


def status(run: Run, receipt: Mapping[str, Any]) -> Status:
    """Return whether a run is running, or how it ended."""
    found: Status = receipt.get("status", "unknown")
    if found not in (*get_args(Ending), "running"):
        return "unknown"
    if found != "running" or not _is_of_this_machine(receipt):
        return found
    is_locked = is_run_locked(run)
    is_alive = processes.is_alive(receipt.get("pid", 0)) if is_locked is None else is_locked
    return "running" if is_alive else "killed"


def _is_of_this_machine(receipt: Mapping[str, Any]) -> bool:
    """Return whether this machine sees the locks of a run: its name may have changed, as a container's does."""
    boot = processes.boot_id()
    return receipt.get("host") == socket.gethostname() or (boot is not None and receipt.get("boot") == boot)


def _with_command(receipt: Mapping[str, Any], command: list[str], conditions: dict[str, Any]) -> list[Any]:
    entry = {"command": command, "start": _now(), **conditions}
    return [*receipt.get("history", []), entry][-MAX_COMMANDS:]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
