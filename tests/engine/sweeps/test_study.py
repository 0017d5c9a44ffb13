"""Trials that workers share: exactly as many as were asked for, each with values of its own."""

import fcntl
import os
import statistics
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is the extra sweep")

from optuna.trial import TrialState

from firstlight.engine.sweeps import locks
from firstlight.engine.sweeps.plan import Choices, Plan, Range
from firstlight.engine.sweeps.study import Study, scores
from firstlight.errors import UsageError

SEARCH = {"lr": Range(0.001, 1.0, log=True), "width": Range(1, 300, log=True), "kind": Choices(("a", "b"))}


@pytest.fixture
def join():
    """Return a function that returns the trials of one sweep, as another worker has them."""
    keepers = []

    def make(trials=6, search=SEARCH, mode="min", **settings):
        keepers.append(locks.keeper("sweep.journal"))
        facts = {"monitor": "score", "mode": mode, "seed": 0, "settings": settings}
        return Study(keepers[-1], "mine", Plan(search, [{}], trials), facts)

    yield make
    for keeper in keepers:
        keeper.close()


def die(study):
    """Let go of everything, as a worker that is killed does, and leave its file behind."""
    path = study.keeper._file(study.keeper.worker["file"])
    content = path.read_bytes()
    study.keeper.close()
    path.write_bytes(content)
    study.keeper.close = lambda: None


def test_values_are_of_the_kind_and_in_the_range_that_was_asked_for(join):
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


def test_workers_that_begin_together_get_each_trial_once(join):
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


def test_trial_of_a_dead_worker_is_done_by_the_next_with_the_same_values(join):
    first, second = join(), join()
    trial = first.claim()
    others = [second.claim() for _ in range(5)]
    assert [other.number for other in others] == [1, 2, 3, 4, 5]
    assert second.claim() is None  # the first is being worked on
    die(first)
    again = second.claim()
    assert (again.number, again.params) == (trial.number, trial.params)
    assert len([path for path in Path().iterdir() if path.name.startswith(".sweep.journal.")]) == 2


def test_trial_that_was_begun_by_nobody_who_could_say_so_is_begun_again(join):
    study = join()
    study.claim()
    trial = study.study.ask()  # a worker that dies right after this has not left its name
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


def test_sweep_is_of_one_search_and_of_settings_that_are_alike(join):
    join(lr="0.1")
    join(lr="0.1", trials=9)
    with pytest.raises(UsageError, match=r"begun with another lr: 0\.1, not 0\.2"):
        join(lr="0.2")
    with pytest.raises(UsageError, match="the sweep mine was begun with another search: "):
        join(lr="0.1", search={"lr": Range(0.001, 2.0, log=True)})
    with pytest.raises(UsageError, match=r"the sweep mine was begun with another score: \['score', 'min'\], not "):
        join(lr="0.1", mode="max")


def test_values_of_a_trial_do_not_depend_on_who_does_it_or_how_often_one_begins_anew(join):
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


def test_everything_is_tried_once_where_there_is_little(join):
    search = {"width": Range(1, 3), "kind": Choices(("a", "b"))}
    study = join(trials=50, search=search)
    study.study.enqueue_trial({"width": 1, "kind": "b"})  # as chance may have had it, when fewer were asked for
    while trial := study.claim():
        study.finish(trial, [1.0])
    tried = [tuple(trial.params.values()) for trial in study.trials()]
    assert sorted(tried) == [(width, kind) for width in (1, 2, 3) for kind in "ab"]


@pytest.mark.parametrize(("mode", "order"), [("min", [1, 0, 4, 2, 3]), ("max", [4, 0, 1, 2, 3])])
def test_best_trials_come_first_then_the_pruned_and_the_failed(mode, order, join):
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
    assert scores(ranked[1]) == {"mean": 3.0, "std": pytest.approx(statistics.stdev([2, 4]))}
    assert ranked[-1].user_attrs["error"] == "reason"
    assert ranked[-1].state == TrialState.FAIL


def test_what_matters_is_what_the_score_depends_on(join):
    study = join(trials=30)
    while trial := study.claim():
        study.finish(trial, [abs(trial.params["lr"] - 0.03)])
    shares = study.importances()
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "lr"


def test_line_that_was_cut_short_is_dropped_from_a_journal(join):
    study = join()
    study.finish(study.claim(), [1.0])
    with Path("sweep.journal").open("a") as file:
        file.write('{"op_code": 6, "wor')  # as a full disk leaves it
    study = join()
    assert [trial.number for trial in (study.claim(), study.claim())] == [1, 2]
    assert join().trials(TrialState.COMPLETE)[0].value == 1.0


@pytest.mark.slow
def test_worker_that_dies_while_it_writes_is_not_waited_for_without_end(join, monkeypatch):
    monkeypatch.setattr(locks, "GRACE", 3)
    study = join()
    study.study._storage._backend._lock.acquire()
    die(study)
    assert join().claim().number == 0


def test_worker_of_another_machine_is_dead_once_it_gives_no_sign_though_its_lock_is_not_seen_here(join):
    here, there = join().keeper, join().keeper
    worker = {**there.worker, "machine": "another"}
    assert here.lives(worker)
    fcntl.flock(there._lock, fcntl.LOCK_UN)  # as where locks are those of one machine
    assert here.lives(worker)
    now = time.time()
    os.utime(there._lock, (now - 2 * locks.SILENCE,) * 2)
    there.sign()
    assert here.lives(worker)
    os.utime(there._lock, (now - 2 * locks.SILENCE,) * 2)
    assert not here.lives(worker)
