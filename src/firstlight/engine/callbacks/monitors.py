"""Scores that are watched: whether anything logs them, before an epoch is lost."""

from collections.abc import Iterable, Iterator
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.errors import UsageError

__all__ = ["Monitors", "not_logged", "refuse_unlogged"]

KNOWN = ("firstlight", "lightning")
"""Packages whose ``on_train_epoch_end`` logs nothing but a task's scores."""


class Monitors(Callback):
    """Look after the first batch whether callbacks and schedules watch what is logged.

    The check before training knows the scores of validation, the first batch those of training. What the end of an
    epoch logs is not known yet: where it may log scores, only those of validation are looked for.
    """

    def __init__(self) -> None:
        self._validated: list[str] = []
        self._is_due = True

    def on_sanity_check_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note what validation logs."""
        self._validated = list(trainer.callback_metrics)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Look, once.

        Raises:
            UsageError: If nothing logs a score that is watched.
        """
        if not (self._is_due and self._validated):
            return
        self._is_due = False
        logged = [*self._validated, *(name.replace("/val", "/train") for name in self._validated)]
        ends = [
            pl_module.on_train_epoch_end,
            *(c.on_train_epoch_end for c in internals.callbacks_of(trainer, Callback)),
        ]
        is_open = any(getattr(end, "__module__", "").partition(".")[0] not in KNOWN for end in ends)
        refuse_unlogged(
            trainer, dict.fromkeys([*logged, *sorted(internals.names_in_training(trainer))]), "val" if is_open else ""
        )


def refuse_unlogged(trainer: Trainer, logged: Iterable[str], part: str = "") -> None:
    """Refuse scores that are watched, have that part in their names, and are not logged.

    Raises:
        UsageError: If there is one.
    """
    for setting, score in _watched(trainer):
        if part in score and score not in logged:
            raise not_logged(setting, score, logged)


def _watched(trainer: Trainer) -> Iterator[tuple[str, str]]:
    """Yield each setting that names a score, and the score."""
    for callback in internals.callbacks_of(trainer, Callback):
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and callback.monitor:
            yield f"trainer.callbacks: {type(callback).__name__}.monitor", callback.monitor
    for config in trainer.lr_scheduler_configs:
        if config.reduce_on_plateau and config.monitor:
            yield "lr_scheduler.monitor", config.monitor


def not_logged(setting: str, score: str, logged: Iterable[str]) -> UsageError:
    """Return the error about a monitored score that is not logged."""
    return UsageError(f"{setting} is {score!r}, but the model logs {', '.join(logged) or 'nothing'}")
