"""The learning curves of a Trainer without a logger, as in a notebook."""

from typing import TYPE_CHECKING

from lightning.pytorch import Callback, LightningModule, Trainer

from firstlight.gallery import stage_of
from firstlight.plots import learning_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LearningCurves"]


class LearningCurves(Callback):
    """Keep the scores of each epoch, and draw them.

    ``quiet_trainer(callbacks=[curves := LearningCurves()]).fit(model, data)``, then ``curves.draw("Title")``.
    """

    def __init__(self) -> None:
        self.scores: dict[str, dict[str, dict[int, float]]] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the validation scores."""
        if not trainer.sanity_checking:
            self._keep(trainer, "val")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the training scores of the epoch before, which the model logs after all callbacks of its end."""
        self._keep(trainer, "train")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the training scores of the last epoch."""
        self._keep(trainer, "train")

    def draw(self, title: str) -> "Figure":
        """Return a figure with a panel for each score, the loss first."""
        return learning_curves(dict(sorted(self.scores.items(), key=lambda score: score[0] != "loss")), title)

    def _keep(self, trainer: Trainer, stage: str) -> None:
        for name, value in trainer.callback_metrics.items():
            if (found := stage_of(name)) and found[1] == stage:
                self.scores.setdefault(found[0], {}).setdefault(stage, {})[trainer.global_step] = float(value)
