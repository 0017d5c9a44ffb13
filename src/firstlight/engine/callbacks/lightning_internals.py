"""The parts of Lightning 2.6 that the callbacks need and Lightning does not promise, each behind a function.

No other file may use a private attribute of Lightning. Each function has a test of its name, so an upgrade that changes
such a part fails there; ``pyproject.toml`` allows no version of Lightning but 2.6.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher

if TYPE_CHECKING:
    from lightning.pytorch.loops.fetchers import _DataFetcher
    from lightning.pytorch.loops.progress import _BatchProgress, _OptimizerProgress, _SchedulerProgress
    from lightning.pytorch.trainer.connectors.logger_connector.logger_connector import _LoggerConnector

__all__ = [
    "batch_counter",
    "callbacks_of",
    "count_logged_steps",
    "data_fetcher",
    "datamodule_of",
    "end_epoch_only_once",
    "is_epoch_ending",
    "is_finishing_resumed_epoch",
    "log_every_n_steps",
    "logged_as_training_step",
    "num_epochs_processed",
    "optimizer_counter",
    "schedule_counter",
    "starts_forks",
    "step_logs",
]

AnyCallback = TypeVar("AnyCallback", bound=Callback)


# Documented attributes of the Trainer that are not typed, because its connectors set them.


def callbacks_of(trainer: Trainer, kind: type[AnyCallback]) -> list[AnyCallback]:
    """Return the callbacks of a class."""
    return [callback for callback in trainer.callbacks if isinstance(callback, kind)]  # type: ignore[attr-defined]


def datamodule_of(trainer: Trainer) -> LightningDataModule | None:
    """Return the data module that the Trainer was given."""
    return trainer.datamodule  # type: ignore[attr-defined,no-any-return]


def log_every_n_steps(trainer: Trainer) -> int:
    """Return after how many optimizer steps scores of single steps are logged; 0 for never."""
    return trainer.log_every_n_steps  # type: ignore[attr-defined,no-any-return]


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
    return trainer.fit_loop.epoch_progress.total.processed  # type: ignore[attr-defined,no-any-return]


def is_epoch_ending(trainer: Trainer) -> bool:
    """Return whether the last batch of an epoch has been trained on, but the epoch's end is not complete."""
    return num_epochs_processed(trainer) > int(trainer.fit_loop.epoch_progress.total.completed)


def is_finishing_resumed_epoch(trainer: Trainer) -> bool:
    """Return whether this epoch began before the run was resumed; Lightning leaves some schedules out at its end."""
    return bool(trainer.fit_loop.restarting)


# Private attributes.


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


def step_logs(trainer: Trainer) -> "_LoggerConnector":
    """Return the part of the Trainer that collects the scores of single steps and hands them to the loggers."""
    return trainer._logger_connector


@contextmanager
def logged_as_training_step(model: LightningModule) -> Iterator[None]:
    """Let ``self.log`` work here as it does where the Trainer calls ``training_step``."""
    hook = model._current_fx_name
    model._current_fx_name = "training_step"
    try:
        yield
    finally:
        model._current_fx_name = hook
