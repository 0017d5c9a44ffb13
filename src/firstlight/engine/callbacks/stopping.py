"""How a run ends early: the exceptions that end it, and the handlers of the signals that stop it."""

import os
import signal
import time
from types import FrameType

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.program import program
from firstlight.engine.runs.folders import Run
from firstlight.engine.runs.receipts import Ending

STEPS_BETWEEN_CHECKS = 10
"""Steps after which several processes tell each other about signals, which takes as long as a small step."""
SAME_SIGNAL = 0.1
"""Seconds within which a signal that comes twice is one: ``timeout`` sends it to a process and to its group."""


class Ended(SystemExit):
    """A run ended early, at a step boundary; its receipt gets ``status``."""

    status: Ending = "stopped"
    step = 0
    run: Run | None = None
    not_resumable: str | None = None
    """Why it cannot go on from here, if so."""


class Stopped(Ended):
    """A signal stopped the run; the exit status is 128 plus the signal's number."""

    is_requeued = False

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        if self.run is None or not self.run.last.exists():
            return f"stopped by {self.signal.name}"
        if self.is_requeued:
            return f"stopped by {self.signal.name} after step {self.step}; its job is queued again and will go on"
        how = self.not_resumable or f"go on with: {program()} fit {self.run.as_flag('--resume')}"
        return f"stopped by {self.signal.name} after step {self.step}; {how}"


class StopSignals(Callback):
    """Handle the signals that end a run.

    While a model trains, a signal is only noted: ``Checkpoints`` stops the run at the next step boundary. At any
    other time it ends the program. A second signal ends the program immediately, whatever it is doing.
    """

    defer = True
    """Whether signals are noted while a model trains; not in a run that keeps no checkpoints."""

    def __init__(self) -> None:
        self.received = 0
        """Number of the signal that arrived, 0 if none did."""
        self._is_training = False
        self._first = 0, 0.0  # the signal that arrived in this process first, and when

    def install_handlers(self) -> None:
        """Install the signal handlers of this run in place of any others."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def is_check_due(self, trainer: Trainer) -> bool:
        """Return whether :meth:`raise_if_received` has to be called after this step."""
        if trainer.world_size > 1:
            return trainer.global_step % STEPS_BETWEEN_CHECKS == 0
        return self.received > 0

    def was_received(self, trainer: Trainer) -> bool:
        """Return whether a signal arrived in any of a run's processes; all of them must ask together."""
        if trainer.world_size > 1:
            number = torch.tensor(self.received, device=trainer.strategy.root_device)
            self.received = int(trainer.strategy.reduce(number, reduce_op="max"))
        return self.received > 0

    def raise_if_received(self, trainer: Trainer) -> None:
        """Raise ``Stopped`` if a signal arrived in any of a run's processes; all of them must call this together."""
        if self.was_received(trainer):
            raise Stopped(self.received)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the handlers again: the Trainer installs its own just before it trains or evaluates."""
        self._is_training = trainer.state.fn == "fit"  # the check before training validates, too
        self.install_handlers()

    on_validation_start = on_test_start = on_predict_start = on_train_start

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """From here on a signal ends the program: there is nothing left to lose."""
        self._is_training = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        first, since = self._first
        if first and (number != first or time.monotonic() > since + SAME_SIGNAL):
            os._exit(128 + number)
        self._first = first or number, since or time.monotonic()
        if self.received:
            return
        self.received = number
        if not (self._is_training and self.defer):
            raise Stopped(number)
