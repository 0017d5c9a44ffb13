"""What a worker does with runs that an earlier worker left behind; nothing is trained here."""

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.distributions import CategoricalDistribution

from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import Plan
from firstlight.engine.sweeps.storage import open_storage
from firstlight.engine.sweeps.study import Study
from firstlight.engine.sweeps.worker import Worker
from firstlight.errors import FirstlightError

FLAGS = ["--config", "x", "--name", "mine"]
TYPED = [*FLAGS, "--lr=0.1", "--seed_everything=7"]


@pytest.fixture
def trained(monkeypatch):
    """Return the flags of the runs that are trained from here on; each ends with the score 3."""
    typed = []

    class Child:
        def __init__(self, task, flags, log):
            typed.append(flags)

        def wait(self, answer, idle):
            run = leave(len(typed) + 10, "finished", commands=[["firstlight", "fit", *typed[-1]]])
            answer(("run", run.parent.name + "/" + run.name))
            return "finished", 3.0

    monkeypatch.setattr(children, "Child", Child)
    return typed


@pytest.fixture
def work():
    """Return a function that runs a sweep of one trial with one run, which another worker may have started."""

    def run(begun=None):
        storage = open_storage("sweep.journal")
        plan = Plan({"lr": CategoricalDistribution(("0.1",))}, [{"seed_everything": "7"}], 1)
        study = Study(storage, "mine", plan, {"monitor": "score", "mode": "min", "seed": 0, "settings": {}})
        trial = study.claim()
        if begun:
            trial.set_user_attr("runs", {"0": f"mine/{begun.name}"})
        worker = Worker(study, FLAGS, Path(), "mine")
        outcome = worker._run_trial(trial)
        storage.release_lock()
        return outcome, study.trials()[0]

    return run


def leave(version, status, commands, best=2.0, **more):
    """Write the files of a run."""
    run = Path(f"lightning_logs/mine/version_{version}")
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints/last.ckpt").touch()
    (run / "config.yaml").write_text("seed_everything: 7\n")
    receipt = {"status": status, "commands": commands, "best": {"score": best}, **more}
    (run / "run.json").write_text(json.dumps(receipt))
    return run


def test_finished_run_is_not_trained_again(trained, work):
    outcome, trial = work(leave(0, "finished", [["firstlight", "fit", *TYPED]]))
    assert (outcome, trained) == ("score 2", [])
    assert trial.user_attrs["config"] == "seed_everything: 7\n"


RESUME = ["firstlight", "fit", "--resume", "mine/version_0"]


@pytest.mark.parametrize(
    ("by_hand", "outcome"), [(RESUME, "score 2"), ([*RESUME, "--trainer.max_epochs=99"], "score 3")]
)
def test_run_that_was_resumed_by_hand_counts_unless_its_settings_were_changed(by_hand, outcome, trained, work):
    run = leave(0, "finished", [["firstlight", "fit", *TYPED], by_hand, ["firstlight", "test", "--run", "x", "--json"]])
    assert work(run)[0] == outcome
    assert trained == [TYPED] * (outcome == "score 3")


def test_stopped_run_is_resumed(trained, work):
    run = leave(0, "stopped", [["firstlight", "fit", *TYPED]])
    assert work(run)[0] == "score 3"
    assert trained == [["--resume", str(run)]]


def test_stopped_run_that_cannot_be_resumed_is_trained_again(trained, work):
    run = leave(0, "stopped", [["firstlight", "fit", *TYPED]], not_resumable="it prunes")
    assert work(run)[0] == "score 3"
    assert trained == [TYPED]


def test_killed_run_is_trained_again_in_a_new_folder(trained, work):
    run = leave(0, "running", [["firstlight", "fit", *TYPED]])
    outcome, trial = work(run)
    assert (outcome, trained) == ("score 3", [TYPED])
    assert trial.user_attrs["runs"] == {"0": "mine/version_11"}
    assert not run.exists()


@pytest.mark.parametrize("status", ["finished", "stopped", "running"])
def test_folder_of_another_trial_is_not_touched(status, trained, work):
    run = leave(0, status, [["firstlight", "fit", *FLAGS, "--lr=0.2", "--seed_everything=7"]])
    assert work(run)[0] == "score 3"
    assert trained == [TYPED]
    assert run.exists()


def test_run_without_a_score_fails_its_trial(trained, work, monkeypatch):
    monkeypatch.setattr(children.Child, "wait", lambda *_: ("finished", None))
    outcome, trial = work()
    assert outcome == "failed: it has no score"
    assert trial.user_attrs["error"] == "it has no score"


def test_error_in_a_run_fails_its_trial(trained, work, monkeypatch):
    def wait(*_):
        raise FirstlightError("out of luck")

    monkeypatch.setattr(children.Child, "wait", wait)
    assert work()[0] == "failed: out of luck"
