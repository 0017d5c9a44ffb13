"""What a step boundary is: a moment of training at which a run can stop, and be resumed to the same bits."""

from lightning.pytorch import Trainer

from firstlight.engine.callbacks.lightning_internals import batch_counter, is_stopping


def is_step_boundary(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether training stands at a step boundary after the optimizer step of a batch, in ``on_train_batch_end``.

    It does not where a validation or the end of the epoch follows immediately: a run resumed from here would skip it.
    The boundary then comes after the validation, or at the end of the epoch.
    """
    if trainer.is_last_batch or is_stopping(trainer):
        return False
    every = trainer.val_check_batch
    if every is None or not trainer.enable_validation:
        return True
    batches = batch_counter(trainer).total.ready if trainer.check_val_every_n_epoch is None else batch_idx + 1
    return batches % every != 0
