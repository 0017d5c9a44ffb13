"""The parts of Lightning 2.6 that the callbacks need and Lightning does not promise, each behind a function.

No other file may use a private attribute of Lightning. Each function has a test of its name, so an upgrade that changes
such a part fails there; ``pyproject.toml`` allows no version of Lightning but 2.6.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from lightning.pytorch import LightningDataModule, LightningModule, Trainer, callbacks
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loops.utilities import _parse_loop_limits
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import Strategy
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher
from lightning.pytorch.tuner.lr_finder import _determine_lr_attr_name
from torch import nn

if TYPE_CHECKING:
    from lightning.pytorch.loops.fetchers import _DataFetcher
    from lightning.pytorch.loops.progress import _BatchProgress, _OptimizerProgress, _SchedulerProgress
    from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector
    from lightning.pytorch.trainer.connectors.logger_connector.result import _ResultCollection, _ResultMetric

AnyCallback = TypeVar("AnyCallback", bound=Callback)


class Typed(Protocol):
    """Documented attributes of the Trainer that are not typed, because its connectors set them."""

    callbacks: list[Callback]
    datamodule: LightningDataModule | None
    fast_dev_run: int | bool
    log_every_n_steps: int
    overfit_batches: float
    profiler: Profiler


def typed(trainer: Trainer) -> Typed:
    """Return the Trainer, with the types of these attributes."""
    return cast("Typed", trainer)


def callbacks_of(trainer: Trainer, kind: type[AnyCallback]) -> list[AnyCallback]:
    """Return the callbacks of a class."""
    return [callback for callback in typed(trainer).callbacks if isinstance(callback, kind)]


# Counters of the loops: not private by name, but not documented.


def batch_counter(trainer: Trainer) -> "_BatchProgress":
    """Return the counter of training batches."""
    return trainer.fit_loop.epoch_loop.batch_progress


def optimizer_counter(trainer: Trainer) -> "_OptimizerProgress":
    """Return the counters of ``step`` and ``zero_grad``; ``Trainer.global_step`` is the former."""
    return trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer


def schedule_counter(trainer: Trainer) -> "_SchedulerProgress":
    """Return the counter of steps of learning rate schedules."""
    return trainer.fit_loop.epoch_loop.scheduler_progress


def num_epochs_processed(trainer: Trainer) -> int:
    """Return the number of epochs whose batches have all been trained on."""
    return int(trainer.fit_loop.epoch_progress.total.processed)  # type: ignore[attr-defined]  # its counters have it


def is_epoch_ending(trainer: Trainer) -> bool:
    """Return whether the last batch of an epoch has been trained on, but the epoch's end is not complete."""
    return num_epochs_processed(trainer) > int(trainer.fit_loop.epoch_progress.total.completed)


def is_finishing_resumed_epoch(trainer: Trainer) -> bool:
    """Return whether this epoch began before the run was resumed; Lightning leaves some schedules out at its end."""
    return bool(trainer.fit_loop.restarting)


def is_resumed_within_epoch(trainer: Trainer) -> bool:
    """Return whether a run is resumed in an epoch whose start Lightning will not announce again."""
    loop = trainer.fit_loop
    return bool(loop.restarted_mid_epoch or loop.restarted_on_epoch_end)


def planned_length(trainer: Trainer, interval: str) -> int | None:
    """Return how many of an interval (``step``, ``epoch``) a run takes; None if nothing says so. It loads the data."""
    trainer.fit_loop.setup_data()
    batches, epochs, limit = trainer.num_training_batches, trainer.max_epochs or -1, trainer.max_steps
    if interval == "epoch":
        if limit == -1 or math.isinf(batches):
            return epochs if epochs > 0 else None
        needed = math.ceil(limit / math.ceil(batches / trainer.accumulate_grad_batches))
        return min(needed, epochs) if epochs > 0 else needed
    steps = trainer.estimated_stepping_batches
    for changes in callbacks_of(trainer, callbacks.GradientAccumulationScheduler):  # Lightning does not count them
        if epochs > 0 and math.isfinite(batches):
            steps = sum(math.ceil(batches / changes.get_accumulate_grad_batches(epoch)) for epoch in range(epochs))
            steps = steps if limit == -1 else min(steps, limit)
    return int(steps) if 0 < steps < math.inf else None


# Private attributes.


def found_settings(trainer: Trainer) -> dict[str, float]:
    """Return what Lightning's finders found, by the name of the argument that they changed."""
    found: dict[str, float] = {}
    for size in callbacks_of(trainer, callbacks.BatchSizeFinder):
        found[size._batch_arg_name] = size.optimal_batch_size or 1
    for rate in callbacks_of(trainer, callbacks.LearningRateFinder):
        if rate._update_attr and rate.optimal_lr and (lr := rate.optimal_lr.suggestion()):
            found[_determine_lr_attr_name(trainer.lightning_module, rate._attr_name)] = lr
    return found


def is_stopping(trainer: Trainer) -> bool:
    """Return whether the epoch ends after this batch because the Trainer was told to stop."""
    return bool(trainer.should_stop and trainer.fit_loop._can_stop_early)


def begin_averaging_again(trainer: Trainer) -> None:
    """Restore what ``StochasticWeightAveraging`` began in its first epoch, and does not in the one after its last."""
    epochs, model = trainer.fit_loop.epoch_progress.current, trainer.lightning_module
    for each in callbacks_of(trainer, callbacks.StochasticWeightAveraging):
        if each._scheduler_state and epochs.completed > each.swa_end:
            each._accumulate_grad_batches = trainer.accumulate_grad_batches
            epoch, epochs.completed = epochs.completed, each.swa_end
            each.on_train_epoch_start(trainer, model)
            epochs.completed = epoch


