"""Many cubics fitted to the sine at once, each from a random start of its own.

Source: D3, "Learning PyTorch with Examples", which has one random start.
"""

from functools import lru_cache

import torch
from jsonargparse.typing import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.optim import Optimizer

from firstlight.data.batches import Batch
from firstlight.models.polynomial import Polynomial

__all__ = ["SineEnsemble"]


class SineEnsemble(Polynomial):
    """Cubics ``y = a + b x + c x^2 + d x^3``, each from a standard normal start of its own, trained side by side.

    With the powers of all points as the rows of ``P``, the loss of one cubic with coefficients ``w`` is
    ``|P w - y|^2 = w G w - 2 w P'y + y'y``, and ``G = P'P`` is four by four: however many points there are, a
    step of all cubics is a product of two small matrices. The terms are large and nearly cancel out, so train in
    double precision (``trainer.precision: 64-true``). Scores are means over the cubics.

    Args:
        num_members: Number of cubics.
        lr: Learning rate of each cubic.
    """

    def __init__(self, num_members: PositiveInt = 1000, lr: PositiveFloat = 1e-6) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.num_members = num_members
        self.coefficients = nn.Parameter(torch.randn(num_members, 4))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, 1)`` to the predictions of all cubics, of shape ``(batch, num_members)``."""
        return _powers(x) @ self.coefficients.T

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the sum of ``(outputs - y)^2``, averaged over the cubics."""
        return (outputs - y).square().sum(dim=0).mean()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss, computed from ``G``."""
        x, y = batch
        G, Py, yy = _products(x, y)
        w = self.coefficients
        losses = (w @ G * w).sum(dim=1) - 2 * w @ Py + yy  # (num_members,)
        loss = losses.mean()
        self.update_scores(self.train_scores, loss.detach(), losses.detach(), y)
        return loss * self.trainer.world_size

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Return inputs ``x``, targets ``y``, and the ``mean`` and standard deviation ``std`` of the predictions."""
        x, y = batch
        predictions = self(x)
        return {"x": x, "y": y, "mean": predictions.mean(dim=1), "std": predictions.std(dim=1, correction=0)}

    def configure_optimizers(self) -> Optimizer:
        """Use plain gradient descent; the mean over cubics divides the gradient of each by ``num_members``."""
        return torch.optim.SGD(self.parameters(), lr=self.lr * self.num_members)


def _powers(x: Tensor) -> Tensor:
    """Return ``1, x, x^2, x^3`` for ``x`` of shape ``(batch, 1)``."""
    return torch.cat([x**0, x, x**2, x**3], dim=1)  # (batch, 4)


@lru_cache(maxsize=1)  # the whole curve is the same two tensors in every step
def _products(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``G = P'P`` of shape ``(4, 4)``, ``P'y`` of shape ``(4,)``, and ``y'y``."""
    P = _powers(x)
    return P.T @ P, (P.T @ y)[:, 0], y.square().sum()
