"""What waits says so at once, and how to end that."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from filelock import FileLock
from harness import tiny

pytestmark = pytest.mark.slow
SWEEP = "search:\n  model.lr: {choices: [1.0e-6, 2.0e-6]}\n"


@pytest.fixture(autouse=True)
def keys():
    """Let Ctrl-C and Ctrl-\\ end programs, also where a shell has started the tests in its background."""
    numbers = signal.SIGINT, signal.SIGQUIT
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def typed(folder, *words, **environment):
    command = [sys.executable, "-m", "firstlight", *words]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True)


def ends_at(process, awaited, number):
    lines = iter(process.stderr.readline, "")
    assert any(re.search(awaited, line) for line in lines)
    process.send_signal(number)
    assert process.wait(600) in (128 + number, -number)
    process.stderr.close()


def test_sweep_says_which_lock_it_waits_for(tmp_path):
    tmp_path.joinpath("lr.yaml").write_text(SWEEP)
    with FileLock(tmp_path / ".shared.exclusive"):
        sweep = typed(tmp_path, "sweep", *tiny("autograd_cubic")[1:], "--sweep=lr.yaml", "--storage=shared")
        ends_at(sweep, r"waiting for another worker of this sweep.* \.shared\.exclusive; Ctrl-C ends", signal.SIGINT)


def test_run_says_that_another_process_does_not_come(tmp_path):
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(door.getsockname()[1])}
    one_of_two = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0"}
    fit = typed(tmp_path, *tiny("autograd_cubic"), TORCHELASTIC_RUN_ID="test", **place, **one_of_two)
    ends_at(fit, r"waiting for all 2 processes of this run to meet at 127\.0\.0\.1:\d+; Ctrl-\\ ends", signal.SIGQUIT)
