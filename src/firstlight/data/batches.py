"""Mini-batches of data that fits in memory: a split is a few tensors, a batch is an index into them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Literal, cast

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch import LightningDataModule
from torch import Tensor

from firstlight.data.seeds import generator
from firstlight.data.splits import Split, check_split, hold_out

__all__ = ["Batches", "InMemory"]


class Batches:
    """An endless supply of epochs over a split, one epoch to an iteration.

    The order of an epoch is a function of ``(seed, epoch)`` and of nothing else: not of what else drew
    random numbers, nor of how often a run was stopped and resumed. A position inside an epoch can be
    saved and restored. Several processes share every batch between them, so all make the same number
    of steps and each example counts exactly once.

    Args:
        split: Tensors of equal length.
        batch_size: Examples per batch, over all processes together; the last batch of a pass may be smaller.
        shuffle: Draw a new order for every pass; otherwise keep the order of the split.
        passes: How often one epoch goes through the split.
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
        passes: int = 1,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        prepare: Callable[[Split], Split] | None = None,
    ) -> None:
        self.split = split
        self.num_examples = len(split[0])
        if self.num_examples < world_size:
            raise ValueError(f"{self.num_examples} examples cannot be shared by {world_size} processes")
        if batch_size < world_size:
            raise ValueError(f"a batch of {batch_size} cannot be shared by {world_size} processes")
        self.batch_size = batch_size
        self.shuffle, self.passes = shuffle, passes
        self.seed = seed
        self.rank, self.world_size = rank, world_size
        self.prepare = prepare or (lambda batch: batch)
        self.epoch = 0
        self._given = 0  # batches of this epoch already handed out
        self._whole: Split | None = None
        self._resume: tuple[int, int] | None = None  # the epoch and the batch to go on from
        self.batch_sampler = SimpleNamespace(sampler=self)  # where Lightning looks for set_epoch

    @property
    def batches_per_pass(self) -> int:
        """Batches in one pass; a last one too small to be shared out joins the one before it."""
        count = math.ceil(self.num_examples / self.batch_size)
        left_over = self.num_examples - (count - 1) * self.batch_size
        return count - 1 if count > 1 and left_over < self.world_size else count

    def __len__(self) -> int:
        return self.passes * self.batches_per_pass

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        if epoch != self.epoch:
            self._given = 0
        self.epoch = epoch

    def __iter__(self) -> Iterator[Split]:
        # a generator: Lightning asks for the iterator before it says which epoch it is for
        start = self._resume[1] if self._resume and self._resume[0] == self.epoch else 0
        self._resume = None  # a position counts in its own epoch, once
        batches_per_pass = self.batches_per_pass
        for number in range(start, self.passes * batches_per_pass):
            which, batch = divmod(number, batches_per_pass)
            if batch == 0 or number == start:
                shares = self._shares(self.epoch * self.passes + which)
            self._given = number + 1
            yield self._take(shares[batch])
        self._given = 0

    def _shares(self, pass_number: int) -> Sequence[Tensor | None]:
        """Return the indices of this process's share of each batch; None stands for the whole split."""
        if self.batches_per_pass == 1 and self.world_size == 1:
            return [None]  # a sum over the whole split has no order
        if self.shuffle:
            order = torch.randperm(self.num_examples, generator=generator(self.seed, pass_number))
        else:
            order = torch.arange(self.num_examples)
        starts = torch.arange(1, self.batches_per_pass) * self.batch_size
        order = order.to(self.split[0].device)
        return [batch[self.rank :: self.world_size] for batch in order.tensor_split(starts)]

    def indices(self, number: int) -> Tensor:
        """Return which rows of an unshuffled split are in this process's share of batch ``number``."""
        share = self._shares(0)[number]
        return torch.arange(self.num_examples) if share is None else share.cpu()

    def _take(self, index: Tensor | None) -> Split:
        if index is None:
            self._whole = self._whole or self.prepare(self.split)  # once: the same object in every step
            return self._whole
        x, y = self.split
        return self.prepare((x.index_select(0, index), y.index_select(0, index)))

    def state_dict(self) -> dict[str, Any]:
        """Return the position: the epoch and the batches of it already given."""
        return {"epoch": self.epoch, "batch": self._given}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a position, when its epoch comes."""
        self.epoch, self._given = self._resume = state["epoch"], state["batch"]


class InMemory(LightningDataModule, ABC):
    """A data module whose splits are tensors in memory; all four stages are served from them.

    A subclass fills :attr:`train`, :attr:`val` and :attr:`test` in ``setup``. Batches are handed out as a
    model takes them: with a Trainer on the device and in the precision of its model, without one on the CPU
    and in torch's default precision. Evaluation keeps no gradients and takes four batches' examples at a
    time, unless the Trainer limits its batches.

    Args:
        batch_size: Examples per batch, over all processes together; None takes a split as one batch.
        passes: How often one epoch goes through the training split.
        seed: Seed of the data's own random numbers: splits, synthetic examples, order of batches.
        fold: Which fold is held out for validation, from 0; None keeps the data's own validation split.
        num_folds: Folds that the examples for training and validation are dealt out to.

    Raises:
        ValueError: If there is no such fold.
    """

    classes: ClassVar[tuple[str, ...]] = ()
    """Names of the classes, where targets are classes."""
    device_resident: Literal["auto"] | bool = "auto"
    """Whether splits are moved to the model's device once, and not batch by batch; auto: if there is room."""

    train: Split
    val: Split
    test: Split

    def __init__(
        self,
        batch_size: PositiveInt | None,
        passes: PositiveInt,
        seed: int,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__()
        if fold is not None and num_folds < 2:
            raise ValueError(f"num_folds is {num_folds}: there must be at least 2")
        if fold is not None and fold >= num_folds:
            raise ValueError(f"fold is {fold}: {num_folds} folds are numbered from 0 to {num_folds - 1}")
        self.batch_size = batch_size
        self.passes = passes
        self.seed = seed
        self.fold, self.num_folds = fold, num_folds

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Fill the splits that the stage (``fit``, ``validate``, ``test``, ``predict``) needs."""

    def hold_out_fold(self) -> None:
        """Deal the examples for training and validation out anew, if a fold was asked for; test data stays apart.

        To be called at the end of ``setup``. Which examples a fold consists of is a function of the seed and
        of the number of folds alone.

        Raises:
            DataError: If there are fewer examples than folds.
        """
        if self.fold is not None:
            self.train, self.val = hold_out(self.fold, self.num_folds, self.train, self.val, seed=self.seed)

    def convert(self, batch: Split, dtype: torch.dtype) -> Split:
        """Turn a batch as it waited in memory into what a model takes; by default it is that already."""
        return batch

    def train_dataloader(self) -> Batches:
        """Give the training split in a new order every pass."""
        # the same few batches again and again, if that is asked for
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return self.batches(self.train, shuffle=not overfit, passes=self.passes)

    def val_dataloader(self) -> Batches:
        """Give the validation split, in order."""
        return self._evaluated(self.val, "limit_val_batches")

    def test_dataloader(self) -> Batches:
        """Give the test split, in order."""
        return self._evaluated(self.test, "limit_test_batches")

    def predict_dataloader(self) -> Batches:
        """Give the test split, in order."""
        return self._evaluated(self.test, "limit_predict_batches")

    def _evaluated(self, split: Split, limit: str) -> Batches:
        limited = self.trainer is not None and getattr(self.trainer, limit) != 1.0
        return self.batches(split, times=1 if limited else 4)

    def batches(self, split: Split, *, times: int = 1, **options: Any) -> Batches:
        """Give a split in batches as a model takes them, ``times`` as large as in training."""
        check_split(self, split)
        trainer = self.trainer
        model = trainer.lightning_module if trainer else torch.empty(0)  # which has torch's defaults
        dtype, device = cast("torch.dtype", model.dtype), model.device
        if self._is_resident(sum(part.nbytes for part in split), device):
            split = split[0].to(device), split[1].to(device)

        x_dtype, y_dtype = (dtype if part.is_floating_point() else part.dtype for part in split)

        def prepare(batch: Split) -> Split:
            x, y = batch
            return self.convert((x.to(device, x_dtype), y.to(device, y_dtype)), dtype)

        return Batches(
            split,
            times * self.batch_size if self.batch_size else len(split[0]),
            seed=self.seed,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            prepare=prepare,
            **options,
        )

    def _is_resident(self, num_bytes: int, device: torch.device) -> bool:
        """Return whether a split is to be held on a device; unless told, if it takes at most half of the room left."""
        if self.device_resident == "auto":
            return device.type == "cuda" and num_bytes <= torch.cuda.mem_get_info(device)[0] / 2
        return self.device_resident
