"""Seed the random numbers of each step, and log and check its loss."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.model_helpers import is_overridden

from firstlight.data.seeds import key_seed, nth_seed, seed_generators
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.nan_checks import check_loss

TRANSFER_HOOKS = "on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer"


class StepSeeds(Callback):
    """Seed the random number generators before each step, from (seed, process, epoch, batch) alone.

    Dropout and the like then draw the same numbers after a resume as in an unbroken run, and no generator's state
    has to be saved. The same holds for hooks at an epoch's start, and for those that change a batch on its way to the
    device. Callbacks before this one draw unseeded numbers.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._epoch_seed = self._hook_seed = 0
        self._seed_device: Callable[[int], None] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Use the first process's seed; without a set seed, each process has drawn its own."""
        self.seed = trainer.strategy.broadcast(self.seed)
        device = trainer.strategy.root_device.type  # torch.cuda, torch.mps and torch.xpu have a generator of their own
        self._seed_device = getattr(getattr(torch, device), "manual_seed", None)
        if owner := transfer_owner(trainer):
            hook = owner.on_before_batch_transfer

            @wraps(hook)
            def seeded_hook(batch: Any, dataloader_idx: int) -> Any:
                if trainer.training:
                    self._seed(nth_seed(self._hook_seed, 1 + internals.batch_counter(trainer).current.ready))
                return hook(batch, dataloader_idx)

            owner.on_before_batch_transfer = seeded_hook

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the hook as it was."""
        if owner := transfer_owner(trainer):
            vars(owner).pop("on_before_batch_transfer", None)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compute the seeds of the epoch, and seed the hooks at its start."""
        key = self.seed, trainer.global_rank, trainer.current_epoch
        self._epoch_seed, self._hook_seed = key_seed(*key), key_seed(*key, 0)
        self._seed(self._hook_seed)

    on_train_start = on_train_epoch_start  # for an epoch that is resumed in its middle

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed PyTorch, NumPy and Python."""
        self.seed_step(batch_idx)

    def seed_step(self, batch_idx: int, *, torch_only: bool = False) -> None:
        """Seed all generators, or only PyTorch's: the others take longer than a small model's update."""
        self._seed(nth_seed(self._epoch_seed, batch_idx), torch_only=torch_only)

    def _seed(self, seed: int, *, torch_only: bool = False) -> None:
        if self._seed_device:
            self._seed_device(seed)
        if torch_only:
            torch.default_generator.manual_seed(seed)
        else:
            seed_generators(seed)


def transfer_owner(trainer: Trainer) -> Any:
    """Return what has the hook before a batch's way to the device, data or model; None if neither acts on the way."""
    parts = internals.typed(trainer).datamodule, trainer.lightning_module
    if not any(is_overridden(hook, part) for hook in TRANSFER_HOOKS for part in parts):
        return None
    return parts[0] if is_overridden(TRANSFER_HOOKS[0], parts[0]) else parts[1]


class StepLoss(Callback):
    """Log the loss every ``log_every_n_steps`` steps, and end the run if it is NaN or infinite.

    It is logged as ``loss/step``: the loss of one batch, averaged over processes.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._previous_step = 0  # optimizer steps at the end of the batch before
        self._finite_at = 0  # and when the loss was last checked

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start at the step that the run starts or resumes at."""
        self._previous_step = self._finite_at = trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        """Log and check the loss, but not of each step: reading it waits for the device."""
        step, every = trainer.global_step, internals.typed(trainer).log_every_n_steps
        is_logged = every > 0 and step // every > self._previous_step // every
        self._previous_step = step
        if not is_logged and not trainer.is_last_batch:
            return
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if loss is None:
            return  # the model skipped the batch
        value = float(trainer.strategy.reduce(loss.detach(), reduce_op="mean")) * trainer.accumulate_grad_batches
        check_loss(value, step, self.checkpoints.last, finite_at=self._finite_at)
        self._finite_at = step
        for logger in trainer.loggers if is_logged else []:
            logger.log_metrics({"loss/step": value}, step=step - 1)  # steps count from 0, as Lightning's do
