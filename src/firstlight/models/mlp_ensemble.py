"""Perceptrons that are trained side by side and answer together.

Source: Lakshminarayanan, Pritzel and Blundell (2017), https://arxiv.org/abs/1612.01474, without adversarial examples.
"""

import math

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.data.batches import Batch
from firstlight.models.mlp import Activation, perceptron
from firstlight.tasks import Classification

__all__ = ["MLPEnsemble"]


class MLPEnsemble(Classification):
    """A deep ensemble: ``K`` perceptrons with weights and dropout of their own, on the same batches.

    With the logits ``z_k`` of member ``k``, the ensemble predicts ``p = (softmax(z_1) + ... + softmax(z_K)) / K``. Each
    member learns alone: the training loss is the mean of theirs; ``loss/val`` and ``loss/test`` are that of ``p``.
    AdamW, whose steps hardly depend on the size of the gradient, trains each as if it were the only one.

    Args:
        num_members: Number of perceptrons, ``K``.
        num_features: Size of a flattened input.
        hidden_dims: Widths of the hidden layers of each member.
        num_classes: Number of classes.
        lr: Learning rate.
        activation: Activation function of the hidden layers.
        dropout: Dropout probability of the hidden layers.
        batch_norm: Normalize each hidden unit over the batch, before its activation.
        label_smoothing: Share of each target that is spread evenly over all classes.
    """

    def __init__(
        self,
        num_members: PositiveInt = 4,
        num_features: PositiveInt = 784,
        hidden_dims: list[PositiveInt] = [256],  # noqa: B006  # never changed; jsonargparse shows it in --help
        num_classes: PositiveInt = 10,
        lr: PositiveFloat = 0.1,
        activation: Activation = "relu",
        dropout: ClosedUnitInterval = 0.0,
        batch_norm: bool = False,
        label_smoothing: ClosedUnitInterval = 0.0,
    ) -> None:
        super().__init__(num_classes, lr, label_smoothing)
        self.save_hyperparameters()
        settings = num_features, hidden_dims, num_classes, activation, dropout, batch_norm
        self.members = nn.ModuleList(perceptron(*settings) for _ in range(num_members))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, ...)`` to ``log(p)`` of shape ``(batch, num_classes)``."""
        return self.logits(x).log_softmax(dim=1).logsumexp(dim=2) - math.log(len(self.members))

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits of all members, of shape ``(batch, num_classes, num_members)``."""
        return torch.stack([member(x) for member in self.members], dim=2).to(x.dtype)  # no means in half precision

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the mean of the members' losses; training scores are means over the members."""
        x, y = batch
        logits, y_of_each = self.logits(x), y[:, None].expand(-1, len(self.members))
        loss = self.loss(logits, y_of_each)
        self.update_scores(self.train_scores, loss.detach(), logits.detach(), y_of_each)
        return loss
