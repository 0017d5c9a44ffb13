"""What models share: loss, scores, steps and logging."""

from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric, MetricCollection

from firstlight.data.batches import Batch
from firstlight.data.data_module import DataModule
from firstlight.errors import UsageError
from firstlight.metrics import Accuracy

__all__ = ["Classification", "Regression", "Task"]


class Task(LightningModule, ABC):
    """A model that learns targets ``y`` from inputs ``x`` by gradient descent on a loss.

    Scores add up on the model's device and are logged once an epoch: ``loss/train``, ``loss/val``, ``loss/test``, and
    likewise those that a subclass adds. Plain stochastic gradient descent is the default; any other optimizer or
    schedule comes from the command line or a config.

    Args:
        lr: Learning rate.
    """

    monitor = "loss/val"
    """The score by which the best checkpoint is chosen."""
    mode: Literal["min", "max"] = "min"
    """Whether the smallest or the largest score is the best."""

    def __init__(self, lr: PositiveFloat) -> None:
        super().__init__()
        self.lr = lr
        self.train_scores = self.new_scores()
        self.val_scores = self.new_scores()
        self.test_scores = self.new_scores()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map inputs to outputs: predictions, or logits."""

    @abstractmethod
    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the loss, which training minimizes."""

    def new_scores(self) -> MetricCollection:
        """Return new metrics, by the names of their scores."""
        return MetricCollection({"loss": MeanMetric(nan_strategy="disable")}, compute_groups=False)

    def update_scores(self, scores: MetricCollection, loss: Tensor, outputs: Tensor, y: Tensor) -> None:
        """Add a batch: each of its examples with the batch's mean loss."""
        scores["loss"].update(loss.expand(len(y)))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        return self._step(batch, self.train_scores)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch."""
        self._step(batch, self.val_scores)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Score a batch."""
        self._step(batch, self.test_scores)

    @abstractmethod
    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the columns of the table of predictions, by name, with a row for each example."""

    def configure_optimizers(self) -> Optimizer:
        """Use plain stochastic gradient descent."""
        return torch.optim.SGD(self.parameters(), lr=self.lr)

    def on_train_epoch_start(self) -> None:
        """Reset the training scores."""
        self.train_scores.reset()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training scores."""
        self._log_scores(self.train_scores, "train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._log_scores(self.val_scores, "val")

    def on_test_epoch_end(self) -> None:
        """Log the test scores."""
        self._log_scores(self.test_scores, "test")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class names of the model and its data module, from which ``firstlight.load`` builds both."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # its connector sets it
        for key, part in (("model_class", self), ("data_class", data)):
            if part is not None:
                checkpoint[key] = f"{type(part).__module__}.{type(part).__qualname__}"

    def _step(self, batch: Batch, scores: MetricCollection) -> Tensor:
        x, y = batch
        outputs = self(x)
        loss = self.loss(outputs, y)
        self.update_scores(scores, loss.detach(), outputs.detach(), y)
        return loss

    def _log_scores(self, scores: MetricCollection, stage: str) -> None:
        for name, score in scores.items():
            self.log(f"{name}/{stage}", score, prog_bar=True)


class Regression(Task, ABC):
    """Predict numbers with the least squared error."""

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean of ``(outputs - y)^2``."""
        return F.mse_loss(outputs, y)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return inputs ``x``, targets ``y`` and predictions."""
        x, y = batch
        return {"x": x, "y": y, "prediction": self(x)}


class Classification(Task, ABC):
    """Predict classes, by cross-entropy on logits; ``accuracy`` is the share of correct predictions.

    Args:
        num_classes: Number of classes; targets count from zero.
        lr: Learning rate.
        label_smoothing: Share of each target that is spread evenly over all classes.
    """

    monitor = "accuracy/val"
    mode = "max"

    def __init__(self, num_classes: PositiveInt, lr: PositiveFloat, label_smoothing: ClosedUnitInterval = 0.0) -> None:
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        super().__init__(lr)

    def setup(self, stage: str) -> None:
        """Compare the number of classes with that of the data, where these have names.

        Raises:
            UsageError: If they differ.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]  # its connector sets it
        names = data.classes if isinstance(data, DataModule) else ()
        if names and len(names) != self.num_classes:
            few = f"{', '.join(names[:5])}{', ...' * (len(names) > 5)}"
            raise UsageError(f"model.num_classes is {self.num_classes}, but the data have {len(names)} classes: {few}")

    def new_scores(self) -> MetricCollection:
        """Return loss and accuracy."""
        return MetricCollection(
            {"loss": MeanMetric(nan_strategy="disable"), "accuracy": Accuracy()}, compute_groups=False
        )

    def update_scores(self, scores: MetricCollection, loss: Tensor, outputs: Tensor, y: Tensor) -> None:
        """Add a batch."""
        super().update_scores(scores, loss, outputs, y)
        scores["accuracy"].update(outputs, y)

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits of shape ``(batch, num_classes)``."""
        return F.cross_entropy(outputs, y, label_smoothing=self.label_smoothing)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the ``truth``, the most probable ``class`` and its ``probability``."""
        x, y = batch
        probability, predicted = self(x).softmax(dim=1).max(dim=1)
        return {"truth": y, "class": predicted, "probability": probability}
