import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight import __version__
from firstlight.engine.runs import receipts
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
    assert receipt["versions"]["firstlight"] == __version__
    assert receipt["versions"]["python"] == sys.version.split()[0]
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


def test_running_run_without_a_lock_was_killed(run):
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    assert receipts.status(run, run.read_receipt()) == "killed"
    receipts.update(run, host="elsewhere", boot=None)  # whose locks are not seen here
    assert receipts.status(run, run.read_receipt()) == "running"


def test_killed_run_of_a_machine_that_has_another_name_now_was_killed(run, monkeypatch):
    monkeypatch.setattr(receipts, "_boot_id", lambda: "this")
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    receipts.update(run, host="before")
    assert receipts.status(run, run.read_receipt()) == "killed"


@pytest.mark.parametrize(("pid", "status"), [(os.getpid(), "running"), (2**31, "killed"), ("x", "killed")])
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
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    assert run.read_receipt()["git"] == {"commit": commit, "dirty": False}
    Path("file").write_text("new")
    receipts.start(run, ["firstlight", "fit"], seed=0, device="cpu")
    assert run.read_receipt()["git"] == {"commit": commit, "dirty": True}
