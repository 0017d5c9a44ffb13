"""The base of all data modules here: splits are tensors in memory, a batch is an index into them."""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, cast

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch import LightningDataModule

from firstlight.data.batches import Batch, Batches
from firstlight.data.splits import Split, check_split, hold_out

__all__ = ["InMemory"]


class InMemory(LightningDataModule, ABC):
    """A data module whose splits are tensors in memory; all four stages are served from them.

    A subclass fills :attr:`train`, :attr:`val` and :attr:`test` in ``setup``. Batches come as the model takes them:
    with a Trainer on the device and in the precision of its model, without one on the CPU and in torch's default
    precision. Evaluation keeps no gradients, so its batches are four times as large, unless the Trainer limits
    their number.

    Args:
        batch_size: Examples per batch, over all processes together; null takes a split as one batch.
        repeats: How many passes over the training split make one epoch.
        seed: Seed of the data's own random numbers: splits, synthetic examples, order of batches, folds.
        fold: Which fold of the examples for training and validation is held out for validation, from 0; null keeps
            the data's own validation split.
        num_folds: Folds in all.

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
        batch_size: PositiveInt | None = None,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
    ) -> None:
        super().__init__()
        if fold is not None and num_folds < 2:
            raise ValueError(f"num_folds is {num_folds}: there must be at least 2")
        if fold is not None and fold >= num_folds:
            raise ValueError(f"fold is {fold}: {num_folds} folds are numbered from 0 to {num_folds - 1}")
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.fold, self.num_folds = fold, num_folds

    @abstractmethod
    def setup(self, stage: str) -> None:
        """Fill the splits that the stage (``fit``, ``validate``, ``test``, ``predict``) needs."""

    def hold_out_fold(self) -> None:
        """Split the examples for training and validation anew, if a fold was asked for; test data stays apart.

        To be called at the end of ``setup``. The examples of a fold are a function of the seed and of the number of
        folds alone.

        Raises:
            DataError: If there are fewer examples than folds.
        """
        if self.fold is not None:
            self.train, self.val = hold_out(self.fold, self.num_folds, self.train, self.val, seed=self.seed)

    def convert(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Turn a batch as it is stored into what the model takes, in its precision; by default it is that already."""
        return batch

    def train_dataloader(self) -> Batches:
        """Return the training split, in a new order every pass."""
        # the same few batches again and again, if that is asked for
        overfit = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        return self.batches(self.train, shuffle=not overfit, repeats=self.repeats)

    def val_dataloader(self) -> Batches:
        """Return the validation split, in order."""
        return self._evaluated(self.val, "limit_val_batches")

    def test_dataloader(self) -> Batches:
        """Return the test split, in order."""
        return self._evaluated(self.test, "limit_test_batches")

    def predict_dataloader(self) -> Batches:
        """Return the test split, in order."""
        return self._evaluated(self.test, "limit_predict_batches")

    def _evaluated(self, split: Split, limit: str) -> Batches:
        is_limited = self.trainer is not None and getattr(self.trainer, limit) != 1.0
        return self.batches(split, times=1 if is_limited else 4)

    def batches(
        self, split: Split, *, shuffle: bool = False, repeats: int = 1, times: int = 1, shared: bool = True
    ) -> Batches:
        """Return a split in batches as the model takes them.

        Args:
            split: The examples.
            shuffle: Draw a new order for every pass.
            repeats: How many passes make one epoch.
            times: How many times as large batches are as in training.
            shared: Whether several processes share each batch between them; otherwise this one gets all examples.

        Raises:
            DataError: If the split is anything but two tensors of equal length.
        """
        check_split(self, split)
        dtype, device = self._dtype_and_device()
        if self._is_resident(sum(part.nbytes for part in split), device):
            split = split[0].to(device), split[1].to(device)
        x_dtype, y_dtype = (dtype if part.is_floating_point() else part.dtype for part in split)

        def prepare(batch: Batch) -> Batch:
            x, y = batch
            return self.convert((x.to(device, x_dtype), y.to(device, y_dtype)), dtype)

        return Batches(
            split,
            times * self.batch_size if self.batch_size else len(split[0]),
            shuffle=shuffle,
            repeats=repeats,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer and shared else 0,
            world_size=self.trainer.world_size if self.trainer and shared else 1,
            prepare=prepare,
        )

    def _dtype_and_device(self) -> tuple[torch.dtype, torch.device]:
        if self.trainer is None:
            return torch.get_default_dtype(), torch.get_default_device()
        model = self.trainer.lightning_module
        return cast("torch.dtype", model.dtype), model.device

    def _is_resident(self, num_bytes: int, device: torch.device) -> bool:
        """Return whether to keep a split on a device; by default, if it takes at most half of the free memory."""
        if self.device_resident == "auto":
            return device.type == "cuda" and num_bytes <= torch.cuda.mem_get_info(device)[0] / 2
        return self.device_resident
