"""Data sets of one's own, served by torch's ``DataLoader`` in an order of ours."""

from abc import ABC
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, Literal

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset, default_collate

from firstlight.data.data_module import DataModule
from firstlight.data.fingerprints import fingerprint
from firstlight.data.order import Order, ResumableLoader
from firstlight.data.samplers import SampledOrder
from firstlight.data.seeded import Rows, Seeded, StateCheck
from firstlight.data.splits import fold_rows, split_name
from firstlight.errors import DataError, FirstlightError

__all__ = ["Loaded", "Loader"]

NUM_SAMPLED = 64  # examples that the fingerprint of a split is made from


class Loaded(DataModule, ABC):
    """A data module whose splits are map-style data sets of any size: anything with a length and examples by index.

    They are served by torch's ``DataLoader``, in an order of ours that a resumed run shares with an unbroken one. What
    :meth:`augment` or a data set draws from the global random numbers of PyTorch, NumPy and Python is a function of
    ``(seed, epoch, index)``, in evaluation of ``(seed, index)``; a resume may change the number of workers.

    Args:
        batch_size: Examples per batch, over all processes together; null takes a split as one batch.
        repeats: How many passes over the training split make one epoch.
        seed: Seed of the data's own random numbers: splits, order of batches, augmentation, folds.
        fold: Which fold of the examples for training and validation is held out for validation, from 0; null keeps
            the data's own validation split.
        num_folds: Folds in all.
        num_workers: Processes that load examples; 0 loads them between the steps.
        drop_last: Leave the last batch of a pass over the training split out if it is smaller than the others.
        pin_memory: Load into memory that a GPU copies from while it computes; auto does so if there is a GPU.

    Raises:
        ValueError: If there is no such fold.
    """

    train: Dataset[Any]
    val: Dataset[Any]
    test: Dataset[Any]

    def __init__(
        self,
        batch_size: PositiveInt | None = 32,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
        num_workers: NonNegativeInt = 0,
        drop_last: bool = False,
        pin_memory: Literal["auto"] | bool = "auto",
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.pin_memory = pin_memory

    def augment(self, example: Any) -> Any:
        """Change a training example at random; here, not at all."""
        return example

    def collate(self, examples: list[Any]) -> Any:
        """Make a batch of examples; here, as a ``DataLoader`` does."""
        return default_collate(examples)

    def hold_out_fold(self) -> None:
        """Split the examples for training and validation anew, if a fold was asked for."""
        if self.fold is not None:
            both: ConcatDataset[Any] = ConcatDataset([self.train, self.val])
            kept, held_out = fold_rows(self.fold, self.num_folds, len(both), self.seed)
            self.train, self.val = Subset(both, kept.tolist()), Subset(both, held_out.tolist())

    def fingerprint_of(self, split: Any) -> str:
        """Return a hash of the length of a split and of 64 examples, from the first to the last, before ``augment``.

        Examples that draw from random numbers of their own are others each time: there the length alone counts. So it
        does for anything but a map-style data set.
        """
        length = len(split) if hasattr(split, "__len__") and hasattr(split, "__getitem__") else 0
        count = min(length, NUM_SAMPLED)
        rows: list[Any] = [Rows(0, [number * (length - 1) // max(count - 1, 1)]) for number in range(count)]
        loader: DataLoader[Any] = DataLoader(
            Seeded(split, fingerprint, self.seed),
            batch_sampler=[*rows, *rows[:1]],
            collate_fn=_as_it_is,
            num_workers=min(self.num_workers, 1),  # files that a data set opens must not be open when workers start
            generator=torch.Generator(),
        )
        found = list(loader)
        return fingerprint([length, found if found[:1] == found[-1:] else None])

    def examples(self, split: Any, indices: Tensor) -> Any:
        """Return a batch of chosen examples of a split, not augmented."""
        return self.collate([split[index] for index in indices.tolist()])

    def split_size(self, split: Any) -> int:
        """Return the number of examples in a split."""
        return len(split)

    def batches(
        self, split: Dataset[Any], *, shuffle: bool = False, repeats: int = 1, times: int = 1, shared: bool = True
    ) -> "Loader":
        """Return a loader of a split's batches; those of :attr:`train` are augmented.

        Raises:
            DataError: If the split is no map-style data set, or is empty.
        """
        if not (hasattr(split, "__len__") and hasattr(split, "__getitem__") and len(split)):
            what = "empty" if hasattr(split, "__len__") and not len(split) else type(split).__name__
            name = split_name(self, split)
            raise DataError(f"{name} is {what}: expected a data set with a length and examples by index")
        is_train = split is vars(self).get("train")
        order = Order(
            len(split),
            times * self.batch_size if self.batch_size else len(split),
            drop_last=self.drop_last and is_train,
            **self.order(shuffle=shuffle, repeats=repeats, shared=shared),
        )
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return Loader(
            DataLoader(
                _Augmented(split, self) if is_train and is_overridden("augment", self, Loaded) else split,
                num_workers=self.num_workers,
                collate_fn=self.collate,
                pin_memory=on_gpu if self.pin_memory == "auto" else self.pin_memory,
                persistent_workers=self.num_workers > 0,
            ),
            order,
            self.seed,
            is_fixed=not (is_train or shuffle),
        )

    def without_targets(self, x: Tensor) -> Dataset[Any]:
        """Return a data set of inputs whose targets are not known: all zero."""
        return TensorDataset(x, torch.zeros(len(x), dtype=torch.long))


class _Augmented(Dataset[Any]):
    """A data set whose examples a data module augments."""

    def __init__(self, dataset: Any, data: Loaded) -> None:
        self.dataset, self.data = dataset, data

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.data.augment(self.dataset[index])


class Loader(ResumableLoader):
    """The batches of a ``DataLoader``, in an order of ours.

    Of the ``DataLoader``, the sampler, batch size and ``drop_last`` are not used. What an example draws from the global
    random numbers of PyTorch, NumPy and Python is a function of ``(seed, epoch, index)``, whatever the number of
    workers; these generators are not changed elsewhere.

    Args:
        loader: A ``DataLoader`` for a map-style data set.
        order: The order of its examples.
        seed: Seed of the random numbers that examples draw, such as those of an augmentation.
        is_fixed: Whether all epochs are the first one, as evaluation needs it to compare them.
    """

    def __init__(
        self, loader: DataLoader[Any], order: Order | SampledOrder, seed: int = 0, *, is_fixed: bool = False
    ) -> None:
        super().__init__()
        self.dataset, self.order, self.is_fixed = loader.dataset, order, is_fixed
        self.rows = _Rows(order, loader.dataset)
        self.loader: DataLoader[Any] = DataLoader(
            Seeded(loader.dataset, loader.collate_fn, seed),
            batch_sampler=self.rows,  # type: ignore[arg-type]  # it says the epoch too
            collate_fn=_as_it_is,
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
            timeout=loader.timeout,
            worker_init_fn=loader.worker_init_fn,
            multiprocessing_context=loader.multiprocessing_context,
            generator=torch.Generator(),  # else each epoch would draw a number from the global one
            prefetch_factor=loader.prefetch_factor,
            persistent_workers=loader.persistent_workers,
        )

    def __len__(self) -> int:
        return len(self.order)

    @property
    def _iterator(self) -> Any:
        """The ``DataLoader``'s, with its workers: where a Trainer looks for those that it is to end with the run."""
        return getattr(self.loader, "_iterator", None)

    @_iterator.setter
    def _iterator(self, iterator: Any) -> None:
        self.loader._iterator = iterator  # noqa: SLF001  # as Lightning does with a DataLoader

    def kept_state(self) -> str:
        """Return in words which state the data set keeps that its examples depend on; an empty text if none."""
        drawn = chain(*self.order.draw(0)) if isinstance(self.order, SampledOrder) else range(self.order.num_examples)
        check: DataLoader[str] = DataLoader(
            StateCheck(self.loader.dataset),
            batch_size=None,
            sampler=[[*islice(drawn, 1000)]],
            num_workers=min(self.loader.num_workers, 1),  # files that it opens must not be open when workers start
            generator=torch.Generator(),
        )
        return "".join(check)

    def batches(self, start: int) -> Iterator[Any]:
        """Yield the batches of :attr:`epoch`, from number ``start`` on.

        Raises:
            FirstlightError: If the data set raised one for an example, also in a worker.
        """
        self.rows.epoch, self.rows.start = 0 if self.is_fixed else self.epoch, start
        for batch in self.loader:
            if isinstance(batch, FirstlightError):
                raise batch
            yield batch


class _Rows:
    """A batch sampler that gives the ``Rows`` of an epoch."""

    def __init__(self, order: Order | SampledOrder, dataset: Any) -> None:
        self.order, self.dataset = order, dataset
        self.epoch = self.start = 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[Rows]:
        for rows in self.order.batches(self.epoch, self.start):
            indices = range(len(self.dataset)) if rows is None else rows
            yield Rows(self.epoch, indices.tolist() if isinstance(indices, Tensor) else list(indices))


def _as_it_is(batch: Any) -> Any:
    return batch
