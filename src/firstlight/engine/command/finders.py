"""What Lightning's finders find is kept in the config, in place of the finders: a resume goes on with it."""

from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder, LearningRateFinder

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.settings import as_list
from firstlight.errors import UsageError

FINDERS = (BatchSizeFinder, LearningRateFinder)
NAMES = tuple(kind.__name__ for kind in FINDERS)


def keep_found(trainer: Trainer, config: Namespace, built: Namespace) -> None:
    """Write what the finders found into the config and into what was built from it, and take the finders out.

    Raises:
        UsageError: If a finder changed what is no setting.
    """
    found = internals.found_settings(trainer)
    for name, value in found.items():
        parts = [part for part in ("model", "data", "optimizer") if name in _arguments(config, part)]
        if not parts:
            raise UsageError(f"trainer.callbacks: a finder set {name}, not an argument of the model or its data")
        for part in parts:
            _arguments(config, part)[name] = value
        if "optimizer" in parts:
            _arguments(built, "optimizer")[name] = value
        if trainer.is_global_zero:
            print(f"found:   {parts[-1]}.{name} {value:.5g}")
    given = as_list(config.trainer.callbacks)
    kept = [callback for callback in given if not callback.class_path.endswith(NAMES)]
    if len(kept) < len(given):  # a resume goes on without the finders
        config.trainer.callbacks = kept
        trainer.callbacks = [each for each in trainer.callbacks if not isinstance(each, FINDERS)]  # type: ignore[attr-defined]
    if found:
        trainer.strategy.setup_optimizers(trainer)  # with schedules that begin where the search ended


def _arguments(settings: Namespace, part: str) -> Any:
    chosen = settings[part]
    return chosen.init_args if chosen and "init_args" in chosen else {}
