"""``best.ckpt`` and ``last.ckpt``: the best validation score, and truly the last step."""

from pathlib import Path
from typing import Any, Literal

import torch
from jsonargparse.typing import PositiveInt
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from firstlight.errors import UsageError
from firstlight.tasks import Task

__all__ = ["Checkpoints"]


class Checkpoints(Checkpoint):
    """Keep two checkpoints: the best by a validation score, and the last.

    ``best.ckpt`` is written after a validation that beat all before it. ``last.ckpt`` is written at the
    end of each epoch, and every few steps on request. (Lightning's ``ModelCheckpoint(save_last=True)``
    keeps the *best* epoch as the last one when it has a monitor.)

    Args:
        every_n_steps: Write ``last.ckpt`` every this many optimizer steps too.
        monitor: Score that chooses the best; null takes what the model says, else ``loss/val``.
        mode: Whether the smallest or the largest score is the best; null takes what the model says, else ``min``.
        folder: Where the files go; the command line sets it to the run's folder.
    """

    def __init__(
        self,
        every_n_steps: PositiveInt | None = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
        folder: str | None = None,
    ) -> None:
        self.every_n_steps = every_n_steps
        self.monitor = monitor
        self.mode = mode
        self.folder = Path(folder) if folder else None
        self.best_score: float | None = None
        self.best_epoch: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take from the model what was not set."""
        if isinstance(pl_module, Task):
            self.monitor, self.mode = self.monitor or pl_module.monitor, self.mode or pl_module.mode
        self.monitor, self.mode = self.monitor or "loss/val", self.mode or "min"
        if self.folder is None:
            self.folder = Path(trainer.log_dir or trainer.default_root_dir, "checkpoints")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``best.ckpt`` if the score is the best so far."""
        if trainer.sanity_checking or not self._wanted(trainer):
            return
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(trainer.callback_metrics) or "nothing"
            raise UsageError(f"checkpoint.monitor {self.monitor!r} is not a score that the model logs: {logged}")
        score = trainer.callback_metrics[self.monitor].item()
        best = self.best_score
        if best is None or (score > best if self.mode == "max" else score < best):
            self.best_score, self.best_epoch = score, trainer.current_epoch
            self._save(trainer, "best.ckpt")

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Write ``last.ckpt`` every ``every_n_steps`` optimizer steps."""
        step = trainer.global_step
        if self.every_n_steps and step % self.every_n_steps == 0 and self._wanted(trainer):
            self._save(trainer, "last.ckpt")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write ``last.ckpt``."""
        if self._wanted(trainer):
            self._save(trainer, "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far and its epoch."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a best score."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]

    def _wanted(self, trainer: Trainer) -> bool:
        return trainer.state.fn == "fit" and not trainer.fast_dev_run  # type: ignore[attr-defined]

    def _save(self, trainer: Trainer, name: str) -> None:
        assert self.folder is not None
        trainer.save_checkpoint(self.folder / name)
