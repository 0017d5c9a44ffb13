"""When ``best.ckpt`` and ``last.ckpt`` are written: the best validation score, and truly the last step."""

import math
import os
from collections.abc import Collection
from errno import ENOENT
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import PositiveInt
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, StochasticWeightAveraging
from lightning.pytorch.loggers import TensorBoardLogger

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.nan_checks import check_weights
from firstlight.engine.callbacks.step_boundaries import after_hook, is_step_boundary, log_step
from firstlight.engine.callbacks.stopping import Stopped, StopSignals
from firstlight.engine.files import make_folder, write_atomically
from firstlight.engine.runs.checkpoint_files import load_checkpoint, save_checkpoint
from firstlight.engine.runs.folders import BEST_CHECKPOINT, LAST_CHECKPOINT
from firstlight.errors import UsageError
from firstlight.tasks import Task

TRAINED_WEIGHTS = "current_model_state"
"""Key of the weights that training goes on with, where those of a checkpoint are averages; Lightning's own name."""


class Checkpoints(Checkpoint):
    """Keep two checkpoints, the best by a validation score and the last, and stop a run that got a signal.

    ``best.ckpt`` is written after a validation that beat all before it. ``last.ckpt`` is written before the
    first step, at the end of each epoch, every few steps on request, and when a signal stops the run. (Lightning's
    ``ModelCheckpoint(save_last=True)`` keeps the *best* epoch as the last one when it has a monitor.)

    A run resumed from ``last.ckpt`` takes every step and every validation that an unbroken run takes: the file is
    written only at a step boundary (see :mod:`~firstlight.engine.callbacks.step_boundaries`).

    Args:
        every_n_steps: Write ``last.ckpt`` every this many optimizer steps too.
        monitor: Score that chooses the best; null takes what the model says, else the only validation loss it logs.
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
        self._is_chosen = False  # whether the monitor was not asked for, but found among what the model logs
        self._is_without_best = False  # whether it was said that there is none
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self._previous_step = 0  # optimizer steps at the end of the batch before
        self._last_is_due = False  # last.ckpt is to be written at the next step boundary
        self._best_is_due = False  # best.ckpt is to be written at the next step boundary

    @property
    def last(self) -> Path:
        """The checkpoint of the last step."""
        return (self.folder or Path()) / LAST_CHECKPOINT

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return (self.folder or Path()) / BEST_CHECKPOINT

    def must_see_step(self, step: int) -> bool:
        """Return whether the hooks of this callback have to be called after that many optimizer steps."""
        return bool(self.signals.received or (self.every_n_steps and step % self.every_n_steps == 0))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take from the model and the logger what was not set, and come last: checkpoints hold what others did."""
        typed = internals.typed(trainer)
        typed.callbacks = [*(each for each in typed.callbacks if each is not self), self]
        if isinstance(pl_module, Task):
            self.monitor, self.mode = self.monitor or pl_module.monitor, self.mode or pl_module.mode
        self.mode = self.mode or "min"
        self.folder = trainer.strategy.broadcast(self.folder)  # only the first process knows that of a new run
        if self.folder is None:
            self.folder = Path(trainer.log_dir or trainer.default_root_dir, "checkpoints")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a first ``last.ckpt``.

        A folder that cannot be written, or hyperparameters that cannot be read again, fail now, not after an epoch.
        """
        self._previous_step = trainer.global_step
        if _is_saved(trainer) and trainer.is_global_zero:
            make_folder(self.last.parent)
        if _is_saved(trainer) and not self.last.exists():
            self._save(trainer, self.last)
        self.signals.raise_if_received(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if a signal came at the end of the epoch before; its scores are logged by now."""
        self.signals.raise_if_received(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write ``last.ckpt`` every few steps and when a signal came, unless a validation has to come first."""
        step, previous_step = trainer.global_step, self._previous_step
        if step == previous_step:
            return  # gradients are being accumulated
        self._previous_step = step
        if self.every_n_steps and step // self.every_n_steps > previous_step // self.every_n_steps:
            self._last_is_due = True
        if (self._last_is_due or self.signals.is_check_due(trainer)) and is_step_boundary(trainer, batch_idx):

            def end_step() -> None:
                log_step(trainer)
                self._save_last_or_stop(trainer)

            after_hook(pl_module, "on_train_batch_end", end_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``best.ckpt`` if the score is the best so far; at the end of an epoch, that waits for its end."""
        if trainer.state.fn != "fit":
            return
        score = self._score(trainer)
        if trainer.sanity_checking or not _is_saved(trainer):
            return
        if score is not None:
            self._compare(trainer, trainer.strategy.broadcast(score))  # all must decide the same
        if trainer.is_last_batch or internals.is_stopping(trainer):
            return  # the epoch ends here, and both files can hold the same
        after_hook(pl_module, "on_validation_end", partial(self._save_last_or_stop, trainer))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``last.ckpt``, and the same as ``best.ckpt`` if the epoch was the best."""
        best_is_due, self._best_is_due, self._last_is_due = self._best_is_due, False, False
        if not _is_saved(trainer):
            return
        internals.log_epoch(trainer)  # what a checkpoint counts as done is in the curves already
        if best_is_due:
            self._save(trainer, self.best)
            if self.best.is_file():  # some strategies write folders
                if trainer.is_global_zero:
                    write_atomically(self.last, self.best.read_bytes())
                return
        self._save(trainer, self.last)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop, if a signal came at the end of the last epoch; else keep weights that were averaged just now."""
        self.signals.raise_if_received(trainer)
        if internals.callbacks_of(trainer, StochasticWeightAveraging) and _is_saved(trainer) and trainer.is_global_zero:
            checkpoint = load_checkpoint(self.last)
            trained = checkpoint.get(TRAINED_WEIGHTS, checkpoint["state_dict"])
            save_checkpoint({**checkpoint, "state_dict": pl_module.state_dict(), TRAINED_WEIGHTS: trained}, self.last)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far, its name and its epoch."""
        return {"monitor": self.monitor, "best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a best score; a run that only starts from another's checkpoint has a best of its own."""
        monitor = state_dict.get("monitor", self.monitor)
        if self.monitor is None:
            self.monitor, self._is_chosen = monitor, monitor is not None
        if self.best.exists() and monitor == self.monitor:
            self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def _score(self, trainer: Trainer) -> float | None:
        """Return the score of a validation, None if it has none that could be meant.

        One that was asked for and is not logged is refused. The sanity check, before training, need not log all scores,
        but those of validation.
        """
        logged = trainer.callback_metrics
        if self.monitor is None:
            self.monitor = only_validation_loss(logged.keys() - _names_of_training(trainer))
            self._is_chosen = self.monitor is not None
        if self.monitor in logged:
            return float(logged[self.monitor])
        names = ", ".join(logged) or "nothing"
        if self.monitor and not self._is_chosen and (not trainer.sanity_checking or (logged and "val" in self.monitor)):
            raise UsageError(f"checkpoint.monitor is {self.monitor!r}, but the model logs {names}")
        if not self.monitor and not self._is_without_best and not trainer.sanity_checking and _is_saved(trainer):
            self._is_without_best = True
            if trainer.is_global_zero:
                print(f"no best.ckpt is kept, as the model logs {names}: choose a score with --checkpoint.monitor")
        return None

    def _compare(self, trainer: Trainer, score: float) -> None:
        """Keep and log a score if it is better than all before; NaN never is."""
        best = self.best_score
        if math.isnan(score) or (best is not None and not (score > best if self.mode == "max" else score < best)):
            return
        self.best_score, self.best_epoch, self._best_is_due = score, trainer.current_epoch, True
        for logger in trainer.loggers:  # loss/val gives loss/best; TensorBoard has a table of best scores
            if not isinstance(logger, TensorBoardLogger):
                logger.log_metrics({f"{str(self.monitor).removesuffix('/val')}/best": score}, trainer.global_step - 1)

    def _save_last_or_stop(self, trainer: Trainer) -> None:
        """Write the files that are due, and stop the run at this step boundary if a signal came."""
        if self._best_is_due:
            self._save(trainer, self.best)
            self._best_is_due = False
        is_stopped = self.signals.was_received(trainer)
        if (self._last_is_due or is_stopped) and _is_saved(trainer):
            self._save(trainer, self.last)
        self._last_is_due = False
        if is_stopped:
            raise Stopped(self.signals.received)

    def _save(self, trainer: Trainer, path: Path) -> None:
        check_weights(trainer.lightning_module, trainer.global_step, self.last)
        if trainer.is_global_zero and not path.parent.is_dir():
            raise FileNotFoundError(ENOENT, os.strerror(ENOENT), str(path.parent))  # a strategy would make another one
        for logger in trainer.loggers:
            logger.save()  # a kill must not leave curves behind the checkpoint
        trainer.save_checkpoint(path)


def _is_saved(trainer: Trainer) -> bool:
    return trainer.state.fn == "fit" and not internals.typed(trainer).fast_dev_run


def _names_of_training(trainer: Trainer) -> set[str]:
    """Return the names of scores that training has logged and validation has not, also those for single steps."""
    results = internals.training_results(trainer), internals.validation_results(trainer)
    trained, validated = ({result.meta.name for result in each.values()} for each in results)
    return {name + end for name in trained - validated for end in ("", "_step", "_epoch")}


def only_validation_loss(logged: Collection[str]) -> str | None:
    """Return the one name among those of logged scores that can be a validation loss; None if none or several can.

    ``loss/val`` is taken first, then a loss with ``val`` in its name, then one without ``train`` in it.
    """
    if "loss/val" in logged:
        return "loss/val"
    losses = [name for name in logged if "loss" in name.lower() and "train" not in name.lower()]
    # self.log(..., on_step=True, on_epoch=True) logs val_loss, val_loss_step and val_loss_epoch
    losses = [name for name in losses if not (name.endswith(("_step", "_epoch")) and name.rpartition("_")[0] in losses)]
    names = [name for name in losses if "val" in name.lower()] or losses
    return names[0] if len(names) == 1 else None
