"""Several updates in one step of the Trainer: the same run, with fewer trips through its machinery."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from lightning.pytorch.profilers import PassThroughProfiler
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor

from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.steps import StepLoss, StepSeeds
from firstlight.engine.callbacks.tensorboard.details import Details
from firstlight.engine.callbacks.tensorboard.pictures import Pictures

__all__ = ["SeveralUpdates"]

HOOKS = (
    "on_train_batch_start",
    "on_train_batch_end",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
)
"""Where a callback or a model looks at single batches or updates."""

UPDATE_HOOKS = ("optimizer_step", "optimizer_zero_grad", "configure_gradient_clipping", "lr_scheduler_step")
TRANSFER_HOOKS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


class SeveralUpdates(Callback):
    """Take several updates in each step of the Trainer.

    A step of the Trainer costs half a millisecond however small the model is. With this callback, where the
    Trainer fetches a batch, the updates for a few batches are taken in a plain loop, and the Trainer gets the one
    after them. Weights, scores, curves, counters and checkpoints come out the same to the bit; only a progress bar
    moves in larger steps. Where a setting of the Trainer, a schedule, a callback or the model looks at single batches
    or updates, they are taken one at a time.

    Args:
        updates: Updates in a step of the Trainer, at most.
    """

    def __init__(self, updates: int) -> None:
        self.updates = updates

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Step between the Trainer and its batches."""
        fetcher = trainer.fit_loop._data_fetcher
        if self.updates == 1 or not isinstance(fetcher, _PrefetchDataFetcher) or _one_at_a_time(trainer, pl_module):
            return
        if fetcher.length is not None:  # else it fetches ahead itself
            trainer.fit_loop._data_fetcher = _Updating(fetcher, trainer, self.updates)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the x axis of what is logged; Lightning's can be one off after a resume."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


