"""What a gradient worked out by hand needs from the Trainer, so that a lesson can be its formula alone."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

__all__ = ["ManualGradient"]


class ManualGradient(LightningModule, ABC):
    """A model that computes the gradient of a parameter itself, without autograd.

    Gradient accumulation, clipping, mixed precision and several processes work as they do with autograd; the
    gradients of several processes are summed up.
    """

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return ``self.with_gradient(loss, parameter, gradient)``."""

    def with_gradient(self, loss: Tensor, parameter: Tensor, gradient: Tensor) -> Tensor:
        """Return the loss, and keep the gradient for :meth:`backward`."""
        self._kept = loss.requires_grad_(), parameter, gradient
        return loss

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Add the gradient to that of the parameter, in place of ``loss.backward()``."""
        own_loss, parameter, gradient = self._kept
        if loss is not own_loss:
            # accumulation and half precision pass in a multiple of the loss: the chain rule's first factor
            gradient = gradient * torch.autograd.grad(loss, own_loss)[0]
        gradient = self.trainer.strategy.reduce(gradient, reduce_op="sum")
        gradient = gradient.to(parameter.dtype)  # mixed precision has less
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
