"""Averages of weights that have not begun: a copy of the weights from before the first step is no average."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks import lightning_internals as internals


class BegunAverages(Callback):
    """Keep an average that has not begun equal to the current weights; it has to come before all other callbacks.

    Lightning's callbacks copy the weights before the first step, and validate, save and finally use that copy even if
    training ends before the average begins. The first weights that are averaged replace the copy, so it never matters
    to an average what was copied.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy the weights."""
        for copy in internals.averages_not_begun(trainer):
            copy.load_state_dict(pl_module.state_dict())

    on_train_end = on_validation_start

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Copy the weights."""
        self.on_validation_start(trainer, pl_module)
