"""Batches of a data set, with random numbers that depend on (seed, epoch, index) alone."""

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from firstlight.data.seeds import key_seed, nth_seed, own_random_numbers, seed_generators
from firstlight.errors import FirstlightError

__all__ = ["Rows", "Seeded"]


class Rows(NamedTuple):
    """The examples of a batch, and the epoch that they are in."""

    epoch: int
    indices: list[Any]


class Seeded(Dataset[Any]):
    """A data set whose items are whole batches, with random numbers that depend on (seed, epoch, index) alone.

    To seed all generators for an example takes 7 us. A batch is fetched without at first; only if it drew random
    numbers, it is fetched again with seeds, and from then on all are.

    Args:
        dataset: A map-style data set of examples.
        collate: Makes a batch of a list of examples.
        seed: Seed of the random numbers.
    """

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any], seed: int) -> None:
        self.dataset, self.collate, self.seed = dataset, collate, seed
        self.draws = False

    def __getitems__(self, rows: Rows) -> Any:
        """Return a batch, or the error that an example raised: a worker would bury its line in a traceback."""
        with own_random_numbers():
            try:
                if not self.draws:
                    seed_generators(0)
                    batch = self.collate(self._fetch(rows.indices))
                    self.draws = _draw() != UNTOUCHED
                return self._fetch_seeded(rows) if self.draws else batch
            except FirstlightError as error:
                return error

    def _fetch(self, indices: list[Any]) -> list[Any]:
        if callable(fetch := getattr(self.dataset, "__getitems__", None)):
            return list(fetch(indices))
        return [self.dataset[index] for index in indices]

    def _fetch_seeded(self, rows: Rows) -> Any:
        epoch_seed = key_seed(self.seed, rows.epoch)
        examples: list[Any] = []
        for index in rows.indices:
            seed_generators(nth_seed(epoch_seed, _number(index)))
            examples += self._fetch([index])
        seed_generators(nth_seed(epoch_seed, ~_number(rows.indices[0])))  # a batch's own, for what collate draws
        return self.collate(examples)


def _number(index: Any) -> int:
    """Return a number for an index of any kind, as a sampler of one's own may give it."""
    return index if isinstance(index, int) else int.from_bytes(repr(index).encode())


def _draw() -> tuple[float, float, float]:
    """Return a number from each global generator."""
    return torch.rand((), dtype=torch.float64, device="cpu").item(), random.random(), np.random.random()  # noqa: S311  # no secrets


with own_random_numbers():
    seed_generators(0)
    UNTOUCHED = _draw()
