from pathlib import Path

import pytest

CONFIG = "model: LinearRegression\ndata: {class_path: Houses, init_args: {num_examples: 80}}\n"
PLATEAU = "lr_scheduler: {class_path: ReduceLROnPlateau, init_args: {monitor: acc}}\ntrainer: {max_epochs: 2}"
STOPS = "trainer: {max_epochs: 2, callbacks: [{class_path: EarlyStopping, init_args: {monitor: acc, strict: STRICT}}]}"
KEEPS = "trainer: {max_epochs: 2, callbacks: [{class_path: ModelCheckpoint, init_args: {monitor: acc}}]}"
LOGGED = "but the model logs loss/val, loss/train"


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (PLATEAU, "lr_scheduler.monitor is 'acc'"),
        (STOPS.replace("STRICT", "true"), "trainer.callbacks: EarlyStopping.monitor is 'acc'"),
        (STOPS.replace("STRICT", "true").replace("acc", "''"), "trainer.callbacks: EarlyStopping.monitor is ''"),
        (KEEPS, "trainer.callbacks: ModelCheckpoint.monitor is 'acc'"),
    ],
)
def test_score_that_is_watched_and_not_logged_is_found_by_check_and_by_fit_in_the_same_words(
    text, setting, firstlight, complaint
):
    Path("my.yaml").write_text(CONFIG + text)
    answer = firstlight("check", "my.yaml")
    assert (answer.status, answer.out) == (2, f"error:   my.yaml: {setting}, {LOGGED}\n")
    assert complaint("fit", "--config", "my.yaml") == (2, f"{setting}, {LOGGED}")


def test_callback_may_wait_for_a_score_that_is_logged_later(did):
    Path("my.yaml").write_text(CONFIG + STOPS.replace("STRICT", "false"))
    assert did("check", "my.yaml") == "ok       my.yaml\n"


LATE = """
from firstlight import LinearRegression


class LogsLate(LinearRegression):
    def on_validation_epoch_end(self):
        super().on_validation_epoch_end()
        if not self.trainer.sanity_checking:
            self.log("acc", 1.0)
"""


def test_score_that_the_check_before_training_lacks_can_be_watched(did, monkeypatch):
    Path("logs_late.py").write_text(LATE)
    monkeypatch.syspath_prepend(".")
    monkeypatch.setenv("FIRSTLIGHT_PACKAGES", "logs_late")
    watched = ("--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=acc", "--trainer.max_epochs=1")
    did("fit", "--model=logs_late.LogsLate", "--data=Houses", "--data.num_examples=80", *watched)