def averages_not_begun(trainer: Trainer) -> list[nn.Module]:
    """Return the copies of the model in which weights will be averaged, and none are yet."""
    averages = callbacks_of(trainer, callbacks.WeightAveraging)
    copies = [each._average_model for each in averages if each._average_model is not None]
    begin_later = [copy.module for copy in copies if not copy.n_averaged]
    stochastic = callbacks_of(trainer, callbacks.StochasticWeightAveraging)
    begun = [each._init_n_averaged if each.n_averaged is None else each.n_averaged for each in stochastic]
    pairs = zip(stochastic, begun, strict=True)
    return begin_later + [each._average_model for each, num in pairs if each._average_model is not None and not num]


def plan(trainer: Trainer, model: LightningModule, data: LightningDataModule | None) -> None:
    """Let a Trainer make the optimizers and schedules of a run, without the run."""
    trainer.strategy._lightning_module = model
    trainer._data_connector.attach_data(model, datamodule=data)
    trainer._callback_connector._attach_model_callbacks()  # they may change how many steps a run takes
    limits = (trainer.min_steps, trainer.max_steps, trainer.min_epochs, trainer.max_epochs)
    _, trainer.fit_loop.max_epochs = _parse_loop_limits(*limits, trainer)
    Strategy.setup_optimizers(trainer.strategy, trainer)


def load_data(trainer: Trainer) -> None:
    """Load the training and validation data of a planned run, where Lightning compares the limits with their sizes."""
    trainer.fit_loop.epoch_loop.val_loop.setup_data()
    trainer.fit_loop.setup_data()


def reload_training_data(trainer: Trainer) -> None:
    """Have the training data loaded when the run begins, where a schedule that asked for its length had them loaded.

    Else a resumed run would begin at the start of an epoch: Lightning restores the position as it loads the data.
    """
    trainer.fit_loop._combined_loader = None


def end_epoch_only_once(trainer: Trainer) -> None:
    """Work around Lightning issue 19617, where a run with ``max_steps`` is resumed at the end of an epoch.

    Lightning resumes the epoch, and so ends it a second time. Where ``max_steps`` is set, the setter of
    ``restarting`` does not accept False.
    """
    loop = trainer.fit_loop
    if loop.restarted_on_epoch_end and loop.epoch_loop.batch_progress.is_last_batch:
        loop._restarting = False
        loop.epoch_loop.restarting = False
        loop.reset()


def starts_forks(trainer: Trainer) -> bool:
    """Return whether a run's processes are forks of this one, whose state stays as it was before the run."""
    return isinstance(trainer.strategy.launcher, _MultiProcessingLauncher)


def data_fetcher(trainer: Trainer) -> "_DataFetcher":
    """Return the iterator through which the Trainer gets training batches."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None  # noqa: S101  # set before on_train_start
    return fetcher


def count_logged_steps(trainer: Trainer, steps: int) -> None:
    """Set the step at which scores are logged next; after a resume, Lightning's own count can be one off."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = steps


def end_batch(trainer: Trainer, steps: int) -> None:
    """Do what the Trainer does after a batch, such as a validation that is due, after that many steps before it."""
    step_logs(trainer).on_batch_end()
    count_logged_steps(trainer, steps)
    trainer.fit_loop.epoch_loop.on_advance_end(data_fetcher(trainer))


def log_epoch(trainer: Trainer) -> None:
    """Log the scores of an epoch that ends, which the Trainer does after all hooks; it then has none left to log."""
    step_logs(trainer).on_epoch_end()
    count_logged_steps(trainer, steps := trainer.fit_loop.epoch_loop._batches_that_stepped - 1)
    step_logs(trainer).update_train_epoch_metrics()
    count_logged_steps(trainer, steps + 1)


def forget_positions(loader: object) -> None:
    """Have Lightning take a loader's arguments by name: it fails on a batch size that was given by position."""
    vars(loader).pop("__pl_saved_args", None)


def step_logs(trainer: Trainer) -> "_LoggerConnector":
    """Return the part of the Trainer that collects the scores of single steps and hands them to the loggers."""
    return trainer._logger_connector


def training_results(trainer: Trainer) -> "_ResultCollection":
    """Return what ``self.log`` has added up in training since the epoch began."""
    return trainer.fit_loop.epoch_loop._results


def validation_results(trainer: Trainer) -> "_ResultCollection":
    """Return what ``self.log`` has added up in validation."""
    return trainer.fit_loop.epoch_loop.val_loop._results


def how_logged(result: "_ResultMetric") -> dict[str, Any]:
    """Return with which arguments a score was logged, as the collection's ``log`` takes them; all are plain values."""
    how = {name: getattr(result.meta, name) for name in ("fx", "name", "prog_bar", "logger", "on_step", "on_epoch")}
    return how | {"reduce_fx": result.meta.reduce_fx.__name__, "sync_dist": result.meta.sync.should}


@contextmanager
def logged_in_hook(model: LightningModule, name: str = "training_step") -> Iterator[None]:
    """Let ``self.log`` work here as it does where the Trainer calls that hook."""
    hook, model._current_fx_name = model._current_fx_name, name
    try:
        yield
    finally:
        model._current_fx_name = hook
