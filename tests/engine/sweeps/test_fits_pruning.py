import pytest

from firstlight import AutogradCubic, Sine
from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.sweeps.fits import Pruned, Pruning


@pytest.fixture
def fit(quick_trainer, tmp_path):
    """Return a function that trains four epochs, and returns what was reported and how the training ended."""

    def run(answers):
        reported = []

        def report(epoch, score):
            reported.append((epoch, score, checkpoints.best_score, checkpoints.last.exists()))
            return answers.get(epoch, False)

        checkpoints = Checkpoints(folder=str(tmp_path))
        trainer = quick_trainer(
            max_epochs=4, enable_checkpointing=True, callbacks=[checkpoints, Pruning(checkpoints, report)]
        )
        ended = None
        try:
            trainer.fit(AutogradCubic(), Sine(num_points=50, repeats=4))
        except Pruned as pruned:
            ended = pruned
        return reported, ended, trainer

    return run


def test_score_of_each_epoch_but_the_last_is_reported_once_its_checkpoints_are_written(fit):
    reported, ended, _ = fit({})
    assert ended is None
    assert [epoch for epoch, *_ in reported] == [0, 1, 2]
    scores = [score for _, score, *_ in reported]
    assert scores == sorted(scores, reverse=True)
    assert [best for *_, best, _ in reported] == scores  # it fell, so each was the best so far
    assert all(saved for *_, saved in reported)


def test_run_is_pruned_when_the_report_says_so(fit):
    reported, ended, trainer = fit({1: True})
    assert [epoch for epoch, *_ in reported] == [0, 1]
    assert (ended.status, ended.code) == ("pruned", 0)
    assert trainer.current_epoch == 2
