"""Signals that end a run: at once where nothing can be lost, else at the next step border, with a checkpoint."""

import os
import signal
from types import FrameType

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.processes import STOP_SIGNALS
from firstlight.engine.program import program
from firstlight.engine.runs.folders import Run
from firstlight.engine.runs.receipts import Ending

__all__ = ["Ended", "StopSignals", "Stopped"]


class Ended(SystemExit):
    """The end of a run before its time, at a border; ``status`` is what its receipt says."""

    status: Ending = "stopped"
    step = 0
    run: Run | None = None


class Stopped(Ended):
    """The end of a run by a signal; the exit status is 128 and the signal's number."""

    is_requeued = False

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __str__(self) -> str:
        if self.run is None or not self.run.last.exists():
            return f"stopped by {self.signal.name}"
        if self.is_requeued:
            return f"stopped by {self.signal.name} after step {self.step}; its job is queued again and will go on"
        how = f"{program()} fit --resume {self.run.name}"
        return f"stopped by {self.signal.name} after step {self.step}; go on with: {how}"


class StopSignals(Callback):
    """Listen for the signals that end a run.

    While a model trains, a signal is remembered until ``Checkpoints`` finds the run at a border, where it
    can be resumed from. At any other time it ends the program. A second signal ends the program at once,
    whatever it is doing.

    Args:
        wait: Wait for a border; a run that keeps no checkpoints has nothing to wait for.
    """

    def __init__(self, wait: bool = True) -> None:
        self.wait = wait
        self.number = 0
        self._training = False

    def listen(self) -> None:
        """Take the signals over; Lightning takes some itself whenever a Trainer begins to run."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._receive)

    def told(self, trainer: Trainer) -> bool:
        """Return whether to stop; all processes get the same answer, whichever of them was told."""
        if trainer.world_size > 1:
            number = torch.tensor(self.number, device=trainer.strategy.root_device)
            self.number = int(trainer.strategy.reduce(number, reduce_op="max"))
        return self.number > 0

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Listen while data and model are prepared."""
        self.listen()

    def on_sanity_check_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen, for a stop before the first step."""
        self._training = True
        self.listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen, for a stop at a border between steps."""
        self._training = True
        self.listen()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Nothing can be lost any more."""
        self._training = False

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self.listen()

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self.listen()

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen."""
        self.listen()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            os._exit(128 + number)
        self.number = number
        if not (self._training and self.wait):
            raise Stopped(number)
