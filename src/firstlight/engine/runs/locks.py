"""The lock of a run's folder: one process trains in it. Needs no torch."""

import contextlib
import os
import time
from collections.abc import Iterator

from firstlight.engine.files import try_lock
from firstlight.engine.runs.folders import Run
from firstlight.errors import UsageError


@contextlib.contextmanager
def lock_run(run: Run | None) -> Iterator[None]:
    """Lock a run's folder, or raise a ``UsageError`` if another process trains in it; do nothing if there is no run."""
    if run is None:
        yield
        return
    with _try_lock(run, seconds=0.5) as is_locked:
        if is_locked is False:
            receipt = run.read_receipt()
            who = f" ({receipt['pid']} on {receipt.get('host')})" if "pid" in receipt else ""
            raise UsageError(f"{run.name} is being trained by another process{who}: wait for its end, or stop it first")
        yield


@contextlib.contextmanager
def lock_if_free(run: Run) -> Iterator[bool]:
    """Lock a run's folder for a moment; yield whether no other process trains there, as far as the disk can tell."""
    with _try_lock(run, seconds=0.02) as is_locked:
        yield is_locked is not False


def is_run_locked(run: Run) -> bool | None:
    """Return whether a process on this machine is training in a run's folder; None if the disk has no locks."""
    with _try_lock(run, seconds=0.02) as is_locked:
        return None if is_locked is None else not is_locked


@contextlib.contextmanager
def _try_lock(run: Run, seconds: float) -> Iterator[bool | None]:
    """Lock a run's folder, unless another process keeps it locked; yield None if the disk has no locks.

    The lock ends with the process, even if it is killed. To ask whether a folder is locked is to lock it for a moment,
    so a lock is tried for some time.
    """
    folder = os.open(run.folder, os.O_RDONLY)
    _locks.add(folder)
    try:
        deadline = time.monotonic() + seconds
        while (is_locked := try_lock(folder)) is False and time.monotonic() <= deadline:
            time.sleep(0.01)
        yield is_locked
    finally:
        if folder in _locks:
            _locks.remove(folder)
            os.close(folder)


_locks: set[int] = set()
"""Descriptors of the folders that this process has locked."""


def _leave_locks() -> None:
    """Close them in a fork, such as a loader's worker, which may outlive a run that is killed."""
    while _locks:
        os.close(_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_locks)
