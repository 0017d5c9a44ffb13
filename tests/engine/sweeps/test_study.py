"""Workers share the trials of a sweep: each trial is run once, and no more are run than asked for."""

import statistics
import threading
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from firstlight.engine.sweeps.plan import Plan
from firstlight.engine.sweeps.storage import open_storage
from firstlight.engine.sweeps.study import Study, standard_deviation
from firstlight.errors import UsageError

SEARCH = {
    "lr": FloatDistribution(0.001, 1.0, log=True),
    "width": IntDistribution(1, 300, log=True),
    "kind": CategoricalDistribution(("a", "b")),
}


@pytest.fixture
def join():
    """Return a function that joins one sweep as another worker, and returns its study."""
    storages = []

    def make(trials=6, search=SEARCH, mode="min", **settings):
        storages.append(open_storage("sweep.journal"))
        facts = {"monitor": "score", "mode": mode, "seed": 0, "settings": settings}
        return Study(storages[-1], "mine", Plan(search, [{}], trials), facts)

    yield make
    for storage in storages:
        storage.release_lock()


def kill(study):
    """Release a worker's lock as the end of its process does, which leaves its file behind."""
    study.storage._worker_lock.release()


def test_values_have_the_type_and_the_range_of_the_plan(join):
    study = join(trials=30)
    trials = [study.claim() for _ in range(30)]
    assert study.claim() is None
    for trial in trials:
        assert 0.001 <= trial.params["lr"] <= 1
        assert type(trial.params["width"]) is int
        assert 1 <= trial.params["width"] <= 300
        assert trial.params["kind"] in ("a", "b")
    assert sum(trial.params["lr"] < 0.0316 for trial in trials) == pytest.approx(15, abs=6)
    assert sum(trial.params["width"] < 17 for trial in trials) == pytest.approx(15, abs=6)


def test_workers_that_start_together_claim_each_trial_once(join):
    workers = [join(trials=8) for _ in range(4)]
    start, claimed = threading.Barrier(4), []

    def work(study):
        start.wait()
        while trial := study.claim():
            claimed.append((trial.number, trial.params["lr"]))
            study.finish(trial, [trial.number])

    threads = [threading.Thread(target=work, args=[study]) for study in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in claimed) == [*range(8)]
    assert len({lr for _, lr in claimed}) == 8
    assert len(workers[0].trials()) == 8
    assert workers[0].unfinished() == 0


def test_next_worker_runs_the_trial_of_a_dead_one_with_the_same_values(join):
    first, second = join(), join()
    trial = first.claim()
    others = [second.claim() for _ in range(5)]
    assert [other.number for other in others] == [1, 2, 3, 4, 5]
    assert second.claim() is None  # the first worker runs the last one
    kill(first)
    again = second.claim()
    assert (again.number, again.params) == (trial.number, trial.params)
    assert len([path for path in Path().iterdir() if path.name.startswith(".sweep.journal.")]) == 2


def test_running_trial_that_names_no_worker_is_started_again(join):
    study = join()
    study.claim()
    trial = study.optuna_study.ask()  # as a worker that dies before it can name itself
    assert trial.number == 1
    assert study.claim().number == 1


def test_number_of_trials_can_be_raised_and_lowered(join):
    study = join(trials=2)
    for _ in range(2):
        study.finish(study.claim(), [1.0])
    assert study.claim() is None
    more = join(trials=4)
    assert [more.claim().number for _ in range(2)] == [2, 3]
    assert more.claim() is None
    assert len(more.trials()) == 4
    more = join(trials=7)
    assert more.claim().number == 4
    assert join(trials=5).claim() is None  # though two wait
    assert join(trials=6).claim().number == 5


def test_sweep_with_another_search_or_other_settings_is_refused(join):
    join(lr="0.1")
    join(lr="0.1", trials=9)
    with pytest.raises(UsageError, match=r"started with another lr: 0\.1, not 0\.2"):
        join(lr="0.2")
    with pytest.raises(UsageError, match="the sweep mine was started with another search: "):
        join(lr="0.1", search={"lr": FloatDistribution(0.001, 2.0, log=True)})
    with pytest.raises(UsageError, match=r"the sweep mine was started with another score: \['score', 'min'\], not "):
        join(lr="0.1", mode="max")


def test_values_of_a_trial_do_not_depend_on_its_worker_or_on_restarts(join):
    one = join(trials=3)
    expected = []
    for _ in range(3):
        trial = one.claim()
        one.finish(trial, [trial.params["lr"]])
        expected.append(trial.params)
    Path("sweep.journal").unlink()
    found = []
    for _ in range(3):
        study = join(trials=3)
        trial = study.claim()
        study.finish(trial, [trial.params["lr"]])
        found.append(trial.params)
    assert found == expected


def test_each_combination_is_tried_once_if_there_are_fewer_than_trials(join):
    search = {"width": IntDistribution(1, 3), "kind": CategoricalDistribution(("a", "b"))}
    study = join(trials=50, search=search)
    study.optuna_study.enqueue_trial(
        {"width": 1, "kind": "b"}
    )  # as the sampler may have chosen, when there were fewer trials
    while trial := study.claim():
        study.finish(trial, [1.0])
    tried = [tuple(trial.params.values()) for trial in study.trials()]
    assert sorted(tried) == [(width, kind) for width in (1, 2, 3) for kind in "ab"]


@pytest.mark.parametrize(("mode", "order"), [("min", [1, 0, 4, 2, 3]), ("max", [4, 0, 1, 2, 3])])
def test_best_trials_rank_first_then_the_pruned_then_the_failed(mode, order, join):
    study = join(trials=5, mode=mode)
    study.finish(study.claim(), [2.0, 4.0])
    study.finish(study.claim(), [1.0, 2.0])
    pruned = study.claim()
    pruned.report(0.0 if mode == "min" else 9.0, 0)
    study.prune(pruned)
    study.fail(study.claim(), "reason")
    study.finish(study.claim(), [5.0, 5.0])
    ranked = study.ranked()
    assert [trial.number for trial in ranked] == order
    assert ranked[1].value == 3.0
    assert standard_deviation(ranked[1].user_attrs["scores"]) == pytest.approx(statistics.stdev([2, 4]))
    assert ranked[-1].user_attrs["error"] == "reason"
    assert ranked[-1].state == TrialState.FAIL


def test_setting_that_the_score_depends_on_is_the_most_important(join):
    study = join(trials=30)
    while trial := study.claim():
        study.finish(trial, [abs(trial.params["lr"] - 0.03)])
        if len(study.trials(TrialState.COMPLETE)) < 20:
            assert study.importances() == {}
    found = study.importances()
    assert found == study.importances()
    assert sum(share for share, *_ in found.values()) == pytest.approx(1)
    assert max(found, key=found.get) == "lr"
    assert all(low <= share <= high for share, low, high in found.values())
    assert found["lr"][1] < found["lr"][2]
