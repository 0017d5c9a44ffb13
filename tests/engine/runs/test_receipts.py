import json
import os
import subprocess
from pathlib import Path

import pytest

from firstlight.engine import processes
from firstlight.engine.runs import receipts
from firstlight.engine.runs.conditions import current_conditions
from firstlight.engine.runs.folders import claim_run_folder
from firstlight.engine.runs.locks import lock_run


@pytest.fixture
def run():
    return claim_run_folder(Path(), "mlp")


def test_receipt_says_what_was_run_and_how_it_ended(run):
    with lock_run(run):
        receipts.start(run, ["firstlight", "fit", "-c", "mlp"], seed=3, device="cpu")
        assert receipts.status(run, run.read_receipt()) == "running"
    receipts.end(run, "finished", {"loss/val": 0.5}, step=20, epochs=2, best={"name": "loss/val", "score": 0.5})
    receipt = json.loads((run.folder / "run.json").read_text())
    assert receipt["commands"] == [["firstlight", "fit", "-c", "mlp"]]
    assert {key: receipt[key] for key in ("seed", "device", "status", "step", "epochs", "scores", "best")} == {
        "seed": 3,
        "device": "cpu",
        "status": "finished",
        "step": 20,
        "epochs": 2,
        "scores": {"loss/val": 0.5},
        "best": {"name": "loss/val", "score": 0.5},
    }
    assert receipt["start"] <= receipt["end"]


def test_receipt_of_a_resumed_run_keeps_its_start_and_adds_a_command(run):
    for words in (["firstlight", "fit"], ["firstlight", "fit", "--resume"]):
        receipts.start(run, words, seed=0, device="cpu")
        first = run.read_receipt()["start"]
    assert [words[-1] for words in run.read_receipt()["commands"]] == ["fit", "--resume"]
    assert run.read_receipt()["start"] == first


def test_receipt_keeps_the_conditions_of_the_first_fit_and_has_those_of_each_command(run):
    for threads in (1, 2):
        receipts.start(run, ["firstlight", "fit"], seed=0, threads=threads)
        receipts.add_data(run, {"train": str(threads)})
    receipts.add_command(run, ["firstlight", "test"], threads=3)
    receipt = run.read_receipt()
    assert (receipt["threads"], receipt["data"]) == (1, {"train": "1"})
    assert [entry["threads"] for entry in receipt["history"]] == [1, 2, 3]
    assert receipt["history"][1]["data"] == {"train": "2"}


def test_conditions_that_an_old_receipt_lacks_are_not_those_of_a_resume(run):
    receipts.update(run, start="2026-01-01", commands=[["firstlight", "fit"]], versions={"torch": "1.13"})
    receipts.start(run, ["firstlight", "fit", "--resume"], seed=0, threads=2, versions={"torch": "2.11"})
    receipts.add_data(run, {"train": "a"})
    receipt = run.read_receipt()
    assert receipt["versions"] == {"torch": "1.13"}
    assert not {"threads", "data"} & receipt.keys()


def test_receipt_keeps_the_last_commands_only(run):
    for number in range(receipts.MAX_COMMANDS + 1):
        receipts.add_command(run, [str(number)])
    history = run.read_receipt()["history"]
    assert [history[0]["command"], history[-1]["command"]] == [["1"], [str(receipts.MAX_COMMANDS)]]


def test_evaluation_of_a_run_that_is_being_trained_leaves_its_receipt_alone(run):
    receipts.update(run, status="running")
    with lock_run(run):
        receipts.add_command(run, ["firstlight", "test"])
    assert run.read_receipt() == {"status": "running"}


def test_running_run_without_a_lock_was_killed(run):
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    assert receipts.status(run, run.read_receipt()) == "killed"
    receipts.update(run, host="elsewhere", boot=None)  # whose locks are not seen here
    assert receipts.status(run, run.read_receipt()) == "running"


def test_killed_run_of_a_machine_that_has_another_name_now_was_killed(run, monkeypatch):
    monkeypatch.setattr(processes, "boot_id", lambda: "this")
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    receipts.update(run, host="before")
    assert receipts.status(run, run.read_receipt()) == "killed"


@pytest.mark.parametrize(
    ("pid", "status"), [(os.getpid(), "running"), (2**31, "killed"), ("x", "killed")], ids=["here", "gone", "no number"]
)
def test_run_on_a_disk_without_locks_runs_as_long_as_its_process(pid, status, run, monkeypatch):
    monkeypatch.setattr(receipts, "is_run_locked", lambda _: None)
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    receipts.update(run, pid=pid)
    assert receipts.status(run, run.read_receipt()) == status


@pytest.mark.parametrize("text", ["", "{", "[]", "\xff"])
def test_damaged_receipt_is_empty(run, text):
    (run.folder / "run.json").write_text(text, encoding="latin-1")
    assert run.read_receipt() == {}
    assert receipts.status(run, run.read_receipt()) == "unknown"


def test_receipt_is_written_atomically(run, monkeypatch):
    receipts.update(run, status="running")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"run\.json"):
        receipts.update(run, status="finished")
    assert run.read_receipt() == {"status": "running"}


def test_receipt_names_the_commit_and_whether_files_differ(run):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    Path("file").write_text("old")
    for words in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    receipts.start(run, ["firstlight", "fit"], seed=0, **current_conditions("cpu", 1))
    assert run.read_receipt()["git"] == {"commit": commit, "dirty": False}
    Path("file").write_text("new")
    receipts.start(run, ["firstlight", "fit"], seed=0, **current_conditions("cpu", 1))
    assert run.read_receipt()["history"][-1]["git"] == {"commit": commit, "dirty": True}
