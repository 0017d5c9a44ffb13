"""A run trains on without anybody to print to, and says which file a library's thread could not write."""

import os
import pty
import subprocess
import sys
import termios

import pytest
from harness import the_run, tiny

from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.engine.runs.folders import Run

pytestmark = pytest.mark.slow
FIT = f'"{sys.executable}" -m firstlight {" ".join(tiny("autograd_cubic"))}'


def receipt(folder):
    return Run(the_run(folder)).read_receipt()


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full 2>&1", "| head -1", "2> /dev/full"])
def test_run_trains_on_without_its_standard_streams(redirected, tmp_path):
    line = f"{FIT} --pictures=none {redirected}"
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", line], cwd=tmp_path, capture_output=True, check=False)
    assert ended.returncode == (1 if redirected.startswith("> /dev/full") else 0)
    assert ended.stderr == b""
    assert receipt(tmp_path)["status"] == "finished"
    assert load_checkpoint(the_run(tmp_path) / "checkpoints/last.ckpt")["epoch"] == 2


def test_terminal_that_goes_away_stops_the_run_at_a_checkpoint(tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execv("/bin/bash", ["bash", "-c", f"exec {FIT} --pictures=none --trainer.max_epochs=100000"])
    termios.tcsetwinsize(terminal, (24, 80))
    while b"Epoch" not in os.read(terminal, 1000):
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert receipt(tmp_path)["status"] == "stopped"


@pytest.mark.parametrize("kib", [4, 12, 40])
def test_file_that_a_thread_cannot_write_is_named(kib, tmp_path):
    line = f"ulimit -f {kib}; {FIT} --trainer.max_epochs=200"
    ended = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    (error,) = ended.stderr.splitlines()
    assert error.startswith("error: [Errno 27] File too large: 'lightning_logs/")
    assert receipt(tmp_path)["status"] == "failed"
