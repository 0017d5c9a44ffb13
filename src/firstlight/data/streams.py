"""Data that is read in one go: an ``IterableDataset``, or a sampler without a length, from a position on."""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import torch
from torch.utils.data import DataLoader

from firstlight.data.order import ResumableLoader
from firstlight.data.seeds import key_seed, nth_seed, own_random_numbers, seed_generators

__all__ = ["StreamLoader"]

_END = object()


class StreamLoader(ResumableLoader):
    """The batches of a ``DataLoader`` for an ``IterableDataset``, or of one whose sampler has no length.

    A data set with ``state_dict`` and ``load_state_dict`` goes on from its state. Another one, or one that is read by
    workers, is read again from the start of the epoch, and the batches that were given are left out. What it draws from
    the global random numbers of PyTorch, NumPy and Python is a function of ``(seed, epoch, batch)``.

    Args:
        loader: The ``DataLoader``.
        seed: Seed of the random numbers.
        position: Returns how many batches of this epoch were used; by default, all that were given. A Trainer that does
            not know the number of batches fetches one ahead.
    """

    def __init__(self, loader: DataLoader[Any], seed: int = 0, position: Callable[[], int] | None = None) -> None:
        super().__init__()
        self.loader, self.seed, self.rank = loader, seed, 0
        self.gather: Callable[[Any], list[Any]] = lambda state: [state]
        """Returns the states of the data sets of all processes, by rank, for that of this one."""
        self.position = position or (lambda: self._given)
        self.dataset: Any = loader.dataset
        self.has_state = loader.num_workers == 0 and all(
            hasattr(self.dataset, name) for name in ("state_dict", "load_state_dict")
        )
        self._states: dict[int, Any] = {}  # of the data set, after the last batches
        self._state: Any = None  # to go on from
        self._length: int | None = None  # of an epoch, in batches, once it is known
        with suppress(TypeError):
            self._length = len(loader)
        loader.generator = torch.Generator()  # else each epoch would draw a number from the global one

    def __len__(self) -> int:
        return len(self.loader)  # an error, where the data set has no length

    def batches(self, start: int) -> Iterator[Any]:
        """Yield the batches of :attr:`epoch`, from number ``start`` on."""
        epoch_seed, first = key_seed(self.seed, self.epoch), 0
        self.loader.generator.manual_seed(epoch_seed)  # the workers' random numbers come from it
        if self._state is not None:
            self.dataset.load_state_dict(self._state)
            self._state, first = None, start
        supply = iter(self.loader)
        for number in count(first):
            with own_random_numbers():
                seed_generators(nth_seed(epoch_seed, number))
                batch = next(supply, _END)
            if batch is _END:
                self._keep_state(number)
                self._length = number
                return
            self._keep_state(number + 1)
            if number >= start:
                yield batch

    def _keep_state(self, given: int) -> None:
        if self.has_state:
            self._states = {given - 1: self._states.get(given - 1), given: copy.deepcopy(self.dataset.state_dict())}

    def state_dict(self) -> dict[str, Any]:
        """Return the position, and the states of the data sets of all processes there."""
        used = self.position()
        # an iteration starts before the Trainer says for which epoch: at the end of one, it is the next
        epoch, batch = (self.epoch + 1, 0) if used == self._length else (self.epoch, used)
        return {"epoch": epoch, "batch": batch, "states": self.gather(self._states.get(used))}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position."""
        super().load_state_dict(state)
        self._state = state["states"][self.rank % len(state["states"])] if self.has_state else None
