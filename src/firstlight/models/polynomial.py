"""The sine fitted by polynomials: four models that differ in where their gradient comes from.

Source: D3, "Learning PyTorch with Examples".
"""

from abc import ABC
from typing import Any

import torch
import torch.nn.functional as F
from jsonargparse.typing import NonNegativeFloat, PositiveFloat
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MetricCollection, SumMetric

from firstlight.data.batches import Batch
from firstlight.tasks import Regression

__all__ = ["AutogradCubic", "DynamicPolynomial", "LegendreCubic", "LegendreP3", "ManualCubic"]


class Polynomial(Regression, ABC):
    """A polynomial in ``x`` that makes the **sum** of squared errors small, as the document has it.

    ``loss/train`` is the loss of an epoch's last step, which is what the document prints every hundred
    steps: within an epoch the curve moves too far for a mean to say anything. ``loss/val`` and
    ``loss/test`` are sums over all points.
    """

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Return the sum of ``(outputs - y)^2``."""
        return F.mse_loss(outputs, y, reduction="sum")

    def new_scores(self) -> MetricCollection:
        """Measure the summed loss."""
        return MetricCollection({"loss": SumMetric(nan_strategy="disable")}, compute_groups=False)

    def update_scores(self, scores: MetricCollection, loss: Tensor, outputs: Tensor, y: Tensor) -> None:
        """Count a batch in; in training only the latest counts."""
        if scores is self.train_scores:
            self.latest_loss = loss
        else:
            scores["loss"].update(loss)

    def on_train_epoch_end(self) -> None:
        """Log the loss of the latest step."""
        self.train_scores["loss"].update(self.latest_loss)
        super().on_train_epoch_end()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss; several processes take the mean of their gradients, where a sum is wanted."""
        loss = super().training_step(batch, batch_idx)
        return loss * self.trainer.world_size if self.trainer.world_size > 1 else loss


class Cubic(Polynomial, ABC):
    """``y = a + b x + c x^2 + d x^3``, with coefficients that start standard normal."""

    def __init__(self, lr: PositiveFloat = 1e-6) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.coefficients = nn.Parameter(torch.randn(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape ``(batch, 1)`` to predictions of the same shape."""
        a, b, c, d = self.coefficients
        return a + x * (b + x * (c + x * d))  # Horner's rule


class AutogradCubic(Cubic):
    """``y = a + b x + c x^2 + d x^3``, its gradient left to autograd.

    Args:
        lr: Step size of the gradient descent.
    """


class ManualCubic(Cubic):
    """``y = a + b x + c x^2 + d x^3``, its gradient worked out on paper.

    The loss ``sum(r^2)`` of the residuals ``r = prediction - y`` has the derivative ``sum(2 r x^k)`` in
    the coefficient of ``x^k``.

    Args:
        lr: Step size of the gradient descent.
    """

    def __init__(self, lr: PositiveFloat = 1e-6) -> None:
        super().__init__(lr)
        self.x = torch.empty(0)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss, and keep the gradient for :meth:`backward`."""
        x, y = batch
        if x is not self.x:  # the whole curve is the same in every step
            self.x, self.powers = x, torch.cat([x**0, x, x**2, x**3], dim=1).T.contiguous()  # (4, batch)
        with torch.no_grad():
            prediction = self.coefficients @ self.powers  # (batch,)
            residual = prediction - y[:, 0]
            loss = residual @ residual
            gradient = 2 * (self.powers @ residual)  # (4,)
        self.update_scores(self.train_scores, loss, prediction, y)
        self.by_hand = loss.requires_grad_(), gradient
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Set the gradient, in place of ``loss.backward()``."""
        loss_by_hand, gradient = self.by_hand
        if loss is not loss_by_hand:
            # accumulation and half precision hand in a multiple of the loss: the chain rule's first factor
            gradient = gradient * torch.autograd.grad(loss, loss_by_hand)[0]
        gradient = self.trainer.strategy.reduce(gradient, reduce_op="sum")
        gradient = gradient.to(self.coefficients.dtype)  # mixed precision has less
        before = self.coefficients.grad
        self.coefficients.grad = gradient if before is None else before + gradient


class LegendreP3(torch.autograd.Function):
    """Third Legendre polynomial, ``P3(x) = (5 x^3 - 3 x) / 2``, elementwise."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        """Evaluate the polynomial."""
        return (5 * x**3 - 3 * x) / 2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG004
        """Remember where the derivative is to be taken."""
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> Tensor:
        """Multiply by the derivative, ``P3'(x) = (15 x^2 - 3) / 2``."""
        (x,) = ctx.saved_tensors
        return grad_output * (15 * x**2 - 3) / 2


class LegendreCubic(Polynomial):
    """``y = a + b P3(c + d x)``, with :class:`LegendreP3` as a function that knows its own derivative.

    It starts at ``a = 0, b = -1, c = 0, d = 0.3``.

    Args:
        lr: Step size of the gradient descent.
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

    Each training step uses neither term, the fourth-order term, or both, with equal chances. Otherwise
    (``model.eval()``) predictions are the mean over the three, as dropout's are over its draws.
    The coefficients start standard normal.

    Args:
        lr: Step size of the gradient descent.
        momentum: Share of the previous step that is added to the next.
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
