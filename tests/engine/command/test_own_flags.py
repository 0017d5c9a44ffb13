"""Flags that belong to one command: which, and what contradicts itself."""

import pytest

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")
SMALL += ("--pictures=none",)


def test_resumed_run_keeps_its_name(did, complaint):
    did("fit", *SMALL)
    expected = "--name is for a new run; with --resume a run keeps its folder and its name"
    assert complaint("fit", "--resume", "--name", "other") == (2, expected)


@pytest.mark.parametrize("words", [["fit", "--run", "x"], ["test", "--resume", "x"], ["predict", "--name", "x"]])
def test_flag_of_another_command_is_refused(words, did, complaint):
    did("fit", *SMALL)
    command, *rest = words
    assert complaint(command, *SMALL, *rest)[0] == 2


@pytest.mark.parametrize("flag", ["--config", "--name", "--ckpt_path", "--resume"])
def test_empty_flag_is_refused(flag, complaint):
    assert complaint("fit", *SMALL, flag, "") == (2, f"{flag} is empty: name one, or leave it out")


def test_run_called_latest_is_not_taken_for_the_latest(did):
    did("fit", *SMALL, "--name", "latest")
    did("fit", *SMALL)
    assert "in lightning_logs/latest/version_0" in did("fit", "--resume", "latest", "--trainer.max_epochs=2")
