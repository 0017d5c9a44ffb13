"""What is done around each step so that a run can be trusted: its random numbers, and a loss that is a number."""

import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.callbacks.checkpoints import Checkpoints
from firstlight.data.batches import key_seed
from firstlight.errors import NotFiniteError

__all__ = ["FiniteLoss", "StepSeeds"]

GOLDEN = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio: its multiples lie far apart, however many there are


class StepSeeds(Callback):
    """Make the random numbers of a step a function of (seed, process, epoch, batch) and of nothing else.

    Dropout and the like then draw, after a resume at any step, what they would have drawn in an unbroken
    run, and no generator's state has to be saved.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._epoch: int | None = None
        self._start = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed torch, NumPy and Python."""
        epoch = trainer.current_epoch
        if epoch != self._epoch:
            self._epoch, self._start = epoch, key_seed(self.seed, trainer.global_rank, epoch)
        seed = (self._start + batch_idx * GOLDEN) % 2**64
        torch.default_generator.manual_seed(seed)  # torch.manual_seed does the same, a hundred times slower
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        random.seed(seed >> 32)
        np.random.seed(seed >> 32)


class FiniteLoss(Callback):
    """End a run whose loss is no number any more, or infinite, within ``log_every_n_steps`` steps.

    Args:
        checkpoints: Where the last good checkpoint is.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss, now and then: looking waits for the device."""
        every = max(trainer.log_every_n_steps, 1)  # type: ignore[attr-defined]
        if (trainer.fit_loop.total_batch_idx + 1) % every and not trainer.is_last_batch:
            return
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        finite = loss is None or bool(torch.isfinite(loss).all())
        if not trainer.strategy.reduce_boolean_decision(finite, all=True):
            raise NotFiniteError(f"the loss is {float(loss)} at step {trainer.global_step}", self.checkpoints.last)
