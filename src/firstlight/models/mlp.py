"""Multilayer perceptrons.

Source: D5 (784, 256, 10); D4 (``NeuralNetwork``, after PyTorch's "Build the Neural Network").
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.tasks import Classification

__all__ = ["MLP", "NeuralNetwork", "perceptron"]

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}


def perceptron(
    widths: Sequence[int],
    activation: Literal["relu", "sigmoid", "tanh"] = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Stack linear layers, with an activation between one and the next.

    Args:
        widths: Layer widths from input to output; ``[784, 256, 10]`` has one hidden layer.
        activation: What bends the output of each hidden layer.
        dropout: Share of hidden units silenced in training.
        batch_norm: Bring each hidden unit to mean 0 and variance 1 over the batch, before its activation.

    Returns:
        A network from ``(batch, ...)``, flattened to ``(batch, widths[0])``, to ``(batch, widths[-1])``.

    Raises:
        ValueError: If ``widths`` does not name at least an input and an output.
    """
    if len(widths) < 2:
        raise ValueError(f"widths must hold an input and an output width, got {list(widths)}")
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in, fan_out in pairwise(widths[:-1]):
        layers.append(nn.Linear(fan_in, fan_out))
        if batch_norm:
            layers.append(nn.BatchNorm1d(fan_out))
        layers.append(ACTIVATIONS[activation]())
        if dropout:
            layers.append(nn.Dropout(dropout))
    layers.append(nn.Linear(widths[-2], widths[-1]))
    return nn.Sequential(*layers)


class MLP(Classification):
    """A multilayer perceptron for images: 784, 256, 10 as documented, or any other widths.

    Args:
        num_features: Numbers per example once it is flattened.
        hidden_dims: Widths of the hidden layers.
        num_classes: Classes to tell apart.
        lr: Step size of the gradient descent.
        activation: What bends the output of each hidden layer.
        dropout: Share of hidden units silenced in training.
        batch_norm: Bring each hidden unit to mean 0 and variance 1 over the batch, before its activation.
        label_smoothing: Share of each target that is spread evenly over all classes.
        init_std: Standard deviation of all weights and biases at the start; null leaves PyTorch's own start.
    """

    def __init__(
        self,
        num_features: PositiveInt = 784,
        hidden_dims: list[PositiveInt] = [256],  # noqa: B006  # never changed; jsonargparse shows it in --help
        num_classes: PositiveInt = 10,
        lr: PositiveFloat = 0.5,
        activation: Literal["relu", "sigmoid", "tanh"] = "relu",
        dropout: ClosedUnitInterval = 0.0,
        batch_norm: bool = False,
        label_smoothing: ClosedUnitInterval = 0.0,
        init_std: NonNegativeFloat | None = 0.01,
    ) -> None:
        super().__init__(num_classes, lr, label_smoothing)
        self.save_hyperparameters()
        self.net = perceptron([num_features, *hidden_dims, num_classes], activation, dropout, batch_norm)
        if init_std is not None:
            for layer in self.net:
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=init_std)
                    nn.init.normal_(layer.bias, std=init_std)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, ...)`` to logits of shape ``(batch, num_classes)``."""
        logits: Tensor = self.net(x)
        return logits


class NeuralNetwork(Classification):
    """The network of three layers: 784, 512, 512, 10, with ReLU between.

    Args:
        last_relu: Put a ReLU after the last layer too, as documented. It keeps logits from being
            negative and costs accuracy.
        lr: Step size of the gradient descent.
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
        logits: Tensor = self.linear_relu_stack(self.flatten(x))
        return logits
