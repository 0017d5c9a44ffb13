"""The loop that takes updates between the batches that the Trainer gets."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.steps import StepLoss, StepSeeds, transfer_owner


class UpdatingLoader:
    """The training loader; between the batches that it hands over it takes the updates for others.

    Args:
        trainer: The Trainer, whose training loader is set up.
        updates: One batch is handed over for this many, at most.
    """

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
        self.logs, self.every_n_steps = internals.step_logs(trainer), internals.log_every_n_steps(trainer)
        self.seeds, self.losses = internals.callbacks_of(trainer, StepSeeds), internals.callbacks_of(trainer, StepLoss)
        # the documented models and data draw from PyTorch's generator only
        parts = (self.model, internals.datamodule_of(trainer))
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
