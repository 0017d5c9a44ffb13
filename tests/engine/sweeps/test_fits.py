"""What the processes of a sweep do, each of them in this one."""

import signal
import sys

import pytest

from firstlight.engine.command.settings import Setting
from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.sweeps import fits
from firstlight.errors import UsageError

FLAGS = ["--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--pictures=none"]


class Parent:
    """The end of a connection at which a sweep's worker sits; it ends a run after the epochs that it is told."""

    def __init__(self, epochs=99):
        self.epochs = epochs
        self.heard = []

    def send(self, message):
        self.heard.append(message)

    def recv(self):
        kind, *content = self.heard[-1]
        return kind == "score" and content[0] + 1 >= self.epochs


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Give the process its signals and its words back."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    monkeypatch.setattr(sys, "argv", ["firstlight", "sweep"])
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_look_says_what_a_sweep_has_to_know():
    searched = [Setting("model.lr", "1e-6", "my.yaml, line 2")]
    facts = fits.look(None, [*FLAGS, "--model.lr=1e-6"], searched)
    assert (facts["monitor"], facts["mode"], facts["seed"]) == ("loss/val", "min", 0)
    assert facts["settings"]["data.num_points"] == "30"
    assert "model.lr" not in facts["settings"]


def test_mistake_in_a_sweep_file_is_named_with_its_line():
    with pytest.raises(UsageError) as caught:
        fits.look(None, [*FLAGS, "--model.lr=abc"], [Setting("model.lr", "abc", "my.yaml, line 2")])
    assert str(caught.value) == "model.lr is 'abc' (my.yaml, line 2): expected a number above 0"


def test_run_that_logs_no_score_is_refused():
    with pytest.raises(UsageError, match="logs no score, and a sweep compares scores"):
        fits.look(None, [*FLAGS, "--trainer.barebones=true"], [])


def test_run_of_a_sweep_tells_its_folder_and_its_scores():
    parent = Parent()
    status, score = fits.fit(parent, [*FLAGS, "--trainer.max_epochs=3"])
    assert status == "finished"
    assert [message[:2] for message in parent.heard] == [
        ("run", "autograd_cubic/version_0"),
        ("score", 0),
        ("score", 1),
    ]
    assert score <= parent.heard[-1][2]
    assert sys.argv == ["firstlight", "fit", *FLAGS, "--trainer.max_epochs=3"]  # for processes that Lightning starts


def test_run_of_a_sweep_ends_when_it_is_told():
    parent = Parent(epochs=1)
    assert fits.fit(parent, [*FLAGS, "--trainer.max_epochs=3"]) == ("pruned", None)
    assert [message[:2] for message in parent.heard[1:]] == [("score", 0)]
