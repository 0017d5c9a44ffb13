"""A learning rate schedule that PyTorch lacks: warm-up, then half a cosine."""

import math

from jsonargparse.typing import NonNegativeFloat, OpenUnitInterval, PositiveInt
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

__all__ = ["WarmupCosineLR"]


class WarmupCosineLR(LRScheduler):
    """Raise the learning rate linearly, then lower it along half a cosine, step by step.

    With ``T`` steps in all, ``w`` of them warm-up, step ``t`` (from 0) has this multiple of the optimizer's rate:

        (t + 1) / (w + 1)                                   for t < w
        e + (1 - e) (1 + cos(pi (t - w) / (T - w))) / 2     afterwards

    Source: Loshchilov and Hutter (2017), https://arxiv.org/abs/1608.03983; the warm-up is that of Goyal et al. (2017),
    https://arxiv.org/abs/1706.02677.

    Args:
        optimizer: The optimizer whose learning rate it sets.
        total_steps: Steps in all, ``T``; on the command line, by default those of the run.
        warmup: Steps of warm-up, ``w``; a number below 1 is a share of all steps.
        end_factor: Multiple of the learning rate that it ends at, ``e``.
        last_epoch: Steps that were taken before; -1 for a new schedule.

    Raises:
        ValueError: If the warm-up is negative or takes all steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: PositiveInt,
        warmup: int | OpenUnitInterval = 0.05,
        end_factor: NonNegativeFloat = 0.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_steps = int(total_steps)
        self.warmup = int(warmup) if warmup >= 1 else round(warmup * total_steps)
        self.end_factor = float(end_factor)
        if not 0 <= self.warmup < self.total_steps:
            raise ValueError(f"warmup must be at least 0 and less than total_steps, {self.total_steps}; got {warmup}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each parameter group for the next step."""
        return [lr * self.factor(self.last_epoch) for lr in self.base_lrs]

    def factor(self, step: int) -> float:
        """Return the multiple of the learning rate at a step; after the last one it stays where it ended."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        progress = min((step - self.warmup) / (self.total_steps - self.warmup), 1.0)
        return self.end_factor + (1 - self.end_factor) * (1 + math.cos(math.pi * progress)) / 2
