"""Batches of a data set, with random numbers that depend on (seed, epoch, index) alone."""

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from operator import getitem
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from firstlight.data.fingerprints import fingerprint
from firstlight.data.seeds import key_seed, nth_seed, own_random_numbers
from firstlight.errors import FirstlightError

__all__ = ["Rows", "Seeded", "StateCheck"]


class Rows(NamedTuple):
    """The examples of a batch, and the epoch that they are in."""

    epoch: int
    indices: list[Any]


class Seeded(Dataset[Any]):
    """A data set whose items are whole batches, with random numbers that depend on (seed, epoch, index) alone.

    To seed all generators for an example takes 7 us, a tenth of a small model's step. So none is seeded at first; where
    a batch has drawn from one, it is fetched again, and from then on this generator is seeded for each example.

    Args:
        dataset: A map-style data set of examples.
        collate: Makes a batch of a list of examples.
        seed: Seed of the random numbers.
    """

    def __init__(self, dataset: Any, collate: Callable[[list[Any]], Any], seed: int) -> None:
        self.dataset, self.collate, self.seed = dataset, collate, seed
        self.drawn: list[Generator] = []  # those that examples or collate have drawn from

    def __getitems__(self, rows: Rows) -> Any:
        """Return a batch, or the error that an example raised: a worker would bury its line in a traceback."""
        with own_random_numbers():
            while True:
                for generator in GENERATORS:
                    generator.seed(0)
                try:
                    batch = self._batch(rows)
                except FirstlightError as error:
                    return error
                others = [generator for generator in GENERATORS if generator not in self.drawn]
                found = [generator for generator in others if generator.draw() != generator.first]
                if not found:
                    return batch
                self.drawn += found

    def _batch(self, rows: Rows) -> Any:
        fetch, example = getattr(self.dataset, "__getitems__", None), partial(getitem, self.dataset)
        if not self.drawn:
            return self.collate(list(fetch(rows.indices) if fetch else map(example, rows.indices)))
        epoch_seed, seeds = key_seed(self.seed, rows.epoch), [generator.seed for generator in self.drawn]
        examples: list[Any] = []
        for index in rows.indices:
            example_seed = nth_seed(epoch_seed, _number(index))
            for seed in seeds:
                seed(example_seed)
            examples += fetch([index]) if fetch else (example(index),)
        for seed in seeds:
            seed(nth_seed(epoch_seed, ~_number(rows.indices[0])))  # a batch's own, for what collate draws
        return self.collate(examples)

    def numbers_after(self, index: Any) -> list[float]:
        """Return the next number of each generator after a batch of one example; before it, each is seeded with 0."""
        with own_random_numbers():
            for generator in GENERATORS:
                generator.seed(0)
            with suppress(FirstlightError):  # the first batch raises it too
                self._batch(Rows(0, [index]))
            return [generator.draw() for generator in GENERATORS]


class StateCheck(Dataset[str]):
    """Says which state a data set keeps that its examples depend on; a data set itself, so that a worker can look.

    A cache of examples that were changed at random shows in the random numbers: an example draws others when it is
    fetched again, while another example, fetched for the first time, draws what that one drew at first. Neither a data
    set that seeds generators itself does so, nor one that draws only when its very first example is fetched.

    Args:
        seeded: A ``Seeded`` of which no batch was fetched.
    """

    def __init__(self, seeded: Any) -> None:
        self.seeded = seeded

    def __getitem__(self, indices: list[Any]) -> str:
        """Return the state in words, from two of these examples; an empty text if there is none."""
        different = {repr(index): index for index in indices}.values()
        first, second = islice(cycle(different), 1, 3)  # the first of all was fetched before, for a fingerprint
        drawn = self.seeded.numbers_after(first)
        if drawn != self.seeded.numbers_after(first) and drawn == self.seeded.numbers_after(second):
            return "keeps examples as they were changed at random; cache them before they are changed"
        if len({fingerprint(self.seeded.__getitems__(Rows(0, [first]))) for _ in range(2)}) > 1:
            return "has random numbers of its own, or another state that examples depend on"
        return ""


class Generator(NamedTuple):
    """A global generator of random numbers.

    Args:
        seed: Seeds it.
        draw: Draws a number.
        first: The first number after the seed 0.
    """

    seed: Callable[[int], object]
    draw: Callable[[], float]
    first: float


def _number(index: Any) -> int:
    """Return a number for an index of any kind, as a sampler of one's own may give it."""
    return index if isinstance(index, int) else int.from_bytes(repr(index).encode())


def _generators() -> Iterator[Generator]:
    pairs: list[tuple[Callable[[int], object], Callable[[], float]]] = [
        (torch.default_generator.manual_seed, lambda: torch.rand((), dtype=torch.float64, device="cpu").item()),
        (lambda seed: random.seed(seed >> 32), random.random),
        (lambda seed: np.random.seed(seed >> 32), np.random.random),
    ]
    for seed, draw in pairs:
        seed(0)
        yield Generator(seed, draw, draw())


with own_random_numbers():
    GENERATORS = tuple(_generators())
    """PyTorch's, Python's and NumPy's."""
