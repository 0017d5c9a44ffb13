"""Computed data: the sine of the documents, and examples whose targets come from planted weights."""

import math
from abc import ABC, abstractmethod

import torch
from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from firstlight.data.in_memory import InMemory
from firstlight.data.seeds import generator
from firstlight.data.splits import Split
from firstlight.functional import sigmoid

__all__ = ["Houses", "PlantedNeuron", "Sine"]


class Sine(InMemory):
    """Evenly spaced points of ``y = sin(x)``, with ``x`` in radians from ``-pi`` to ``pi``.

    A batch is a pair of the powers ``x, x^2, ...`` of shape ``(batch, num_powers)`` and sines of shape
    ``(batch, 1)``. Training points include both ends; those for validation and for testing lie one
    third and two thirds of the way between neighbours, so none of them was trained on. ``repeats``, ``seed``,
    ``fold`` and ``num_folds`` are those of :class:`InMemory`.

    Source: D3.

    Args:
        num_points: Training points; there is one less of each other kind.
        num_powers: Powers of ``x`` that an input consists of.
        scale_target: Map the sines from -1..1 to 0..1, the range of a sigmoid.
        batch_size: Points per batch, over all processes together; null takes the whole curve at once.

    Raises:
        ValueError: If there are fewer than two points.
    """

    def __init__(
        self,
        num_points: PositiveInt = 2000,
        num_powers: PositiveInt = 1,
        scale_target: bool = False,
        batch_size: PositiveInt | None = None,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        self.save_hyperparameters()
        if num_points < 2:
            raise ValueError(f"num_points must be at least 2, the two ends of the curve; got {num_points}")
        self.num_points = num_points
        self.num_powers = num_powers
        self.scale_target = scale_target

    def setup(self, stage: str) -> None:
        """Compute the points that the stage needs."""
        ends = torch.linspace(-math.pi, math.pi, self.num_points, dtype=torch.double)
        spacing = 2 * math.pi / (self.num_points - 1)
        if stage in ("fit", "validate"):
            self.train = self._curve(ends)
            self.val = self._curve(ends[:-1] + spacing / 3)
            self.hold_out_fold()
        else:
            self.test = self._curve(ends[:-1] + spacing * 2 / 3)

    def _curve(self, x: Tensor) -> Split:
        y = x.sin()[:, None]
        x = x[:, None]
        powers = x if self.num_powers == 1 else x ** torch.arange(1, self.num_powers + 1)  # the first is no copy
        return powers, (y + 1) / 2 if self.scale_target else y


class Planted(InMemory, ABC):
    """Standard normal features, and targets computed from them with weights that a model has to find.

    A batch is a pair of features of shape ``(batch, num_features)`` and targets of shape ``(batch, 1)``.
    There is a fifth as many examples for validation, and for testing, as there is for training.
    """

    num_examples: int
    weights: Tensor
    bias: Tensor

    @abstractmethod
    def answer(self, features: Tensor, random: torch.Generator) -> Tensor:
        """Return the targets, of shape ``(batch, 1)``."""

    def setup(self, stage: str) -> None:
        """Draw the examples of all splits."""
        held_out = math.ceil(self.num_examples / 5)
        random = generator(self.seed)
        features = torch.randn(self.num_examples + 2 * held_out, len(self.weights), generator=random)
        sizes = [self.num_examples, held_out, held_out]
        x = features.double()
        y = self.answer(x, random)
        self.train, self.val, self.test = zip(torch.split(x, sizes), torch.split(y, sizes), strict=True)
        self.hold_out_fold()


class PlantedNeuron(Planted):
    """Outputs of a sigmoid neuron with planted weights, ``y = sigmoid(x @ W + b)``.

    A batch is a pair of features of shape ``(batch, num_features)`` and outputs, from 0 to 1, of shape
    ``(batch, 1)``. Features, ``W`` and ``b`` are drawn from the standard normal distribution. ``repeats``, ``seed``,
    ``fold`` and ``num_folds`` are those of :class:`InMemory`.

    Source: D1 and D2 ("the true weights for our data").

    Args:
        num_examples: Training examples; a fifth as many are drawn for validation, and for testing.
        num_features: Inputs of the neuron.
        batch_size: Examples per batch, over all processes together.
    """

    def __init__(
        self,
        num_examples: PositiveInt = 1000,
        num_features: PositiveInt = 5,
        batch_size: PositiveInt = 100,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        self.save_hyperparameters()
        self.num_examples = num_examples
        planted = torch.randn(num_features + 1, generator=generator(seed, 1), dtype=torch.double)
        self.weights, self.bias = planted[:-1], planted[-1]

    def answer(self, features: Tensor, random: torch.Generator) -> Tensor:
        """Return ``sigmoid(features @ weights + bias)``, of shape ``(batch, 1)``."""
        return sigmoid(features @ self.weights + self.bias)[:, None]


class Houses(Planted):
    """Houses with a price that is linear in area and age, ``price = 2 area - 3.4 age + 4.2 + noise``.

    A batch is a pair of area and age, both in standard deviations from their mean, of shape ``(batch, 2)``, and
    prices of shape ``(batch, 1)``. ``repeats``, ``seed``, ``fold`` and ``num_folds`` are those of
    :class:`InMemory`.

    Source: D5, with the constants of its original, Dive into Deep Learning, section 3.2.

    Args:
        num_examples: Training examples; a fifth as many are drawn for validation, and for testing.
        noise: Standard deviation of the noise in the price.
        batch_size: Houses per batch, over all processes together.
    """

    feature_names = ("area", "age")

    def __init__(
        self,
        num_examples: PositiveInt = 1000,
        noise: NonNegativeFloat = 0.01,
        batch_size: PositiveInt = 10,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        self.save_hyperparameters()
        self.num_examples = num_examples
        self.noise = noise
        self.weights = torch.tensor([2, -3.4], dtype=torch.double)
        self.bias = torch.tensor(4.2, dtype=torch.double)

    def answer(self, features: Tensor, random: torch.Generator) -> Tensor:
        """Return ``features @ weights + bias + noise``, of shape ``(batch, 1)``."""
        noise = self.noise * torch.randn(len(features), generator=random, dtype=torch.double)
        return (features @ self.weights + self.bias + noise)[:, None]
