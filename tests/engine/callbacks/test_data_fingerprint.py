"""A run is resumed on the data that it was trained on, and its receipt says which that was."""

import json
from pathlib import Path

import own_data
import pytest

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2", "--trainer.max_epochs=1")
RESUME = ("fit", "--resume", "--trainer.max_epochs=2")
RECEIPT = Path("lightning_logs/autograd_cubic/version_0/run.json")


def receipt():
    return json.loads(RECEIPT.read_text())


def test_resume_on_other_data_is_refused_until_it_is_allowed(did, complaint, firstlight):
    did("fit", *SMALL)
    before = receipt()
    status, text = complaint(*RESUME, "--data.num_points=31")
    assert (status, text) == (
        2,
        "resumed on other data than the run's: train and val changed; to go on with it: --allow_changed_data",
    )
    assert receipt() == before
    allowed = firstlight(*RESUME, "--data.num_points=31", "--allow_changed_data")
    assert (allowed.status or 0, allowed.err) == (
        0,
        "warning: resumed on other data than the run's: train and val changed\n",
    )
    data = [entry["data"] for entry in receipt()["history"]]
    assert data[0] == receipt()["data"] != data[1]
    did("fit", "--resume", "--trainer.max_epochs=3")  # on the data of its checkpoint


def test_fold_is_other_data(did, complaint):
    did("fit", *SMALL, "--data.fold=0")
    assert "--allow_changed_data" in complaint(*RESUME, "--data.fold=1")[1]


def test_changed_example_of_a_data_set_of_ones_own_is_other_data(did, complaint, monkeypatch):
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "own_data")
    model = ("--model=MLP", "--model.num_features=4", "--model.hidden_dims=[8]", "--model.num_classes=2")
    did("fit", *model, "--data=Points", "--trainer.max_epochs=1")
    example = own_data.Rows.__getitem__
    monkeypatch.setattr(own_data.Rows, "__getitem__", lambda rows, index: example(rows, max(index, 1)))
    assert "other data than the run's: train and val changed" in complaint(*RESUME)[1]


def test_resume_with_another_batch_size_is_on_the_same_data(did):
    did("fit", *SMALL)
    did(*RESUME, "--data.batch_size=10")


def test_data_without_a_fingerprint_is_recorded_as_such(did, monkeypatch):
    did("fit", *SMALL)
    monkeypatch.delattr("firstlight.data.examples.ExampleAccess.fingerprint")
    did(*RESUME, "--data.num_points=31")
    assert [entry["data"] is None for entry in receipt()["history"]] == [False, True]


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_evaluation_is_recorded_with_its_data(stage, did):
    did("fit", *SMALL)
    did(stage, "--run", "autograd_cubic/version_0")
    entry = receipt()["history"][-1]
    assert entry["command"][1] == stage
    assert entry["threads"] == 1
    assert entry["data"]


@pytest.mark.parametrize("flag", ["--strict", "--allow_changed_data"])
def test_flags_of_a_resume_are_refused_elsewhere(flag, complaint):
    assert complaint("test", flag) == (2, f"{flag} belongs to fit --resume")
