"""A sigmoid neuron, and a network of three of them.

Source: D1 and D2, "Deep Learning with PyTorch: An Introduction"; D4 for ``activation(sum(weights * inputs) + bias)``.
"""

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.functional import sigmoid
from firstlight.tasks import Regression

__all__ = ["Neuron", "TwoLayerNetwork"]


class Neuron(Regression):
    """A sigmoid neuron, ``y = sigmoid(x @ W + b)``; all parameters start standard normal.

    Args:
        num_features: Size of an input.
        lr: Learning rate.
    """

    def __init__(self, num_features: PositiveInt = 5, lr: PositiveFloat = 5.0) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.weights = nn.Parameter(torch.randn(1, num_features))
        self.bias = nn.Parameter(torch.randn(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, num_features)`` to outputs from 0 to 1 of shape ``(batch, 1)``."""
        W, b = self.weights.T, self.bias
        return sigmoid(x @ W + b)


class TwoLayerNetwork(Regression):
    """Hidden sigmoid neurons and one for the output; all parameters start standard normal.

    ``h = sigmoid(x @ W1 + B1)`` and ``y = sigmoid(h @ W2 + B2)``.

    Args:
        num_features: Size of an input.
        num_hidden: Number of hidden neurons.
        lr: Learning rate.
    """

    def __init__(self, num_features: PositiveInt = 3, num_hidden: PositiveInt = 2, lr: PositiveFloat = 1.0) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.W1 = nn.Parameter(torch.randn(num_features, num_hidden))
        self.B1 = nn.Parameter(torch.randn(1, num_hidden))
        self.W2 = nn.Parameter(torch.randn(num_hidden, 1))
        self.B2 = nn.Parameter(torch.randn(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, num_features)`` to outputs from 0 to 1 of shape ``(batch, 1)``."""
        h = sigmoid(x @ self.W1 + self.B1)  # (batch, num_hidden)
        return sigmoid(h @ self.W2 + self.B2)
