"""Around each step: its random numbers are seeded, and its loss is logged and checked."""

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.data.seeds import key_seed
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.nan_checks import check_loss

__all__ = ["StepLoss", "StepSeeds"]

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
        self._start = 0  # seed of the epoch

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the first process's seed: where a seed is drawn, each process drew one."""
        self.seed = trainer.strategy.broadcast(self.seed)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, perhaps in the middle of an epoch."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin an epoch."""
        self._start = key_seed(self.seed, trainer.global_rank, trainer.current_epoch)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed torch, NumPy and Python."""
        self.seed_step(batch_idx)

    def seed_step(self, batch_idx: int, *, torch_alone: bool = False) -> None:
        """Seed all generators, or torch's alone: the others take longer than a small model's update."""
        seed = (self._start + batch_idx * GOLDEN) % 2**64
        torch.default_generator.manual_seed(seed)  # torch.manual_seed does the same, a hundred times slower
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed(seed)
        if not torch_alone:
            random.seed(seed >> 32)
            np.random.seed(seed >> 32)


class StepLoss(Callback):
    """Look at the loss every ``log_every_n_steps`` steps: log it, and end a run where it is no number any more.

    It is logged as ``loss/step``, of the one batch that was looked at, averaged over processes.

    Args:
        checkpoints: Where the last good checkpoint is.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._step = 0  # optimizer steps at the end of the batch before

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count where the run does."""
        self._step = trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss, now and then: looking waits for the device."""
        step, before, every = trainer.global_step, self._step, internals.log_every_n_steps(trainer)
        self._step = step
        due = every > 0 and step // every > before // every
        if not due and not trainer.is_last_batch:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is None:
            return  # the model skipped the batch
        value = float(trainer.strategy.reduce(loss.detach(), reduce_op="mean")) * trainer.accumulate_grad_batches
        check_loss(value, step, self.checkpoints.last)
        for logger in trainer.loggers if due else []:
            logger.log_metrics({"loss/step": value}, step=step - 1)  # steps count from 0, as Lightning's do
