"""Several updates in one step of the Trainer: the same run, without the Trainer's own work for most of them."""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.steps import StepLoss, StepSeeds, transfer_owner

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
    """Take several updates in each step of the Trainer, as many as ``updates`` at most.

    A step of the Trainer costs half a millisecond however small the model is. This callback wraps the training loader:
    where the Trainer asks for a batch, it takes the updates for a few batches in a plain loop, and hands over the batch
    after them. Weights, scores, curves, counters and checkpoints come out the same to the bit; only a progress bar
    moves in larger steps. Where a setting of the Trainer, a schedule, a callback or the model depends on single batches
    or updates, the callback is turned off.
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
        or not isinstance(internals.typed(trainer).profiler, PassThroughProfiler)
        or any(is_overridden(hook, pl_module) for hook in (*BATCH_HOOKS, *UPDATE_HOOKS))
        or any(_has_own(hook, callback) for hook in (*BATCH_HOOKS, "on_exception") for callback in callbacks)
    )


def _has_own(hook: str, callback: Callback) -> bool:
    """Return whether a callback has a hook of its own; those of this package know of several updates in a step."""
    module = str(getattr(callback, hook).__module__)  # built-in methods have none
    return is_overridden(hook, callback) and not module.startswith("firstlight.engine.")


class UpdatingLoader:
    """The training loader of a Trainer; between the batches that it hands over it takes the updates for others."""

    def __init__(self, trainer: Trainer, updates: int) -> None:
        self.trainer, self.updates = trainer, updates
        self.fetcher = internals.data_fetcher(trainer)
        self.loader = self.fetcher.combined_loader
        self.take_update = _Update(trainer)
        self.checkpoints = internals.callbacks_of(trainer, Checkpoints)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        return self.take_updates(iter(self.loader))

    def reset(self) -> None:
        """Reset the loader."""
        self.loader.reset()

    def take_updates(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Take the updates for a few batches, and yield the one after them; an epoch's last batch is always yielded."""
        while (fetched := next(batches, None)) is not None:
            with internals.logged_in_hook(self.trainer.lightning_module):
                for step in self._next_steps():
                    if self.trainer.should_stop or any(each.must_see_step(step + 1) for each in self.checkpoints):
                        break
                    self.take_update(fetched[0], step)
                    if internals.is_stopping(self.trainer):
                        internals.end_batch(self.trainer, step)
                        return
                    fetched = next(batches, None)
                    if fetched is None:
                        return  # there were fewer batches than the loader said
                    self.fetcher.fetched += 1
            yield fetched

    def _next_steps(self) -> range:
        trainer = self.trainer
        if trainer.accumulate_grad_batches > 1 or trainer.gradient_clip_val or trainer.max_steps != -1:
            return range(0)  # a callback may have set them since training began
        left = (self.fetcher.length or 0) - self.fetcher.fetched
        return range(trainer.global_step, trainer.global_step + min(self.updates, left) - 1)


class _Update:
    """Take the update for a batch: what the Trainer does, in the same order, but for hooks.

    Whatever can be looked up once is: a look-up in every step would take as long as a small model's update.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.model = trainer, trainer.lightning_module
        self.optimizer, self.precision = trainer.strategy.optimizers[0], trainer.precision_plugin
        self.batches, counter = internals.batch_counter(trainer), internals.optimizer_counter(trainer)
        self.steps, self.zero_grads = counter.step, counter.zero_grad
        self.logs, self.every_n_steps = internals.step_logs(trainer), internals.typed(trainer).log_every_n_steps
        self.seeds, self.losses = internals.callbacks_of(trainer, StepSeeds), internals.callbacks_of(trainer, StepLoss)
        # the documented models and data draw from PyTorch's generator only
        parts = (self.model, internals.typed(trainer).datamodule)
        self.torch_only = all(type(part).__module__.startswith("firstlight.") for part in parts)
        self.takes_index = is_param_in_hook_signature(self.model.training_step, "batch_idx", min_args=2)
        self.transfer = _transfer(trainer)
        self.output: Any = None

    def __call__(self, fetched: Any, step: int) -> None:
        """Take the update for a batch, after that many steps."""
        batch, index = self.transfer(fetched), self.batches.current.ready
        self.batches.increment_ready()
        self.logs.on_batch_start(batch)
        for seeds in self.seeds:
            seeds.seed_step(index, torch_only=self.torch_only)
        self.batches.increment_started()
        self.steps.increment_ready()
        arguments = (batch, index) if self.takes_index else (batch,)
        self.optimizer.step(closure=partial(self._loss_and_gradient, *arguments))
        self.steps.increment_completed()
        self.batches.increment_processed()
        self.batches.increment_completed()
        if self.every_n_steps and (step + 1) % self.every_n_steps == 0:
            internals.count_logged_steps(self.trainer, step)
            for losses in self.losses:
                losses.on_train_batch_end(self.trainer, self.model, self.output, batch, index)
            self.logs.on_batch_end()
            self.logs.update_train_step_metrics()

    def _loss_and_gradient(self, *arguments: Any) -> Any:
        if not torch.is_grad_enabled():  # most optimizers enable gradients, but some leave that to the closure
            with torch.enable_grad():
                return self._loss_and_gradient(*arguments)
        with self.precision.train_step_context():
            self.output = self.model.training_step(*arguments)
        loss = self.output["loss"] if isinstance(self.output, Mapping) else self.output
        self.zero_grads.increment_ready()
        self.zero_grads.increment_started()
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None  # what zero_grad does, in a twentieth of the time
        self.zero_grads.increment_completed()
        if loss is not None:
            self.model.backward(loss)
        return loss


def _transfer(trainer: Trainer) -> Callable[[Any], Any]:
    """Return a function that brings a fetched batch to the model's device and precision, as the Trainer does."""
    owner, strategy = transfer_owner(trainer), trainer.strategy
    convert, device = trainer.precision_plugin.convert_input, strategy.root_device
    previous = moved = None

    def transfer(fetched: Any) -> Any:
        nonlocal previous, moved
        if owner:
            return strategy.batch_to_device(owner.on_before_batch_transfer(convert(fetched), 0))
        if fetched is not previous:  # where a batch is the whole split, it is the same in every step
            previous, moved = fetched, convert(fetched)
            # to search a batch for more than tensors would take as long as a small model's update
            is_tensors = isinstance(moved, tuple) and all(isinstance(part, Tensor) for part in moved)
            if not is_tensors or any(part.device != device for part in moved):
                moved = strategy.batch_to_device(moved)
        return moved

    return transfer
