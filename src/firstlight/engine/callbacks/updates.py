"""Several updates in one step of the Trainer: the same run, without the Trainer's own work for most of them."""

import math
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.update_loop import UpdatingLoader

__all__ = ["SeveralUpdates"]

BATCH_HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
"""Hooks in which a callback or a model sees single batches or updates."""
UPDATE_HOOKS = ("optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping", "lr_scheduler_step")


class SeveralUpdates(Callback):
    """Take several updates in each step of the Trainer.

    A step of the Trainer costs half a millisecond however small the model is. This callback wraps the training loader:
    where the Trainer asks for a batch, it takes the updates for a few batches in a plain loop, and hands over the batch
    after them. Weights, scores, curves, counters and checkpoints come out the same to the bit; only a progress bar
    moves in larger steps. Where a setting of the Trainer, a schedule, a callback or the model depends on single batches
    or updates, the callback is turned off.

    Args:
        updates: Updates in a step of the Trainer, at most.
    """

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wrap the training loader."""
        if self.updates > 1 and not _needs_single_updates(trainer, pl_module):
            fetcher = internals.data_fetcher(trainer)
            loader, batches = UpdatingLoader(trainer, self.updates), fetcher.iterator
            fetcher.setup(cast("CombinedLoader", loader))
            fetcher.iterator = loader.take_updates(cast("CombinedLoader", batches))  # the first epoch has begun

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the x axis of what the model logs."""
        internals.count_logged_steps(trainer, trainer.global_step)


def _needs_single_updates(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Return whether anything depends on single batches or updates."""
    callbacks = [each for each in internals.callbacks_of(trainer, Callback) if not isinstance(each, ProgressBar)]
    return bool(
        not isinstance(trainer.strategy, SingleDeviceStrategy)
        or not pl_module.automatic_optimization
        or math.isinf(trainer.num_training_batches)
        or is_param_in_hook_signature(pl_module.training_step, "dataloader_iter", explicit=True)
        or trainer.val_check_batch != trainer.num_training_batches  # validation comes in mid-epoch
        or trainer.check_val_every_n_epoch is None
        or any(config.interval == "step" for config in trainer.lr_scheduler_configs)
        or getattr(trainer.precision_plugin, "scaler", None) is not None
        or not isinstance(trainer.profiler, PassThroughProfiler)  # type: ignore[attr-defined]
        or any(is_overridden(hook, pl_module) for hook in (*BATCH_HOOKS, *UPDATE_HOOKS))
        or any(_has_own(hook, callback) for hook in (*BATCH_HOOKS, "on_exception") for callback in callbacks)
    )


def _has_own(hook: str, callback: Callback) -> bool:
    """Return whether a callback has a hook of its own; those of this package know of several updates in a step."""
    module = str(getattr(callback, hook).__module__)  # built-in methods have none
    return is_overridden(hook, callback) and not module.startswith("firstlight.engine.")
