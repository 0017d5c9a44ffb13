"""What the tests of the command line share: the real command, in this process."""

import signal
import sys
import warnings
from collections import namedtuple

import pytest
import torch

from firstlight.callbacks.stopping import SIGNALS
from firstlight.cli import main

Answer = namedtuple("Answer", "status out err")

NO_NEWS = (
    r"(?s).*in v4.49.0 and will be removed in v5.0.0",  # jsonargparse, which is held below 5
    r"(?s).*By default only one JsonargparseDeprecationWarning per type is shown",
    r"GPU available but not used",  # where there is one: these runs are too small for it
)

CUBIC = ("--config", "autograd_cubic", "--config", "presets/limit", "--data.num_points", "50")


@pytest.fixture
def firstlight(monkeypatch, capfd):
    """Return a function that types a command and returns its exit status and what it printed."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["firstlight", *map(str, words)])
        capfd.readouterr()
        status = 0
        with warnings.catch_warnings():
            for message in NO_NEWS:
                warnings.filterwarnings("ignore", message)
            try:
                main()
            except SystemExit as end:
                status = end.code
        return Answer(status, *capfd.readouterr())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture
def did(firstlight):
    """Return a function that types a command which must succeed, and returns what it printed."""

    def run(*words):
        answer = firstlight(*words)
        assert answer.status in (0, None), answer.err
        return answer.out

    return run


@pytest.fixture
def complaint(firstlight):
    """Return a function that types a command with a mistake in it, and returns its exit status and its message."""

    def run(*words):
        status, _, err = firstlight(*words)
        lines = err.removeprefix("error: ").splitlines()
        assert err.startswith("error: "), err
        assert len(lines) <= 3, err
        return status, "\n".join(lines)

    return run
