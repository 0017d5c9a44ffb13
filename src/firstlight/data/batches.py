"""Mini-batches of a split that is in memory."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from firstlight.data.order import Order, ResumableLoader
from firstlight.data.splits import Split

__all__ = ["Batches"]

Batch = tuple[Tensor, Tensor]
"""Inputs ``x`` and targets ``y`` of some examples, both with the batch as their first dimension."""


class Batches(ResumableLoader):
    """A loader of a split's batches: it takes the place of a ``DataLoader``, one epoch to an iteration.

    Their order is that of :class:`~firstlight.data.order.Order`: a function of ``(seed, epoch)``, shared by several
    processes. The position in an epoch can be saved and restored.

    Args:
        split: Inputs and targets, of equal length.
        batch_size: Examples per batch, over all processes together.
        prepare: What is done to a batch before it is handed out; None hands out the rows as they are.
        order: Further arguments of ``Order``: ``shuffle``, ``repeats``, ``seed``, ``rank``, ``world_size``.

    Raises:
        DataError: If there are fewer examples than processes, in all or in a batch.
    """

    def __init__(
        self, split: Split, batch_size: int, *, prepare: Callable[[Batch], Batch] | None = None, **order: Any
    ) -> None:
        super().__init__()
        self.split = split
        self.order = Order(len(split[0]), batch_size, device=split[0].device, **order)
        self.prepare = prepare or (lambda batch: batch)
        self._whole: Batch | None = None

    def __len__(self) -> int:
        return len(self.order)

    def batches(self, start: int) -> Iterator[Batch]:
        """Yield the batches of :attr:`epoch`, from number ``start`` on."""
        for rows in self.order.batches(self.epoch, start):
            yield self._take(rows)

    def _take(self, rows: Tensor | None) -> Batch:
        if rows is None:
            self._whole = self._whole or self.prepare(self.split)  # once: the same object in every step
            return self._whole
        x, y = self.split
        return self.prepare((x.index_select(0, rows), y.index_select(0, rows)))
