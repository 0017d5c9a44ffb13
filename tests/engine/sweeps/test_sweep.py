"""A worker's part in a sweep, without training."""

from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.distributions import CategoricalDistribution
from sqlalchemy.exc import OperationalError

from firstlight.engine.command.settings import Setting
from firstlight.engine.sweeps import children
from firstlight.engine.sweeps.plan import Plan
from firstlight.engine.sweeps.sweep import run_sweep
from firstlight.engine.sweeps.worker import Worker
from firstlight.errors import FirstlightError, UsageError


@pytest.fixture
def run(monkeypatch):
    """Return a function that runs a sweep of three trials with another way to work."""
    facts = {"monitor": "score", "mode": "max", "seed": 0, "settings": {}}
    monkeypatch.setattr(children, "warm_up", lambda: None)
    monkeypatch.setattr(children, "call", lambda *_: facts)
    settings = [Setting("lr", "0.1", "mine.yaml, line 2")]
    plan = Plan({"lr": CategoricalDistribution(("0.1", "0.2", "0.3"))}, [{}], 20, settings=settings)

    def run(work):
        monkeypatch.setattr(Worker, "work", work)
        return run_sweep(plan, ["--config", "x"], "mine", Path())

    return run


@pytest.mark.parametrize("error", [FirstlightError("the loss is NaN"), UsageError("lr is '0.1' (mine.yaml, line 2)")])
def test_values_that_fail_end_a_sweep_only_if_all_fail(error, run, monkeypatch):
    facts, tried = children.call(), []

    def call(task, flags, settings, good="--lr=0.2"):
        tried.append(flags[-1])
        if flags[-1] != good:
            raise type(error)(str(error).replace("0.1", flags[-1].partition("=")[2]))
        return facts

    monkeypatch.setattr(children, "call", call)
    run(lambda _: None)
    assert tried == ["--lr=0.1", "--lr=0.3", "--lr=0.2"]
    monkeypatch.setattr(children, "call", lambda *words: call(*words, good=None))
    with pytest.raises(FirstlightError) as raised:
        run(lambda _: None)
    assert str(raised.value) == f"no trial could be trained: --lr=0.1: {error}"


def test_error_that_no_value_changes_ends_a_sweep_at_once(run, monkeypatch):
    tried = []

    def call(task, flags, settings):
        tried.append(flags[-1])
        raise UsageError("there is no data")

    monkeypatch.setattr(children, "call", call)
    with pytest.raises(UsageError, match=r"^there is no data$"):
        run(lambda _: None)
    assert tried == ["--lr=0.1", "--lr=0.3"]


def finish_one(worker):
    trial = worker.study.claim()
    trial.set_user_attr("runs", {"0": f"mine/version_{trial.number}"})
    worker.study.finish(trial, [float(trial.number)])


def test_outcome_has_the_best_trial_first_and_counts_the_unfinished(run, capsys):
    first = run(finish_one)
    assert ([row["trial"] for row in first.rows], first.unfinished, first.stopped_by) == ([0], 2, 0)
    second = run(finish_one)
    assert ([row["trial"] for row in second.rows], second.unfinished) == ([1, 0], 1)
    assert second.files["table"] == Path("lightning_logs/mine/sweep.csv")
    assert capsys.readouterr().out == "mine: 3 trials (all combinations), scored by score\n" * 2


def test_error_of_a_database_is_explained_and_the_lock_is_released(run):
    def work(_):
        raise OperationalError("SELECT 1", {}, Exception("server closed the connection\nunexpectedly"))

    with pytest.raises(FirstlightError, match=r"^--storage failed: .*server closed the connection\n") as raised:
        run(work)
    assert str(raised.value).endswith("\nfinished trials are kept; run the same command again to continue")
    assert [path.name for path in Path("lightning_logs/mine").glob(".*")] == [".sweep.journal.exclusive"]
