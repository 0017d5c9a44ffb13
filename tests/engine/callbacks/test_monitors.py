import pytest

SMALL = ("fit", "--config=linear_regression", "--pictures=none", "--data.num_examples=80", "--trainer.max_epochs=1")
LOGGED = "but the model logs loss/val, loss/train"


@pytest.mark.parametrize("name", ["EarlyStopping", "ModelCheckpoint"])
def test_watched_score_that_nothing_logs_ends_the_run_before_its_first_epoch_does(name, firstlight):
    answer = firstlight(*SMALL, f"--trainer.callbacks={name}", "--trainer.callbacks.monitor=acc")
    assert answer.status == 2
    assert answer.err == f"error: trainer.callbacks: {name}.monitor is 'acc', {LOGGED}\n"
    assert "epoch 1" not in answer.out


def test_scores_of_training_can_be_watched(did):
    did(*SMALL, "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=loss/train")
    did(*SMALL, "--lr_scheduler=ReduceLROnPlateau", "--lr_scheduler.monitor=loss/train")
