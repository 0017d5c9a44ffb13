"""The results of a sweep are a table, the config of the best trial, and charts."""

import csv
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.distributions import FloatDistribution

from firstlight.engine.sweeps import children, results
from firstlight.engine.sweeps.plan import Plan
from firstlight.engine.sweeps.storage import open_storage
from firstlight.engine.sweeps.study import Study

FOLDER = Path("lightning_logs/mine")


@pytest.fixture
def study():
    """Return a study of four trials without an end."""
    FOLDER.mkdir(parents=True)  # where its workers write their log
    storage = open_storage("sweep.journal")
    plan = Plan({"lr": FloatDistribution(0.1, 1.0)}, [{}], 4)
    yield Study(storage, "mine", plan, {"monitor": "loss/val", "mode": "min", "seed": 0, "settings": {}})
    storage.release_lock()


@pytest.fixture
def drawn(monkeypatch):
    """Return the trials that are drawn in charts."""
    trials = []
    monkeypatch.setattr(children, "call", lambda *arguments: trials.extend(arguments[2]))
    return trials


def end_two_trials(study):
    failed = study.claim()
    study.fail(failed, "out of luck")
    finished = study.claim()
    finished.set_user_attr("runs", {"0": "mine/version_0", "1": "mine/version_1"})
    study.finish(finished, [1.0, 3.0], "seed_everything: 7\n")
    return failed, finished


def test_rows_hold_values_score_and_error_with_the_best_trial_first(study):
    failed, finished = end_two_trials(study)
    best, worst = results.rows(study)
    assert best == {
        "trial": 1,
        "status": "finished",
        "loss/val": 2.0,
        "std": pytest.approx(2**0.5),
        "lr": finished.params["lr"],
        "runs": "mine/version_0 mine/version_1",
        "error": None,
    }
    assert (worst["status"], worst["loss/val"], worst["std"]) == ("failed", None, None)
    assert (worst["lr"], worst["error"]) == (failed.params["lr"], "out of luck")


def test_best_config_says_what_it_reached_and_how_to_train_it(study):
    end_two_trials(study)
    files = results.write(study, "mine", Path())
    assert files == {"table": FOLDER / "sweep.csv", "best": FOLDER / "best.yaml"}
    assert files["best"].read_text() == (
        "# The best of the sweep mine: loss/val 2 +- 1.4 over 2 runs, trial 1, mine/version_0\n#\n"
        "#   firstlight fit --config lightning_logs/mine/best.yaml\n\n"
        "seed_everything: 7\n"
    )
    rows = list(csv.DictReader(files["table"].read_text().splitlines()))
    cells = [(row["trial"], row["loss/val"], row["error"]) for row in rows]
    assert cells == [
        ("1", "2.0", ""),
        ("0", "", "out of luck"),
    ]


def test_charts_need_two_scores(study, drawn):
    end_two_trials(study)
    assert "trials" not in results.write(study, "mine", Path())
    trial = study.claim()
    trial.set_user_attr("runs", {"0": "mine/version_2"})
    study.finish(trial, [1.0])
    files = results.write(study, "mine", Path())
    assert "trials" in files
    assert "importances" not in files  # of three trials, the best tenth is none
    assert [row["trial"] for row in drawn] == [2, 1]


def test_sweep_without_a_finished_trial_has_no_best_config(study):
    study.fail(study.claim(), "out of luck")
    assert set(results.write(study, "mine", Path())) == {"table"}
