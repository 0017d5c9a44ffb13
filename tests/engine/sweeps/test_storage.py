"""A lock shows whether a worker is alive, and ends with it."""

import os
import time
from pathlib import Path

import pytest
from filelock import Timeout

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from firstlight.engine.sweeps import storage
from firstlight.engine.sweeps.storage import open_storage
from firstlight.errors import FirstlightError, UsageError


@pytest.fixture
def join():
    """Return a function that opens one journal as another worker."""
    opened = []

    def make():
        opened.append(open_storage("sweep.journal"))
        return opened[-1]

    yield make
    for each in opened:
        each.release_lock()


def test_worker_is_alive_until_its_lock_is_released(join):
    here, other, killed = join(), join(), join()
    assert here.is_worker_alive(other.worker)
    other.release_lock()
    assert not here.is_worker_alive(other.worker)
    killed._worker_lock.release()  # as the end of its process does
    assert not here.is_worker_alive(killed.worker)
    locks = [path.name for path in Path().glob(".sweep.journal.*")]
    assert sorted(locks) == sorted([".sweep.journal.exclusive", here._worker_file.name])


def test_exclusive_lock_is_held_by_one_worker_at_a_time(join):
    first, second = join(), join()
    with first.exclusive():
        lock = storage.FileLock(second._lock_file("exclusive"), blocking=False)
        with pytest.raises(Timeout):
            lock.acquire()
    with second.exclusive(), second.exclusive():
        second.optuna_storage.get_all_studies()


def test_worker_of_another_machine_is_dead_without_heartbeat_if_its_lock_is_not_seen_here(join):
    here, there = join(), join()
    worker = {**there.worker, "machine": "another"}
    long_ago = (time.time() - 2 * storage.HEARTBEAT_TIMEOUT,) * 2
    os.utime(there._worker_file, long_ago)
    assert here.is_worker_alive(worker)
    there._worker_lock.release()  # as where locks are known to one machine only
    there.heartbeat()
    assert here.is_worker_alive(worker)
    os.utime(there._worker_file, long_ago)
    assert not here.is_worker_alive(worker)
    assert not there._worker_file.exists()
    there.heartbeat()  # it was alive, and goes on


def test_disk_without_file_locks_is_refused_with_another_way(monkeypatch):
    def no_locks(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(storage.FileLock, "acquire", no_locks)
    with pytest.raises(FirstlightError, match=r"cannot be locked \(Function not implemented\).*\n.*postgresql://"):
        open_storage("sweep.journal")


def test_place_that_is_no_storage_is_refused():
    with pytest.raises(UsageError, match=r"--storage \.: this is a folder"):
        open_storage(".")
    with pytest.raises(UsageError, match=r"--storage mysql://\.\.\.: expected a file, or postgresql://") as raised:
        open_storage("mysql://me:secret@here/db")
    assert "secret" not in str(raised.value)
