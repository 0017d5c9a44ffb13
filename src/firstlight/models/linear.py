"""Linear regression.

Source: D5 (house prices); D3 (``nn.Linear`` on the powers of ``x``).
"""

from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn

from firstlight.tasks import Regression

__all__ = ["LinearRegression"]


class LinearRegression(Regression):
    """``y = x @ W + b``; ``W`` starts normal with standard deviation 0.01, ``b`` at 0.

    Args:
        num_features: Size of an input.
        lr: Learning rate.
    """

    def __init__(self, num_features: PositiveInt = 2, lr: PositiveFloat = 0.03) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.linear = nn.Linear(num_features, 1)
        nn.init.normal_(self.linear.weight, std=0.01)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, num_features)`` to predictions of shape ``(batch, 1)``."""
        return self.linear(x)
