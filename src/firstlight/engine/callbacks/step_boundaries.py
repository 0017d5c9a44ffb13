"""What a step boundary is: a moment of training at which a run can stop, and be resumed to the same bits."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningModule, Trainer

from firstlight.engine.callbacks.lightning_internals import batch_counter, is_stopping, step_logs


def is_step_boundary(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether training stands at a step boundary after the optimizer step of a batch, in ``on_train_batch_end``.

    It does not where a validation or the end of the epoch follows immediately: a run resumed from here would skip it.
    The boundary then comes after the validation, or at the end of the epoch.
    """
    if trainer.is_last_batch or is_stopping(trainer) or 0 < trainer.max_steps <= trainer.global_step:
        return False
    every = trainer.val_check_batch
    if every is None or not trainer.enable_validation:
        return True
    batches = batch_counter(trainer).total.ready if trainer.check_val_every_n_epoch is None else batch_idx + 1
    return batches % every != 0


def log_step(trainer: Trainer) -> None:
    """Log the scores of a step before its checkpoint is written: a run resumed from there does not take the step."""
    logs = step_logs(trainer)
    logs.on_batch_end()
    logs.update_train_step_metrics()
    vars(logs)["update_train_step_metrics"] = lambda: vars(logs).pop("update_train_step_metrics")


def after_hook(model: LightningModule, name: str, act: Callable[[], None]) -> None:
    """Have something done after a hook of the model's own, once."""
    hook = getattr(model, name)

    def hook_and_act(*args: Any, **kwargs: Any) -> Any:
        vars(model).pop(name, None)
        result = hook(*args, **kwargs)
        act()
        return result

    setattr(model, name, hook_and_act)
