"""``firstlight reproduce``: the same scores, to the bit."""

import json
from pathlib import Path

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")


def test_run_is_reproduced_to_the_bit(did):
    did("fit", *SMALL)
    assert "reproduced: the 2 scores of autograd_cubic/version_0 are bit-identical" in did(
        "reproduce", "autograd_cubic"
    )


def test_run_that_was_resumed_with_other_settings_is_said_to_have_been(did, complaint):
    did("fit", *SMALL)
    did("fit", "--resume", "--trainer.max_epochs=2", "--data.repeats=1")
    status, message = complaint("reproduce", "autograd_cubic")
    assert status == 1
    assert message.endswith("\nit took 2 commands, and this one had the settings of the last from the start")


def test_run_without_scores_is_not_called_reproduced(did, complaint):
    did("fit", *SMALL)
    receipt = Path("lightning_logs/autograd_cubic/version_0/run.json")
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | {"scores": [1]}))
    assert complaint("reproduce", "autograd_cubic") == (
        2,
        "lightning_logs/autograd_cubic/version_0 has no scores in its run.json: there is nothing to compare with",
    )


def edited(**fields):
    receipt = Path("lightning_logs/autograd_cubic/version_0/run.json")
    receipt.write_text(json.dumps(json.loads(receipt.read_text()) | fields))


def test_other_conditions_are_named_before_the_run(did, firstlight, complaint):
    did("fit", *SMALL)
    edited(threads=4, data={"train": "x", "val": "y"})
    answer = firstlight("reproduce", "autograd_cubic/version_0")
    assert answer.err.splitlines() == [
        "warning: run again under other conditions: threads 4 -> 1; the bits may differ",
        "warning: run again on other data: train and val changed",
    ]
    entry = json.loads(Path("lightning_logs/autograd_cubic/version_1/run.json").read_text())["history"][0]
    assert entry["reproduces"] == "autograd_cubic/version_0"
    assert complaint("reproduce", "autograd_cubic/version_0", "--strict")[0] == 2
    edited(threads=1)
    assert complaint("reproduce", "autograd_cubic/version_0", "--strict") == (
        2,
        "run again on other data: train and val changed (--strict)",
    )
    assert len(list(Path("lightning_logs/autograd_cubic").iterdir())) == 2  # a refused one leaves no folder
