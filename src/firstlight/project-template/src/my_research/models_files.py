"""The models of this project."""

from firstlight import Classification
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

__all__ = ["SmallMLP"]


class SmallMLP(Classification):
    """A multilayer perceptron with one hidden layer, ``relu(x @ W1 + b1) @ W2 + b2``.

    Args:
        num_features: Numbers in an input, once it is flattened.
        hidden_dim: Width of the hidden layer.
        num_classes: Number of classes.
        lr: Learning rate.
    """

    def __init__(
        self,
        num_features: PositiveInt = 2,
        hidden_dim: PositiveInt = 64,
        num_classes: PositiveInt = 2,
        lr: PositiveFloat = 0.1,
    ) -> None:
        super().__init__(num_classes, lr)
        self.save_hyperparameters()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(num_features, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, ...)`` to logits of shape ``(batch, num_classes)``."""
        logits: Tensor = self.net(x)
        return logits
