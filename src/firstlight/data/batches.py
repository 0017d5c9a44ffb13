"""Mini-batches of a split: an order of its rows, and a position in that order."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from firstlight.data.seeds import generator
from firstlight.data.splits import Split

__all__ = ["Batches"]

Batch = tuple[Tensor, Tensor]
"""Inputs ``x`` and targets ``y`` of some examples, both with the batch as their first dimension."""


class Batches:
    """A loader of a split's batches: it takes the place of a ``DataLoader``, one epoch to an iteration.

    The order of an epoch is a function of ``(seed, epoch)`` and of nothing else: not of what else drew random
    numbers, nor of how often a run was stopped and resumed. The position in an epoch can be saved and restored.
    Several processes share every batch between them, so all take the same number of steps and each example counts
    exactly once.

    Args:
        split: Inputs and targets, of equal length.
        batch_size: Examples per batch, over all processes together; the last batch of a pass may be smaller.
        shuffle: Draw a new order for every pass; otherwise keep the order of the split.
        repeats: How many passes over the split make one epoch.
        seed: Seed of the order.
        rank: Number of this process, from 0.
        world_size: Number of processes.
        prepare: What is done to a batch before it is handed out; None hands out the rows as they are.

    Raises:
        ValueError: If there are fewer examples than processes, in all or in a batch.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        shuffle: bool = False,
        repeats: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        prepare: Callable[[Batch], Batch] | None = None,
    ) -> None:
        self.split = split
        self.num_examples = len(split[0])
        if self.num_examples < world_size:
            raise ValueError(f"{self.num_examples} examples cannot be shared by {world_size} processes")
        if batch_size < world_size:
            raise ValueError(f"a batch of {batch_size} cannot be shared by {world_size} processes")
        self.batch_size = batch_size
        self.shuffle, self.repeats, self.seed = shuffle, repeats, seed
        self.rank, self.world_size = rank, world_size
        self.prepare = prepare or (lambda batch: batch)
        self.epoch = 0
        self.batch_sampler = BatchSampler(self)
        self._given = 0  # batches of this epoch already handed out
        self._start = 0  # batches of this epoch that the next iteration skips
        self._whole: Batch | None = None

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass; a last one too small to be shared out joins the one before it."""
        count = math.ceil(self.num_examples / self.batch_size)
        left_over = self.num_examples - (count - 1) * self.batch_size
        return count - 1 if count > 1 and left_over < self.world_size else count

    def __len__(self) -> int:
        return self.repeats * self.batches_per_pass

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        if epoch != self.epoch:
            self.epoch, self._given, self._start = epoch, 0, 0

    def __iter__(self) -> Iterator[Batch]:
        # a generator: Lightning asks for the iterator before it says which epoch it is for
        start, self._start = self._start, 0
        for number in range(start, len(self)):
            repeat, batch = divmod(number, self.batches_per_pass)
            if batch == 0 or number == start:
                shares = self._shares(self.epoch * self.repeats + repeat)
            self._given = number + 1
            yield self._take(shares[batch])
        self._given = 0

    def _shares(self, pass_number: int) -> Sequence[Tensor | None]:
        """Return the rows of this process's share of each batch; None stands for the whole split."""
        if self.batches_per_pass == 1 and self.world_size == 1:
            return [None]  # a sum over the whole split has no order
        if self.shuffle:
            order = torch.randperm(self.num_examples, generator=generator(self.seed, pass_number))
        else:
            order = torch.arange(self.num_examples)
        starts = torch.arange(1, self.batches_per_pass) * self.batch_size
        order = order.to(self.split[0].device)
        return [batch[self.rank :: self.world_size] for batch in order.tensor_split(starts)]

    def _take(self, rows: Tensor | None) -> Batch:
        if rows is None:
            self._whole = self._whole or self.prepare(self.split)  # once: the same object in every step
            return self._whole
        x, y = self.split
        return self.prepare((x.index_select(0, rows), y.index_select(0, rows)))

    def indices(self, number: int) -> Tensor:
        """Return which rows of an unshuffled split are in this process's share of batch ``number``."""
        rows = self._shares(0)[number]
        return torch.arange(self.num_examples) if rows is None else rows.cpu()

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "batch": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position, once, if the next iteration is of its epoch."""
        self.epoch, self._given = state["epoch"], state["batch"]
        self._start = self._given


class BatchSampler(NamedTuple):
    """Where Lightning looks for a loader's ``set_epoch``: it calls ``loader.batch_sampler.sampler.set_epoch``."""

    sampler: Batches
