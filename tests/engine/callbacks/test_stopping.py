import os
import signal
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Callback

from firstlight import AutogradCubic, Sine
from firstlight.engine.callbacks import Checkpoints, Stopped, StopSignals, stopping
from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.engine.runs.folders import Run


@pytest.fixture
def signals():
    """Return installed handlers; put those from before back in place afterwards."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handlers = StopSignals()
    handlers.install_handlers()
    yield handlers
    for number, handler in before.items():
        signal.signal(number, handler)


class Receives(AutogradCubic):
    """A model to which a signal is sent in its third step."""

    def training_step(self, batch, batch_idx):
        if self.global_step == 2:
            signal.raise_signal(self.number)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_stops_training_after_the_step(number, signals, quick_trainer):
    checkpoints = Checkpoints(folder="here", signals=signals)
    trainer = quick_trainer(max_epochs=5, enable_checkpointing=True, callbacks=[signals, checkpoints])
    model = Receives()
    model.number = number
    with pytest.raises(Stopped) as caught:
        trainer.fit(model, Sine(num_points=30, repeats=4))
    assert caught.value.code == 128 + number
    assert load_checkpoint("here/last.ckpt")["global_step"] == 3


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_outside_training_ends_the_program(number, signals):
    with pytest.raises(Stopped) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert str(caught.value) == f"stopped by {signal.Signals(number).name}"


class Handlers(Callback):
    """Keep which handlers are installed during each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, *_):
        self.seen.append({number: signal.getsignal(number) for number in STOP_SIGNALS})

    on_validation_batch_start = on_test_batch_start = on_predict_batch_start = on_train_batch_start


@pytest.mark.parametrize(
    ("stage", "sanity_steps", "batches"),
    [("fit", 0, 2), ("fit", 1, 3), ("validate", 0, 1), ("test", 0, 1), ("predict", 0, 1)],
)
def test_handlers_of_lightning_never_replace_these(stage, sanity_steps, batches, signals, quick_trainer):
    handlers = Handlers()
    trainer = quick_trainer(max_epochs=1, num_sanity_val_steps=sanity_steps, callbacks=[signals, handlers])
    getattr(trainer, stage)(AutogradCubic(), Sine(num_points=30))
    assert len(handlers.seen) == batches
    assert all(handler == signals._handle for seen in handlers.seen for handler in seen.values())


def test_second_signal_ends_the_program_immediately(signals, monkeypatch, quick_trainer):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    trainer = quick_trainer()
    trainer.state.fn = "fit"
    signals.on_train_start(trainer, AutogradCubic())
    signal.raise_signal(signal.SIGTERM)
    assert not ended
    assert signals.was_received(quick_trainer())
    signal.raise_signal(signal.SIGINT)
    assert ended == [130]


def test_signal_that_arrives_twice_at_once_is_one(signals, monkeypatch, quick_trainer):
    ended, now = [], [5.0]
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    trainer = quick_trainer()
    trainer.state.fn = "fit"
    signals.on_train_start(trainer, AutogradCubic())
    signal.raise_signal(signal.SIGTERM)
    now[0] += stopping.SAME_SIGNAL / 2
    signal.raise_signal(signal.SIGTERM)
    assert not ended
    now[0] += stopping.SAME_SIGNAL
    signal.raise_signal(signal.SIGTERM)
    assert ended == [143]


def test_message_says_how_to_resume():
    stopped = Stopped(signal.SIGTERM)
    stopped.step, stopped.run = 7, Run(Path("lightning_logs/mlp/version_3"))
    assert str(stopped) == "stopped by SIGTERM"  # there is no checkpoint to resume from
    stopped.run.checkpoints.mkdir(parents=True)
    stopped.run.last.touch()
    assert str(stopped) == "stopped by SIGTERM after step 7; go on with: firstlight fit --resume mlp/version_3"
