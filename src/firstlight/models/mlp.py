"""Multilayer perceptrons.

Source: D5 (784, 256, 10); D4 (``NeuralNetwork``, after PyTorch's "Build the Neural Network").
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.augmentation import RandomShift
from firstlight.tasks import Classification

__all__ = ["MLP", "NeuralNetwork"]

Activation = Literal["relu", "gelu", "sigmoid", "tanh"]
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def perceptron(
    num_features: int,
    hidden_dims: Sequence[int],
    num_classes: int,
    activation: Activation = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    shift: float = 0.0,
) -> nn.Sequential:
    """Stack linear layers; each hidden one is followed by batch norm, an activation function and dropout.

    The arguments are those of :class:`MLP`.

    Returns:
        A network from ``(batch, ...)``, flattened to ``(batch, num_features)``, to ``(batch, num_classes)``.
    """
    dims = [num_features, *hidden_dims]
    layers: list[nn.Module] = [RandomShift(shift), nn.Flatten()] if shift else [nn.Flatten()]
    for fan_in, fan_out in pairwise(dims):
        layers.append(nn.Linear(fan_in, fan_out))
        if batch_norm:
            layers.append(nn.BatchNorm1d(fan_out))
        layers.append(ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.Linear(dims[-1], num_classes))


class MLP(Classification):
    """A multilayer perceptron for images: 784, 256, 10 as documented, or any other widths.

    With one hidden layer it computes ``relu(x @ W1 + b1) @ W2 + b2``.

    Args:
        num_features: Size of a flattened input.
        hidden_dims: Widths of the hidden layers.
        num_classes: Number of classes.
        lr: Learning rate.
        activation: Activation function of the hidden layers.
        dropout: Dropout probability of the hidden layers.
        batch_norm: Normalize each hidden unit over the batch, before its activation.
        shift: Probability that an image of shape ``(channels, height, width)`` is shifted in training, by a pixel at
            most.
        label_smoothing: Share of each target that is spread evenly over all classes.
        init_std: Standard deviation of the normal distribution that weights and biases start from; null keeps
            PyTorch's own initialization.
    """

    def __init__(
        self,
        num_features: PositiveInt = 784,
        hidden_dims: list[PositiveInt] = [256],  # noqa: B006  # never changed; jsonargparse shows it in --help
        num_classes: PositiveInt = 10,
        lr: PositiveFloat = 0.5,
        activation: Activation = "relu",
        dropout: ClosedUnitInterval = 0.0,
        batch_norm: bool = False,
        shift: ClosedUnitInterval = 0.0,
        label_smoothing: ClosedUnitInterval = 0.0,
        init_std: NonNegativeFloat | None = 0.01,
    ) -> None:
        super().__init__(num_classes, lr, label_smoothing)
        self.save_hyperparameters()
        self.net = perceptron(num_features, hidden_dims, num_classes, activation, dropout, batch_norm, shift)
        if init_std is not None:
            for layer in self.net:
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=init_std)
                    nn.init.normal_(layer.bias, std=init_std)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, ...)`` to logits of shape ``(batch, num_classes)``."""
        return self.net(x)


class NeuralNetwork(Classification):
    """A network of three layers: 784, 512, 512, 10, with ReLU between them.

    Args:
        last_relu: Put a ReLU after the last layer too, as documented: logits are then never negative, which costs
            accuracy.
        lr: Learning rate.
    """

    def __init__(self, last_relu: bool = False, lr: PositiveFloat = 0.1) -> None:
        super().__init__(num_classes=10, lr=lr)
        self.save_hyperparameters()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512),
            nn.ReLU(),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Linear(512, 10),
            nn.ReLU() if last_relu else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape ``(batch, 1, 28, 28)`` to logits of shape ``(batch, 10)``."""
        return self.linear_relu_stack(self.flatten(x))
