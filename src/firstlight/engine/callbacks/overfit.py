"""The verdict of a run on a few batches: whether the model has learned them by heart; one that cannot has a bug."""

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

__all__ = ["OverfitVerdict"]

ACCURACY = 0.99
"""Training accuracy from which on the batches are learned: with dropout it may stay a little below 1."""
SHARE = 0.01
"""To what share of that of the first epoch the training loss has to fall, where there is no accuracy."""


class OverfitVerdict(Callback):
    """Print at the end of training whether the training batches were learned by heart, by ``accuracy`` or ``loss``."""

    def __init__(self) -> None:
        self._first_loss: Tensor | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the loss of the first epoch."""
        if self._first_loss is None:
            self._first_loss = trainer.callback_metrics.get("loss/train")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the verdict."""
        accuracy, loss = (trainer.callback_metrics.get(f"{name}/train") for name in ("accuracy", "loss"))
        if accuracy is not None:
            is_learned, what = bool(accuracy >= ACCURACY), f"accuracy/train {accuracy:.5g}"
        elif loss is not None and self._first_loss is not None:
            is_learned = bool(loss <= SHARE * self._first_loss)
            what = f"loss/train {self._first_loss:.5g} in the first epoch, {loss:.5g} in the last"
        else:
            return
        if trainer.is_global_zero:
            advice = "" if is_learned else "; look for a bug, or set another learning rate or more epochs"
            print(f"{'learned by heart' if is_learned else 'not learned by heart'}: {what}{advice}")
