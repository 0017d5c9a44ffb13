"""The data of this project."""

import math
from typing import Any

import torch
from firstlight import Loaded
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils.data import TensorDataset

__all__ = ["TwoMoons"]


class TwoMoons(Loaded):
    """Points on two interleaved half circles of radius 1, two classes that no straight line separates.

    The upper moon is ``(cos t, sin t)``, the lower one ``(1 - cos t, 0.5 - sin t)``, for angles ``t`` from 0 to
    ``pi``. A batch is a pair of points of shape ``(batch, 2)`` and the classes they are of, 0 (upper) or 1
    (lower), of shape ``(batch,)``. Half of the points are of each class. ``seed``, ``fold``, ``num_folds`` and
    ``num_workers`` are those of ``Loaded``.

    Args:
        num_points: Training points; as many are drawn for validation, and for testing.
        noise: Standard deviation of the noise in each coordinate.
        jitter: Standard deviation of the noise that is drawn anew each time a training point is used.
        batch_size: Points per batch, over all processes together.
    """

    classes = ("upper", "lower")

    def __init__(
        self,
        num_points: PositiveInt = 1000,
        noise: NonNegativeFloat = 0.1,
        jitter: NonNegativeFloat = 0.0,
        batch_size: PositiveInt = 20,
        num_workers: NonNegativeInt = 0,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, seed=seed, fold=fold, num_folds=num_folds, num_workers=num_workers)
        self.save_hyperparameters()
        self.num_points = num_points
        self.noise = noise
        self.jitter = jitter

    def setup(self, stage: str) -> None:
        """Make the splits: any data sets with a length and examples by index, here points in memory."""
        random = torch.Generator().manual_seed(self.seed)
        self.train, self.val, self.test = (self._draw(random) for _ in range(3))
        self.hold_out_fold()

    def augment(self, example: Any) -> tuple[Tensor, Tensor]:
        """Move a training point a little."""
        point, moon = example
        return point + self.jitter * torch.randn(point.shape), moon

    def _draw(self, random: torch.Generator) -> TensorDataset:
        t = math.pi * torch.rand(self.num_points, generator=random)
        upper = torch.stack([t.cos(), t.sin()], dim=1)  # (num_points, 2)
        lower = torch.stack([1 - t.cos(), 0.5 - t.sin()], dim=1)
        y = torch.arange(self.num_points) % 2
        x = torch.where(y[:, None] == 0, upper, lower)
        return TensorDataset(x + self.noise * torch.randn(x.shape, generator=random), y)
