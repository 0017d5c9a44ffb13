"""The order that a sampler of one's own gives, made a function of (seed, epoch)."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data.distributed import DistributedSampler

from firstlight.data.seeds import key_seed, own_random_numbers, seed_generators
from firstlight.errors import DataError

__all__ = ["SampledOrder", "SharedOrder"]


class SampledOrder:
    """The batches that a batch sampler gives for random numbers that are a function of ``(seed, epoch)``.

    Several processes take turns, each a whole batch; where their number does not divide that of the batches, the first
    batches come once more. A ``DistributedSampler`` has shared the examples out already.

    Args:
        batch_sampler: Gives the indices of each batch.
        seed: Seed of the random numbers that it draws.
        rank: Number of this process, from 0.
        world_size: Number of processes.
    """

    def __init__(self, batch_sampler: Any, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.batch_sampler, self.seed = batch_sampler, seed
        self.samplers = [batch_sampler, getattr(batch_sampler, "sampler", None)]
        is_shared = any(isinstance(sampler, DistributedSampler) for sampler in self.samplers)
        self.rank, self.world_size = (0, 1) if is_shared else (rank, world_size)

    def __len__(self) -> int:
        return math.ceil(len(self.batch_sampler) / self.world_size)

    def batches(self, epoch: int, start: int = 0) -> Iterator[Iterable[Any]]:
        """Yield the indices of each of this process's batches, from number ``start`` on."""
        drawn = self.draw(epoch)
        drawn += drawn[: -len(drawn) % self.world_size]
        yield from drawn[self.rank :: self.world_size][start:]

    def draw(self, epoch: int) -> list[Any]:
        """Return the indices of each batch of an epoch, of all processes together."""
        seed = key_seed(self.seed, epoch)
        for sampler in self.samplers:
            if isinstance(generator := getattr(sampler, "generator", None), torch.Generator):
                generator.manual_seed(seed)
            if callable(set_epoch := getattr(sampler, "set_epoch", None)):
                set_epoch(epoch)
        with own_random_numbers():
            seed_generators(seed)
            return list(islice(self.batch_sampler, len(self.batch_sampler)))  # some samplers have no end

    def is_repeatable(self) -> bool:
        """Return whether the samplers give the same batches for the same random numbers."""
        if all(type(sampler).__module__.startswith("torch.utils.data") for sampler in self.samplers if sampler):
            return True
        return repr(self.draw(0)) == repr(self.draw(0))


class SharedOrder(SampledOrder):
    """The same for evaluation: the processes share each batch, so that each example counts once."""

    def __len__(self) -> int:
        return len(self.batch_sampler) if self.world_size == 1 else len(list(self.batches(0)))

    def batches(self, epoch: int, start: int = 0) -> Iterator[list[Any]]:
        """Yield this process's share of each batch, from number ``start`` on; batches too small to share are joined.

        Raises:
            DataError: If there are fewer examples than processes.
        """
        joined: list[list[Any]] = []
        for batch in self.draw(epoch):
            if not joined or len(joined[-1]) >= self.world_size:
                joined.append([])
            joined[-1] += batch
        if len(joined) > 1 and len(joined[-1]) < self.world_size:
            last = joined.pop()
            joined[-1] += last
        if joined and len(joined[-1]) < self.world_size:
            raise DataError(f"{len(joined[-1])} examples cannot be shared by {self.world_size} processes")
        yield from (batch[self.rank :: self.world_size] for batch in joined[start:])