class _Updating(_PrefetchDataFetcher):
    """Fetch batches, take the updates for some of them, and give the Trainer the next.

    What a step of the Trainer does to a batch is done to these too, in the same order.
    """

    def __init__(self, fetcher: _DataFetcher, trainer: Trainer, updates: int) -> None:
        super().__init__()
        vars(self).update(vars(fetcher))  # it may have begun to iterate
        self.trainer, self.model, self.updates = trainer, trainer.lightning_module, updates
        # looked up once: to look up at every update would take as long as a small model's update
        self.precision, self.logs = trainer.precision_plugin, trainer._logger_connector
        self.loop = loop = trainer.fit_loop.epoch_loop
        self.results, self.progress = loop._results, loop.batch_progress
        self.zero_progress = loop.automatic_optimization.optim_progress.optimizer.zero_grad
        self.step_progress = loop.automatic_optimization.optim_progress.optimizer.step
        self.optimizer, self.device = trainer.strategy.optimizers[0], trainer.strategy.root_device
        self.every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self.seeds = [callback for callback in callbacks if isinstance(callback, StepSeeds)]
        self.losses = [callback for callback in callbacks if isinstance(callback, StepLoss)]
        self.checkpoints = [callback for callback in callbacks if isinstance(callback, Checkpoints)]
        data: LightningDataModule | None = trainer.datamodule  # type: ignore[attr-defined]
        self.is_changed = _has_own(TRANSFER_HOOKS, self.model, LightningModule) or (
            data is not None and _has_own(TRANSFER_HOOKS, data, LightningDataModule)
        )
        # the documented models and data draw from torch alone
        self.torch_alone = all(type(part).__module__.startswith("firstlight.") for part in (self.model, data))
        self.takes_index = is_param_in_hook_signature(self.model.training_step, "batch_idx", min_args=2)
        self.parameters: list[Tensor] = []
        self.fetched_batch: Any = None
        self.batch: Any = None
        self.arguments: tuple[Any, ...] = ()
        self.output: Any = None

    def __next__(self) -> Any:
        fetched = super().__next__()
        trainer, model = self.trainer, self.model
        if trainer.accumulate_grad_batches > 1 or trainer.gradient_clip_val or trainer.max_steps != -1:
            return fetched  # a callback may have set them in mid-run
        first, hook = trainer.global_step, model._current_fx_name
        self.parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        model._current_fx_name = "training_step"  # whose logs these are
        try:
            for step in range(first, first + self.updates - 1):
                if self.done or trainer.should_stop or self._is_border(step + 1):
                    break
                self._update(fetched[0], step)
                fetched = super().__next__()
        finally:
            model._current_fx_name = hook
        return fetched

    def _is_border(self, step: int) -> bool:
        return any(checkpoints.must_see_step(step) for checkpoints in self.checkpoints)

    def _update(self, fetched_batch: Any, step: int) -> None:
        """Take the update for a batch, after so many steps."""
        logs, loop, progress = self.logs, self.loop, self.progress
        if self.is_changed or fetched_batch is not self.fetched_batch:  # the same again, where it is the whole split
            self._transfer(fetched_batch)
        batch, index = self.batch, progress.current.ready
        progress.increment_ready()
        loop._batches_that_stepped = step
        logs._first_loop_iter = logs._first_loop_iter is None
        self.results.batch, self.results.batch_size = batch, None
        for seeds in self.seeds:
            seeds.seed_step(index, torch_alone=self.torch_alone)
        progress.increment_started()
        self.arguments = (batch, index) if self.takes_index else (batch,)
        self.step_progress.increment_ready()
        self.optimizer.step(closure=self._loss_and_gradient)
        self.step_progress.increment_completed()
        progress.increment_processed()
        progress.increment_completed()
        if self.every and (step + 1) % self.every == 0:
            for losses in self.losses:
                losses.on_train_batch_end(self.trainer, self.model, self.output, batch, index)
            logs.on_batch_end()
            logs.update_train_step_metrics()

    def _transfer(self, fetched_batch: Any) -> None:
        self.fetched_batch = batch = self.trainer.precision_plugin.convert_input(fetched_batch)
        if self.is_changed:
            batch = self.model._on_before_batch_transfer(batch)
        elif isinstance(batch, tuple) and all(
            isinstance(part, Tensor) and part.device == self.device for part in batch
        ):
            self.batch = batch  # it is there; to look for more in it would take as long as a small model's update
            return
        self.batch = self.trainer.strategy.batch_to_device(batch)

    def _loss_and_gradient(self) -> Any:
        if not torch.is_grad_enabled():  # most optimizers see to that themselves
            with torch.enable_grad():
                return self._loss_and_gradient()
        with self.precision.train_step_context():
            self.output = self.model.training_step(*self.arguments)
        loss = self.output["loss"] if isinstance(self.output, Mapping) else self.output
        self.zero_progress.increment_ready()
        self.zero_progress.increment_started()
        for parameter in self.parameters:
            parameter.grad = None  # what zero_grad does, in a twentieth of the time
        self.zero_progress.increment_completed()
        if loss is not None:
            self.model.backward(loss)
        return loss


def _one_at_a_time(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Return whether anything looks at single batches or updates."""
    mine = (SeveralUpdates, StepSeeds, StepLoss, Checkpoints, Pictures, Details, ProgressBar)
    watchers = [callback for callback in trainer.callbacks if not isinstance(callback, mine)]  # type: ignore[attr-defined]
    return bool(
        not isinstance(trainer.strategy, SingleDeviceStrategy)
        or not pl_module.automatic_optimization
        or trainer.val_check_batch != trainer.num_training_batches  # validation comes in mid-epoch
        or trainer.check_val_every_n_epoch is None
        or any(config.interval == "step" for config in trainer.lr_scheduler_configs)
        or getattr(trainer.precision_plugin, "scaler", None) is not None
        or not isinstance(trainer.profiler, PassThroughProfiler)  # type: ignore[attr-defined]
        or _has_own((*HOOKS, *UPDATE_HOOKS), pl_module, LightningModule)
        or any(_has_own((*HOOKS, "on_exception"), callback, Callback) for callback in watchers)
    )


def _has_own(hooks: Iterable[str], part: object, base: type) -> bool:
    """Return whether a part of a run has hooks that are not those of its base class."""
    return any(hook in vars(part) or getattr(type(part), hook) is not getattr(base, hook) for hook in hooks)
