"""The documents' formulas written out: activation functions and their derivatives, softmax, cross-entropy.

Source: D4 (activation functions), D5 (softmax regression from scratch); see the README's table of models.
"""

import math

import torch
from torch import Tensor

__all__ = [
    "binary_step",
    "binary_step_derivative",
    "cross_entropy",
    "relu",
    "relu_derivative",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "tanh",
    "tanh_derivative",
]


def binary_step(x: Tensor) -> Tensor:
    """Return 0 where ``x < 0`` and 1 where ``x >= 0``."""
    return (x >= 0).to(x.dtype)


def binary_step_derivative(x: Tensor) -> Tensor:
    """Return 0 everywhere: the step is flat on both sides (and has no derivative at 0)."""
    return torch.zeros_like(x)


def sigmoid(x: Tensor) -> Tensor:
    """Return ``1 / (1 + e^-x)``, elementwise."""
    # e^-x overflows for very negative x, and its gradient would be infinity times zero: NaN
    limit = math.log(torch.finfo(x.dtype).max) - 1
    return 1 / (1 + torch.exp(-x.clamp(min=-limit)))


def sigmoid_derivative(x: Tensor) -> Tensor:
    """Return ``s (1 - s)`` with ``s = sigmoid(x)``, elementwise."""
    s = sigmoid(x)
    return s * (1 - s)


def tanh(x: Tensor) -> Tensor:
    """Return ``(e^x - e^-x) / (e^x + e^-x)``, elementwise."""
    # beyond 20 the quotient is 1 to the last bit of a double, and long before e^x overflows
    x = x.clamp(-20, 20) if torch.finfo(x.dtype).bits >= 32 else x.clamp(-5, 5)
    return (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())


def tanh_derivative(x: Tensor) -> Tensor:
    """Return ``1 - tanh(x)^2``, elementwise."""
    return 1 - tanh(x) ** 2


def relu(x: Tensor) -> Tensor:
    """Return ``max(x, 0)``, elementwise."""
    return x.masked_fill(x <= 0, 0)  # of clamp, torch 2.11 has the slope 1 at 0


def relu_derivative(x: Tensor) -> Tensor:
    """Return 0 where ``x <= 0`` and 1 where ``x > 0``."""
    return (x > 0).to(x.dtype)


def softmax(logits: Tensor) -> Tensor:
    """Return ``exp(logits) / sum(exp(logits))`` by row.

    Args:
        logits: Scores of shape ``(batch, num_classes)``.

    Returns:
        Probabilities of the same shape; every row sums to 1.
    """
    # a constant taken from a row cancels in the quotient; the largest keeps exp() from overflowing
    powers = (logits - logits.max(dim=1, keepdim=True).values).exp()
    return powers / powers.sum(dim=1, keepdim=True)


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the mean of ``-log(p)`` over the batch, where ``p`` is the probability of the correct class.

    With ``p = exp(o_y) / sum(exp(o))`` that is ``log(sum(exp(o))) - o_y``, which stays finite where
    ``p`` itself rounds to zero.

    Args:
        logits: Scores ``o`` of shape ``(batch, num_classes)``.
        y: Correct classes of shape ``(batch,)``.

    Returns:
        A tensor without dimensions.
    """
    largest = logits.max(dim=1, keepdim=True).values
    log_sum = (logits - largest).exp().sum(dim=1).log() + largest[:, 0]  # (batch,)
    return (log_sum - logits.gather(1, y[:, None])[:, 0]).mean()
