import os
import threading
from pathlib import Path

import pytest

from firstlight.engine.runs.folders import claim_run_folder
from firstlight.engine.runs.locks import is_run_locked, lock_run
from firstlight.errors import UsageError


@pytest.fixture
def run():
    return claim_run_folder(Path(), "mlp")


def test_run_is_locked_for_others_until_the_end_of_the_block(run):
    with lock_run(run):
        assert is_run_locked(run)
        with pytest.raises(UsageError, match="mlp/version_0 is being trained by another process"), lock_run(run):
            pass
    assert is_run_locked(run) is False
    with lock_run(None):
        pass


def test_run_on_a_disk_without_locks_can_be_trained_and_nobody_knows_whether_it_is(run, monkeypatch):
    def no_locks(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("filelock.lock_descriptor", no_locks)
    with lock_run(run):
        assert is_run_locked(run) is None


def test_lock_that_is_held_for_a_moment_is_waited_for(run, monkeypatch):
    tries = []

    def busy_once(*_, **__):
        tries.append(1)
        return len(tries) > 1

    monkeypatch.setattr("filelock.lock_descriptor", busy_once)
    with lock_run(run):
        assert len(tries) == 2
    tries.clear()
    assert is_run_locked(run) is False


def test_run_is_never_refused_because_others_ask_whether_it_is_locked(run):
    end = threading.Event()

    def ask():
        while not end.is_set():
            is_run_locked(run)

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        for _ in range(50):
            with lock_run(run):
                pass
    finally:
        end.set()
        for asker in askers:
            asker.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
def test_fork_does_not_keep_the_lock(run):
    reading, writing = os.pipe()
    with lock_run(run):
        child = os.fork()
        if child == 0:
            os.read(reading, 1)  # until the end of the test
            os._exit(0)
    try:
        assert is_run_locked(run) is False
    finally:
        os.write(writing, b".")
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
