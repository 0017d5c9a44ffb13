"""The order of the examples in an epoch, and a position in it that can be saved."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.data.seeds import generator
from firstlight.errors import DataError

__all__ = ["Order", "ResumableLoader"]


class Order:
    """Which examples are in each batch: a function of ``(seed, epoch)`` and of nothing else.

    It does not depend on what else drew random numbers, nor on how often a run was stopped and resumed. Several
    processes share every batch between them, so all take the same number of steps and each example counts exactly
    once.

    Args:
        num_examples: Examples in all.
        batch_size: Examples per batch, over all processes together; the last batch of a pass may be smaller.
        shuffle: Draw a new order for every pass; otherwise examples come in the order of their numbers.
        is_fixed: Shuffle once, and keep that order in every pass.
        repeats: How many passes over the examples make one epoch.
        drop_last: Leave a pass's last batch out if it is smaller than the others.
        seed: Seed of the order.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        device: Where the numbers of the examples are needed.

    Raises:
        DataError: If there are fewer examples than processes, in all or in a batch.
    """

    def __init__(
        self,
        num_examples: int,
        batch_size: int,
        *,
        shuffle: bool = False,
        is_fixed: bool = False,
        repeats: int = 1,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | None = None,
    ) -> None:
        if num_examples < world_size:
            raise DataError(f"{num_examples} examples cannot be shared by {world_size} processes")
        if batch_size < world_size:
            raise DataError(f"a batch of {batch_size} cannot be shared by {world_size} processes")
        self.num_examples, self.batch_size = num_examples, batch_size
        self.shuffle, self.is_fixed, self.repeats, self.seed = shuffle, is_fixed, repeats, seed
        self.rank, self.world_size, self.device = rank, world_size, device
        left_over = num_examples % batch_size
        self.num_used = num_examples - left_over if drop_last and num_examples > batch_size else num_examples
        # a last batch too small to be shared out joins the one before it
        joined = 0 < self.num_used % batch_size < world_size
        self.batches_per_pass = max(math.ceil(self.num_used / batch_size) - joined, 1)

    def __len__(self) -> int:
        return self.repeats * self.batches_per_pass

    def batches(self, epoch: int, start: int = 0) -> Iterator[Tensor | None]:
        """Yield the examples of this process's share of each batch, from batch ``start`` on; None stands for all."""
        for number in range(start, len(self)):
            repeat, batch = divmod(number, self.batches_per_pass)
            if batch == 0 or number == start:
                order = self._order(epoch * self.repeats + repeat)
            yield self._share(order, batch)

    def indices(self, number: int) -> Tensor:
        """Return which examples are in this process's share of batch ``number``, of the first pass."""
        rows = self._share(self._order(0), number)
        return torch.arange(self.num_examples) if rows is None else rows.cpu()

    def _order(self, pass_number: int) -> Tensor | None:
        """Return the order of the examples in a pass; None if it is that of their numbers, or makes no difference."""
        if not self.shuffle or self._is_whole:
            return None
        order = torch.randperm(self.num_examples, generator=generator(self.seed, 0 if self.is_fixed else pass_number))
        on_gpu = self.device is not None and self.device.type == "cuda"
        return order.to(self.device, non_blocking=on_gpu)

    def _share(self, order: Tensor | None, batch: int) -> Tensor | None:
        """Return the examples of this process's share of a batch; None stands for all examples."""
        if self._is_whole:
            return None  # a sum over all examples has no order
        begin, is_last = batch * self.batch_size, batch == self.batches_per_pass - 1
        end = self.num_used if is_last else begin + self.batch_size
        if order is None:
            return torch.arange(begin + self.rank, end, self.world_size, device=self.device)
        return order[begin + self.rank : end : self.world_size]

    @property
    def _is_whole(self) -> bool:
        return self.batches_per_pass == 1 and self.world_size == 1 and self.num_used == self.num_examples


class ResumableLoader(ABC):
    """A loader, one epoch to an iteration, whose position in the epoch can be saved and restored."""

    def __init__(self) -> None:
        self.epoch = 0
        self._given = 0  # batches of this epoch already handed out
        self._start = 0  # batches of this epoch that the next iteration leaves out

    @property
    def batch_sampler(self) -> "BatchSampler":
        """Where Lightning looks for :meth:`set_epoch`; not kept, so that a loader's workers end with it."""
        return BatchSampler(self)

    @abstractmethod
    def batches(self, start: int) -> Iterator[Any]:
        """Yield the batches of :attr:`epoch`, from number ``start`` on."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        if epoch != self.epoch:
            self.epoch, self._given, self._start = epoch, 0, 0

    def __iter__(self) -> Iterator[Any]:
        # a generator: Lightning asks for the iterator before it says which epoch it is for
        self._given, self._start = self._start, 0
        for batch in self.batches(self._given):
            self._given += 1
            yield batch
        self._given = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "batch": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position, once, if the next iteration is of its epoch."""
        self.epoch, self._given = state["epoch"], state["batch"]
        self._start = self._given


class BatchSampler(NamedTuple):
    """Where Lightning looks for a loader's ``set_epoch``: it calls ``loader.batch_sampler.sampler.set_epoch``."""

    sampler: ResumableLoader
