"""The base of data modules whose splits are tensors in memory: a batch is an index into them."""

from abc import ABC
from typing import Literal, cast

import torch
from torch import Tensor

from firstlight.data.batches import Batch, Batches
from firstlight.data.data_module import DataModule
from firstlight.data.fingerprints import fingerprint
from firstlight.data.splits import Split, check_split, hold_out

__all__ = ["InMemory"]


class InMemory(DataModule, ABC):
    """A data module whose splits are tensors in memory; all four stages are served from them.

    A subclass fills :attr:`train`, :attr:`val` and :attr:`test` in ``setup``. The arguments are those of
    :class:`~firstlight.data.data_module.DataModule`. Batches come as the model takes them: with a Trainer on the
    device and in the precision of its model, without one on the CPU and in torch's default precision.
    """

    evaluation_times = 4  # no gradients are kept
    device_resident: Literal["auto"] | bool = "auto"
    """Whether splits are moved to the model's device once, and not batch by batch; auto: if there is room."""

    train: Split
    val: Split
    test: Split

    def hold_out_fold(self) -> None:
        """Split the examples for training and validation anew, if a fold was asked for."""
        if self.fold is not None:
            self.train, self.val = hold_out(self.fold, self.num_folds, self.train, self.val, seed=self.seed)

    def fingerprint_of(self, split: Split) -> str:
        """Return a hash of a split; it changes with any example and with their order."""
        return fingerprint(split)

    def convert(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Turn a batch as it is stored into what the model takes, in its precision; by default it is that already."""
        return batch

    def examples(self, split: Split, indices: Tensor) -> Batch:
        """Return a batch of chosen examples of a split, as they are stored."""
        x, y = split
        return x[indices.to(x.device)], y[indices.to(y.device)]

    def split_size(self, split: Split) -> int:
        """Return the number of examples in a split."""
        return len(split[0])

    def batches(
        self, split: Split, *, shuffle: bool = False, repeats: int = 1, times: int = 1, shared: bool = True
    ) -> Batches:
        """Return a loader of a split's batches as the model takes them.

        Raises:
            DataError: If the split is anything but two tensors of equal length.
        """
        check_split(self, split)
        dtype, device = self._dtype_and_device()
        if self._is_resident(sum(part.nbytes for part in split), device):
            split = split[0].to(device), split[1].to(device)
        is_async = device.type == "cuda"  # the host need not wait: what uses the copy comes after it on the GPU
        x_dtype, y_dtype = (dtype if part.is_floating_point() else part.dtype for part in split)

        def prepare(batch: Batch) -> Batch:
            x, y = batch
            moved = x.to(device, x_dtype, non_blocking=is_async), y.to(device, y_dtype, non_blocking=is_async)
            return self.convert(moved, dtype)

        return Batches(
            split,
            times * self.batch_size if self.batch_size else len(split[0]),
            prepare=prepare,
            **self.order(shuffle=shuffle, repeats=repeats, shared=shared),
        )

    def without_targets(self, x: Tensor) -> Split:
        """Return a split of inputs whose targets are not known: all zero."""
        return x, torch.zeros(len(x), dtype=torch.long)

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
