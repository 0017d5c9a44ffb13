"""Scores that are watched: whether anything logs them."""

from collections.abc import Iterable

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.errors import UsageError


def refuse_unlogged(trainer: Trainer, logged: Iterable[str]) -> None:
    """Refuse scores that are watched and not logged.

    Raises:
        UsageError: If there is one.
    """
    watched = [
        (f"trainer.callbacks: {type(each).__name__}.monitor", each.monitor)
        for each in internals.callbacks_of(trainer, Callback)
        if isinstance(each, EarlyStopping | ModelCheckpoint) and getattr(each, "strict", True)  # else it may wait
    ]
    schedules = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau and config.strict]
    watched += [("lr_scheduler.monitor", config.monitor) for config in schedules]
    for setting, score in watched:
        if score is not None and score not in logged:
            raise not_logged(setting, score, logged)


def not_logged(setting: str, score: str, logged: Iterable[str]) -> UsageError:
    """Return the error about a monitored score that is not logged."""
    return UsageError(f"{setting} is {score!r}, but the model logs {', '.join(logged) or 'nothing'}")
