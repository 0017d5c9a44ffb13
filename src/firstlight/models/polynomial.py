"""The sine fitted by polynomials: by hand, by autograd, by a custom function, with control flow.

Source: D3, "Learning PyTorch with Examples".
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from jsonargparse.typing import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection, SumMetric

from firstlight.data.batches import Batch
from firstlight.gradients import ManualGradient
from firstlight.tasks import Regression

__all__ = ["AutogradCubic", "DynamicPolynomial", "LegendreCubic", "ManualCubic"]


class Polynomial(Regression, ABC):
    """A polynomial in ``x`` that minimizes the **sum** of squared errors, as the document does.

    ``loss/train`` is the loss of an epoch's last step, which is what the document prints every hundred steps: the
    loss falls so far within an epoch that a mean says little. ``loss/val`` and ``loss/test`` are sums over all
    points.
    """

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the sum of ``(outputs - y)^2``."""
        return F.mse_loss(outputs, y, reduction="sum")

    def new_scores(self) -> MetricCollection:
        """Return the summed loss."""
        return MetricCollection({"loss": SumMetric(nan_strategy="disable")}, compute_groups=False)

    def update_scores(self, scores: MetricCollection, loss: Tensor, outputs: Tensor, y: Tensor) -> None:
        """Add a batch; in training keep the latest only."""
        if scores is self.train_scores:
            self.latest_loss = loss
        else:
            scores["loss"].update(loss)

    def on_train_epoch_end(self) -> None:
        """Log the loss of the latest step."""
        self.train_scores["loss"].update(self.latest_loss)
        super().on_train_epoch_end()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss, times the number of processes: DDP averages gradients, and their sum is wanted."""
        loss = super().training_step(batch, batch_idx)
        return loss * self.trainer.world_size if self.trainer.world_size > 1 else loss


class Cubic(Polynomial, ABC):
    """``y = a + b x + c x^2 + d x^3``, with coefficients that start standard normal.

    Args:
        lr: Learning rate.
    """

    def __init__(self, lr: PositiveFloat = 1e-6) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.coefficients = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, 1)`` to predictions of the same shape."""
        a, b, c, d = self.coefficients
        return a + x * (b + x * (c + x * d))  # Horner's rule

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss with its gradient: the cubics differ in nothing else."""
        return super().training_step(batch, batch_idx)


class AutogradCubic(Cubic):
    """``y = a + b x + c x^2 + d x^3``, its gradient left to autograd.

    Args:
        lr: Learning rate.
    """

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss; autograd has recorded the operations that led to it."""
        return super().training_step(batch, batch_idx)


class ManualCubic(ManualGradient, Cubic):
    """``y = a + b x + c x^2 + d x^3``, its gradient worked out on paper.

    The loss ``sum(r^2)`` of the residuals ``r = prediction - y`` has the derivative ``sum(2 r x^k)`` in
    the coefficient of ``x^k``.

    Args:
        lr: Learning rate.
    """

    @torch.no_grad()
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss with its gradient."""
        x, y = batch
        powers = powers_of(x)  # (4, batch)
        prediction = self.coefficients @ powers  # (batch,)
        residual = prediction - y[:, 0]
        loss = residual @ residual
        gradient = 2 * (powers @ residual)  # (4,)
        self.update_scores(self.train_scores, loss, prediction, y)
        return self.with_gradient(loss, self.coefficients, gradient)


@lru_cache(maxsize=1)  # the whole curve is the same tensor in every step
def powers_of(x: Tensor) -> Tensor:
    """Return ``1, x, x^2, x^3``, one power a row, of ``x`` of shape ``(batch, 1)``."""
    return torch.cat([x**0, x, x**2, x**3], dim=1).T.contiguous()


class LegendreP3(torch.autograd.Function):
    """Third Legendre polynomial, ``P3(x) = (5 x^3 - 3 x) / 2``, elementwise."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Evaluate the polynomial."""
        return (5 * x**3 - 3 * x) / 2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004
        """Save the point at which to take the derivative."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        """Multiply by the derivative, ``P3'(x) = (15 x^2 - 3) / 2``."""
        (x,) = ctx.saved_tensors
        return grad_output * (15 * x**2 - 3) / 2


class LegendreCubic(Polynomial):
    """``y = a + b P3(c + d x)``, where the function :class:`LegendreP3` defines its own derivative.

    It starts at ``a = 0, b = -1, c = 0, d = 0.3``.

    Args:
        lr: Learning rate.
    """

    def __init__(self, lr: PositiveFloat = 5e-6) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.coefficients = nn.Parameter(torch.tensor([0, -1, 0, 0.3]))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, 1)`` to predictions of the same shape."""
        a, b, c, d = self.coefficients
        p3: Tensor = LegendreP3.apply(c + d * x)
        return a + b * p3


class DynamicPolynomial(Polynomial):
    """A cubic plus ``e x^4`` and perhaps ``e x^5``, drawn anew in each step: control flow and a shared weight.

    Each training step uses neither term, the fourth-order term, or both, with equal probability. In evaluation
    predictions are the mean over the three forms. The coefficients start standard normal.

    Args:
        lr: Learning rate.
        momentum: Momentum of the optimizer.
    """

    def __init__(self, lr: PositiveFloat = 1e-8, momentum: NonNegativeFloat = 0.9) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.momentum = momentum
        self.coefficients = nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, 1)`` to predictions of the same shape."""
        a, b, c, d, e = self.coefficients
        y = a + b * x + c * x**2 + d * x**3
        if self.training:
            for exponent in range(4, 4 + int(torch.randint(3, ()))):
                y = y + e * x**exponent
            return y
        return y + e * (2 * x**4 + x**5) / 3

    def configure_optimizers(self) -> Optimizer:
        """Use stochastic gradient descent with momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.lr, momentum=self.momentum)
