"""The verdict of a run on a few batches: whether the model has learned them by heart; one that cannot has a bug."""

from itertools import islice

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from firstlight.engine.callbacks.reports import output_and_target
from firstlight.engine.sharding import gather_objects
from firstlight.gallery import evaluating

ENOUGH = {"accuracy": 0.99, "R2": 0.95}
"""From which score on the batches are learned: no cubic gets nearer to a sine than an R2 of 0.991."""
SHARE = 0.01
"""To what share of that of the first epoch the training loss has to fall, where there is no such score."""


class OverfitVerdict(Callback):
    """Print at the end of training whether the training batches were learned by heart.

    The trained model is scored on them: by its accuracy, or by the share of the targets' variance it explains (R2).
    Where outputs and targets are neither classes nor numbers, the verdict is on how far the training loss has fallen.
    """

    _first_loss: Tensor | None = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the loss of the first epoch."""
        if self._first_loss is None:
            self._first_loss = trainer.callback_metrics.get("loss/train")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the verdict."""
        found, loss = gather_objects(_score(trainer, pl_module)), trainer.callback_metrics.get("loss/train")
        if all(found):
            name, score = min(filter(None, found))
            is_learned, what = score >= ENOUGH[name], f"{name} {score:.5g} on the training batches"
        elif loss is not None and self._first_loss is not None:
            is_learned = bool(loss <= SHARE * self._first_loss)
            what = f"loss/train {self._first_loss:.5g} in the first epoch, {loss:.5g} in the last"
        else:
            return
        if trainer.is_global_zero:
            advice = "" if is_learned else "; look for a bug, or set another learning rate or more epochs"
            print(f"{'learned by heart' if is_learned else 'not learned by heart'}: {what}{advice}")


def _score(trainer: Trainer, model: LightningModule) -> tuple[str, float] | None:
    """Score the model on the training batches without dropout; None if it is unclear what its outputs are."""
    pairs, loader = [], trainer.train_dataloader  # of a stream, which has no length, also no truth value
    try:
        with evaluating(trainer, model):
            for fetched in islice(() if loader is None else loader, int(trainer.num_training_batches)):
                batch = trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(fetched))
                pairs.append(output_and_target([model(batch[0])], batch))
    except Exception:  # forward of a model of the user's own may take anything
        return None
    if not pairs or not all(pairs):
        return None
    outputs, y = (torch.cat(part).cpu() for part in zip(*filter(None, pairs), strict=True))
    if not y.is_floating_point():
        return "accuracy", float((outputs.argmax(dim=1) == y).double().mean())
    error, variance = ((y - center).double().square().mean() for center in (outputs, y.mean(dim=0)))
    return "R2", float(1 - error / variance)
