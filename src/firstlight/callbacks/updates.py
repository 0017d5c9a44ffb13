"""Several updates in one step of the Trainer: the same run, with fewer trips through its machinery."""

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler, ProgressBar
from lightning.pytorch.utilities.model_helpers import is_overridden

from firstlight.callbacks.checkpoints import Checkpoints
from firstlight.callbacks.details import Details
from firstlight.callbacks.steps import StepLoss, StepSeeds
from firstlight.data.batches import Batches, InMemory

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


class SeveralUpdates(Callback):
    """Take several updates in each step of the Trainer.

    A step of the Trainer costs half a millisecond however small the model is. With this callback the
    Trainer's batch is the last of a group of mini-batches, and the updates for those before it are taken
    in a plain loop. Weights, scores and ``global_step`` come out the same to the bit; only what counts the
    Trainer's batches (a progress bar) sees fewer of them. Where a setting of the Trainer, a schedule, a callback
    or the model looks at single batches or updates, they are taken one at a time.

    Args:
        updates: Updates in a step of the Trainer, at most.
        seeds: What seeds the random numbers of each update.
    """

    def __init__(self, updates: int, seeds: StepSeeds) -> None:
        self.updates = updates
        self.seeds = seeds

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Ask the data for groups, before it is asked for batches."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, InMemory):
            data.group = 1 if _one_at_a_time(trainer, pl_module) else self.updates

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count a position inside an epoch in today's groups; the run may have been stopped with others."""
        loader, batches = trainer.train_dataloader, trainer.fit_loop.epoch_loop.batch_progress
        if isinstance(loader, Batches) and trainer.fit_loop.restarted_mid_epoch and not batches.is_last_batch:
            given = batches.current.ready
            for count in ("ready", "started", "processed", "completed"):
                behind = given - getattr(batches.current, count)
                setattr(batches.current, count, loader.position // loader.group - behind)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Take the updates that come before the Trainer's own."""
        loader, loop = trainer.train_dataloader, trainer.fit_loop.epoch_loop
        if isinstance(loader, Batches) and loader.group > 1:
            self._take_leading(trainer, pl_module, loader, batch_idx)
        loop._batches_that_stepped = trainer.global_step  # the x axis of what is logged; Lightning's can be one off

    def _take_leading(self, trainer: Trainer, pl_module: LightningModule, loader: Batches, batch_idx: int) -> None:
        strategy, optimizer = trainer.strategy, trainer.optimizers[0]
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        steps = trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step

        def closure() -> Any:
            output = strategy.training_step(mini_batch, batch_idx)
            loss = output["loss"] if isinstance(output, Mapping) else output
            for parameter in parameters:
                parameter.grad = None  # what zero_grad does, in a twentieth of the time
            if loss is not None:
                pl_module.backward(loss)
            return loss

        hook, pl_module._current_fx_name = pl_module._current_fx_name, "training_step"  # whose logs these are
        before = None
        for split in loader.leading():
            if split is not before:  # the same one again, where a batch is the whole split
                before, mini_batch = split, strategy.batch_to_device(split)
            steps.increment_ready()
            optimizer.step(closure)
            steps.increment_completed()
            self.seeds.next()
        pl_module._current_fx_name = hook


def _one_at_a_time(trainer: Trainer, pl_module: LightningModule) -> bool:
    """Return whether anything looks at single batches or updates."""
    mine = (SeveralUpdates, StepSeeds, StepLoss, Checkpoints, Details, ProgressBar)
    watchers = [callback for callback in trainer.callbacks if not isinstance(callback, mine)]  # type: ignore[attr-defined]
    return bool(
        trainer.world_size > 1
        or not pl_module.automatic_optimization
        or trainer.gradient_clip_val
        or trainer.accumulate_grad_batches > 1
        or any(isinstance(callback, GradientAccumulationScheduler) for callback in watchers)
        or trainer.max_steps != -1
        or not (isinstance(trainer.limit_train_batches, float) and trainer.limit_train_batches == 1)
        or not (isinstance(trainer.val_check_interval, float) and trainer.val_check_interval == 1)
        or trainer.check_val_every_n_epoch is None
        or any(config.interval == "step" for config in trainer.lr_scheduler_configs)
        or getattr(trainer.precision_plugin, "scaler", None) is not None
        or any(is_overridden(hook, pl_module) for hook in (*HOOKS, *UPDATE_HOOKS))
        or any(is_overridden(hook, callback) for callback in watchers for hook in HOOKS)
    )
