"""The models of this project."""

from firstlight import Classification
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

__all__ = ["SmallMLP"]


class SmallMLP(Classification):
    """A multilayer perceptron with one hidden layer, ``relu(x @ W1 + B1) @ W2 + B2``.

    Args:
        num_features: Numbers in an input.
        num_hidden: Units of the hidden layer.
        num_classes: Classes to tell apart.
        lr: Step size of the gradient descent.
    """

    def __init__(
        self,
        num_features: PositiveInt = 2,
        num_hidden: PositiveInt = 64,
        num_classes: PositiveInt = 2,
        lr: PositiveFloat = 0.5,
    ) -> None:
        super().__init__(num_classes, lr)
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Linear(num_features, num_hidden),
            nn.ReLU(),
            nn.Linear(num_hidden, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, num_features)`` to logits of shape ``(batch, num_classes)``."""
        logits: Tensor = self.net(x)
        return logits
