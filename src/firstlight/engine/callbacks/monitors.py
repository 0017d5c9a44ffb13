"""Scores that are watched: whether anything logs them."""

from collections.abc import Iterable, Iterator

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.errors import UsageError


def refuse_unlogged(trainer: Trainer, logged: Iterable[str]) -> None:
    """Raise a :class:`UsageError` for a score that is watched and not logged."""
    for setting, score in _watched(trainer):
        if score not in logged:
            raise not_logged(setting, score, logged)


def _watched(trainer: Trainer) -> Iterator[tuple[str, str]]:
    """Yield each setting that names a score, and the score."""
    for callback in internals.callbacks_of(trainer, Callback):
        is_strict = getattr(callback, "strict", True)  # an EarlyStopping may wait for a score
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and callback.monitor is not None and is_strict:
            yield f"trainer.callbacks: {type(callback).__name__}.monitor", callback.monitor
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.monitor and config.strict:
            yield "lr_scheduler.monitor", config.monitor


def not_logged(setting: str, score: str, logged: Iterable[str]) -> UsageError:
    """Return the error about a monitored score that is not logged."""
    return UsageError(f"{setting} is {score!r}, but the model logs {', '.join(logged) or 'nothing'}")
