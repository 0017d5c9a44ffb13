import os
import signal
from pathlib import Path

import pytest

from firstlight import AutogradCubic, Sine
from firstlight.engine.callbacks import Checkpoints, Stopped, StopSignals
from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.engine.runs.folders import Run


@pytest.fixture
def signals():
    """Return a listener; afterwards the signals are heard as before."""
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    listener = StopSignals()
    listener.listen()
    yield listener
    for number, handler in handlers.items():
        signal.signal(number, handler)


class Receives(AutogradCubic):
    """A model to which a signal is sent in its third step."""

    def training_step(self, batch, batch_idx):
        if self.global_step == 2:
            signal.raise_signal(self.number)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_ends_a_training_after_its_step(number, signals, quick_trainer):
    checkpoints = Checkpoints(folder="here", signals=signals)
    trainer = quick_trainer(max_epochs=5, enable_checkpointing=True, callbacks=[signals, checkpoints])
    model = Receives()
    model.number = number
    with pytest.raises(Stopped) as caught:
        trainer.fit(model, Sine(num_points=30, repeats=4))
    assert caught.value.code == 128 + number
    assert load_checkpoint("here/last.ckpt")["global_step"] == 3


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_signal_outside_of_a_training_ends_the_program(number, signals):
    with pytest.raises(Stopped) as caught:
        signal.raise_signal(number)
    assert caught.value.code == 128 + number
    assert str(caught.value) == f"stopped by {signal.Signals(number).name}"


def test_second_signal_ends_the_program_at_once(signals, monkeypatch, quick_trainer):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    signals.on_train_start(quick_trainer(), AutogradCubic())
    signal.raise_signal(signal.SIGTERM)
    assert not ended
    assert signals.told(quick_trainer())
    signal.raise_signal(signal.SIGINT)
    assert ended == [130]


def test_stop_says_how_to_go_on():
    stopped = Stopped(signal.SIGTERM)
    stopped.step, stopped.run = 7, Run(Path("lightning_logs/mlp/version_3"))
    assert str(stopped) == "stopped by SIGTERM"  # there is nothing to go on from
    stopped.run.checkpoints.mkdir(parents=True)
    stopped.run.last.touch()
    assert str(stopped) == "stopped by SIGTERM after step 7; go on with: firstlight fit --resume mlp/version_3"
