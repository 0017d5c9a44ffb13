"""The data of this project."""

import math

import torch
from firstlight import InMemory
from firstlight.data.splits import Split
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt

__all__ = ["TwoMoons"]


class TwoMoons(InMemory):
    """Points on two interleaved half circles of radius 1, two classes that no straight line separates.

    The upper moon is ``(cos t, sin t)``, the lower one ``(1 - cos t, 0.5 - sin t)``, for angles ``t`` from 0 to
    ``pi``. A batch is a pair of points of shape ``(batch, 2)`` and the classes they are of, 0 (upper) or 1
    (lower), of shape ``(batch,)``. Half of the points are of each class. ``seed``, ``fold`` and ``num_folds`` are those
    of ``InMemory``.

    Args:
        num_points: Training points; as many are drawn for validation, and for testing.
        noise: Standard deviation of the noise in each coordinate.
        batch_size: Points per batch, over all processes together.
    """

    classes = ("upper", "lower")

    def __init__(
        self,
        num_points: PositiveInt = 1000,
        noise: NonNegativeFloat = 0.1,
        batch_size: PositiveInt = 20,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, seed=seed, fold=fold, num_folds=num_folds)
        self.save_hyperparameters()
        self.num_points = num_points
        self.noise = noise

    def setup(self, stage: str) -> None:
        """Draw the points of all splits."""
        random = torch.Generator().manual_seed(self.seed)
        self.train, self.val, self.test = (self._draw(random) for _ in range(3))
        self.hold_out_fold()

    def _draw(self, random: torch.Generator) -> Split:
        t = math.pi * torch.rand(self.num_points, generator=random)
        upper = torch.stack([t.cos(), t.sin()], dim=1)  # (num_points, 2)
        lower = torch.stack([1 - t.cos(), 0.5 - t.sin()], dim=1)
        y = torch.arange(self.num_points) % 2
        x = torch.where(y[:, None] == 0, upper, lower)
        return x + self.noise * torch.randn(x.shape, generator=random), y
