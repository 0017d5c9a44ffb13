"""A task in a process of its own: its result, its errors, its death."""

import signal

import pytest

from firstlight.engine.sweeps import children
from firstlight.errors import FirstlightError, UsageError

pytestmark = pytest.mark.slow  # a server of processes imports torch; the tests of sweeps go through it too

FLAGS = ["--config", "autograd_cubic", "--data.num_points=30"]


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Let the server of processes import torch once."""
    children.warm_up()


def test_result_of_a_task_comes_back():
    assert children.call("look", FLAGS, [])["monitor"] == "loss/val"


def test_errors_of_a_task_are_raised_here(tmp_path):
    log = tmp_path / "log"
    with pytest.raises(UsageError, match="--config nope: no such file"):
        children.call("look", ["--config", "nope"], [], log=log)
    with pytest.raises(FirstlightError, match="TypeError: look"):
        children.call("look", log=log)
    assert "Traceback" in log.read_text()


def test_process_has_ended_when_its_parent_fails_to_answer_it(tmp_path):
    child = children.Child("fit", [*FLAGS, "--pictures=none"], log=tmp_path / "log")

    def fail(_):
        raise OSError("no room in the journal")

    with pytest.raises(OSError, match="no room"):
        child.wait(fail, lambda: None)
    assert child._process.exitcode == -signal.SIGKILL


def test_death_of_a_process_is_an_error_that_says_how(tmp_path):
    child = children.Child("look", FLAGS, [], log=tmp_path / "log")
    child.tell(signal.SIGKILL)
    with pytest.raises(FirstlightError, match="killed by SIGKILL, as when memory runs out"):
        child.wait(lambda _: None, lambda: None)
