import json
from pathlib import Path

import pytest

SMALL = ("fit", "--config=linear_regression", "--pictures=none", "--data.num_examples=80", "--trainer.max_epochs=1")
LOGGED = "but the model logs loss/val, loss/train"


@pytest.mark.parametrize("name", ["EarlyStopping", "ModelCheckpoint"])
def test_watched_score_that_nothing_logs_ends_the_run_before_its_first_epoch_does(name, firstlight):
    answer = firstlight(
        *SMALL,
        "--data.batch_size=10",
        "--updates_per_batch=1",
        f"--trainer.callbacks={name}",
        "--trainer.callbacks.monitor=acc",
    )
    assert answer.status == 2
    assert answer.err == f"error: trainer.callbacks: {name}.monitor is 'acc', {LOGGED}\n"
    assert json.loads(Path("lightning_logs/linear_regression/version_0/run.json").read_text())["step"] == 1


def test_scores_of_training_can_be_watched(did):
    did(*SMALL, "--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=loss/train")
    did(*SMALL, "--lr_scheduler=ReduceLROnPlateau", "--lr_scheduler.monitor=loss/train")
