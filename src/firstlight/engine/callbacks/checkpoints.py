"""``best.ckpt`` and ``last.ckpt``: the best validation score, and truly the last step."""

import math
from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveInt
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, StochasticWeightAveraging
from lightning.pytorch.loops.loop import _Loop

from firstlight.engine.callbacks.stopping import Stopped, StopSignals
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint
from firstlight.engine.runs.folders import BEST_CHECKPOINT, LAST_CHECKPOINT
from firstlight.errors import NotFiniteError, UsageError
from firstlight.tasks import Task

__all__ = ["Checkpoints"]


TOGETHER = 10
"""Steps after which several processes ask each other for signals: that takes as long as a small step."""


class Checkpoints(Checkpoint):
    """Keep two checkpoints, the best by a validation score and the last, and end a run that is told to stop.

    ``best.ckpt`` is written after a validation that beat all before it. ``last.ckpt`` is written before the
    first step, at the end of each epoch, every few steps on request, and when a signal stops the run. (Lightning's
    ``ModelCheckpoint(save_last=True)`` keeps the *best* epoch as the last one when it has a monitor.)

    A run that goes on from ``last.ckpt`` takes every step and every validation that an unbroken run takes,
    so the file is never written between a step and the validation that follows it.

    Args:
        every_n_steps: Write ``last.ckpt`` every this many optimizer steps too.
        monitor: Score that chooses the best; null takes what the model says, else ``loss/val``.
        mode: Whether the smallest or the largest score is the best; null takes what the model says, else ``min``.
        folder: Where the files go; null takes ``checkpoints`` in the logger's folder.
        signals: Signals that end the run.
    """

    def __init__(
        self,
        every_n_steps: PositiveInt | None = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        folder: str | None = None,
        signals: StopSignals | None = None,
    ) -> None:
        self.every_n_steps = every_n_steps
        self.monitor = monitor
        self.mode = mode
        self.folder = Path(folder) if folder else None
        self.signals = signals or StopSignals()
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self._step = 0  # optimizer steps at the end of the batch before
        self._due = False  # last.ckpt is to be written as soon as the run stands at a border
        self._is_best = False  # the epoch that is about to end has the best score

    @property
    def last(self) -> Path:
        """The checkpoint of the last step."""
        return (self.folder or Path()) / LAST_CHECKPOINT

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return (self.folder or Path()) / BEST_CHECKPOINT

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take from the model and the logger what was not set."""
        if isinstance(pl_module, Task):
            self.monitor, self.mode = self.monitor or pl_module.monitor, self.mode or pl_module.mode
        self.monitor, self.mode = self.monitor or "loss/val", self.mode or "min"
        self.folder = trainer.strategy.broadcast(self.folder)  # only the first process knows that of a new run
        if self.folder is None:
            self.folder = Path(trainer.log_dir or trainer.default_root_dir, "checkpoints")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a first ``last.ckpt``, and read it.

        A folder that cannot be written, or hyperparameters that cannot be read again, show now, not after
        an epoch's work.
        """
        loop = trainer.fit_loop
        if loop.restarted_on_epoch_end and loop.epoch_loop.batch_progress.is_last_batch:
            # with max_steps Lightning would end that epoch a second time
            _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
            loop.reset()
        self._step = trainer.global_step
        if self._wanted(trainer) and not self.last.exists():
            self._save(trainer, self.last)
            if trainer.is_global_zero and self.last.is_file():  # some strategies write folders
                load_checkpoint(self.last)
        self._stop_if_told(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if a signal came at the end of the epoch before: now its scores are logged too."""
        self._stop_if_told(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if a signal came at the end of the last epoch; what averaged the weights has just put them in place."""
        self._stop_if_told(trainer)
        averaging = any(isinstance(callback, StochasticWeightAveraging) for callback in trainer.callbacks)  # type: ignore[attr-defined]
        if averaging and self._wanted(trainer) and trainer.is_global_zero:
            save_checkpoint({**load_checkpoint(self.last), "state_dict": pl_module.state_dict()}, self.last)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write ``last.ckpt`` where it is due, and stop where it was told."""
        step, before = trainer.global_step, self._step
        if step == before:
            return  # gradients are being accumulated: this is no border
        self._step = step
        if self.every_n_steps and step // self.every_n_steps > before // self.every_n_steps:
            self._due = True
        is_told = step % TOGETHER == 0 if trainer.world_size > 1 else self.signals.number > 0
        if not self._due and not is_told:
            return  # the usual case, in a hurry
        if not (trainer.is_last_batch or _validation_follows(trainer, batch_idx)):
            self._save_if_due(trainer)

    def has_border(self, step: int) -> bool:
        """Return whether the run has to stand at a border after so many steps."""
        return bool(self.signals.number or (self.every_n_steps and step % self.every_n_steps == 0))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``best.ckpt``, and log the score, if it is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(trainer.callback_metrics) or "nothing"
            raise UsageError(f"checkpoint.monitor is {self.monitor!r}, but the model logs {logged}")
        if not self._wanted(trainer):
            return
        score = trainer.callback_metrics[self.monitor].item()
        best = self.best_score
        if not math.isnan(score) and (best is None or (score > best if self.mode == "max" else score < best)):
            self.best_score, self.best_epoch = score, trainer.current_epoch
            self._is_best = True
            for logger in trainer.loggers:  # loss/val gives loss/best
                logger.log_metrics({f"{self.monitor.removesuffix('/val')}/best": score}, trainer.global_step - 1)
        if trainer.is_last_batch:
            return  # the epoch ends here, and both files can hold the same
        if self._is_best:
            self._save(trainer, self.best)
            self._is_best = False
        self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``last.ckpt``, and the same as ``best.ckpt`` if the epoch was the best."""
        self._due = False
        if not self._wanted(trainer):
            return
        if self._is_best:
            self._is_best = False
            self._save(trainer, self.best)
            if self.best.is_file():  # some strategies write folders
                if trainer.is_global_zero:
                    write_atomically(self.last, self.best.read_bytes())
                return
        self._save(trainer, self.last)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and its epoch."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a best score; a run that only starts from another's checkpoint has a best of its own."""
        if self.best.exists():
            self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def _save_if_due(self, trainer: Trainer) -> None:
        """Write ``last.ckpt`` if it is due or the run is to stop; the run stands at a border."""
        told = self.signals.told(trainer)
        if (self._due or told) and self._wanted(trainer):
            self._save(trainer, self.last)
        self._due = False
        if told:
            raise Stopped(self.signals.number)

    def _stop_if_told(self, trainer: Trainer) -> None:
        if self.signals.told(trainer):
            raise Stopped(self.signals.number)

    def _wanted(self, trainer: Trainer) -> bool:
        return trainer.state.fn == "fit" and not trainer.fast_dev_run  # type: ignore[attr-defined]

    def _save(self, trainer: Trainer, path: Path) -> None:
        for name, value in trainer.lightning_module.state_dict().items():
            if value.is_floating_point() and not torch.isfinite(value).all():
                raise NotFiniteError(
                    f"{name} is not a number (or infinite) after step {trainer.global_step}", self.last
                )
        trainer.save_checkpoint(path)


def _validation_follows(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether the trainer validates in mid-epoch right after this batch."""
    every = trainer.val_check_batch
    if every is None or not trainer.enable_validation:
        return False
    whole_run = trainer.check_val_every_n_epoch is None
    return ((trainer.fit_loop.total_batch_idx if whole_run else batch_idx) + 1) % every == 0
