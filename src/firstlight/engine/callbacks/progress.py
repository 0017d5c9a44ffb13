"""The progress of training: a bar at a terminal, one line an epoch in a log file."""

import sys
import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar, TQDMProgressBar

from firstlight.engine.callbacks import lightning_internals as internals


class Bar(TQDMProgressBar):
    """Lightning's bar, but epochs count from 1, and there is no ``v_num``: the end of the folder's name."""

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Begin the bar of an epoch."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"Epoch {_number(trainer, trainer.current_epoch + 1)}")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> Any:
        """Return the scores that the bar shows."""
        return {name: score for name, score in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class EpochLines(ProgressBar):
    """Print one line an epoch: its number, the steps so far, the scores, the seconds it took.

    Of a run on a few batches, with its many short epochs, only the first, the last and the validated ones have a line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_enabled = True
        self._start_time = time.perf_counter()
        self._has_trained = False

    def disable(self) -> None:
        """Print nothing; Lightning calls this in all processes but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        """Print again."""
        self._is_enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._start_time = time.perf_counter()

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        """Note that this epoch has trained, so it gets a line."""
        self._has_trained = True

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line of the epoch before; all its scores are known by now."""
        every = (trainer.check_val_every_n_epoch or 1) if internals.typed(trainer).overfit_batches else 1
        if trainer.current_epoch == 1 or trainer.current_epoch % every == 0:
            self.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the line of the last epoch, if it has trained."""
        if not (self._is_enabled and self._has_trained):
            return
        self._has_trained = False
        scores = "  ".join(f"{name} {value:.5g}" for name, value in sorted(trainer.callback_metrics.items()))
        epoch = _number(trainer, trainer.current_epoch)
        seconds = time.perf_counter() - self._start_time
        print(f"epoch {epoch}  step {trainer.global_step}  {scores}  {seconds:.1f} s", flush=True)
        self._start_time += seconds


def progress_bar() -> ProgressBar:
    """Return a bar for a terminal, and lines for anything else."""
    return Bar(refresh_rate=20) if sys.stderr.isatty() else EpochLines()


def _number(trainer: Trainer, epoch: int) -> str:
    """Return an epoch, counted from 1, and how many there will be, if that is known.

    ``StochasticWeightAveraging`` may add one, and takes it back before that one is reported.
    """
    return f"{epoch}" if trainer.max_epochs in (None, -1) else f"{epoch}/{max(epoch, trainer.max_epochs)}"
