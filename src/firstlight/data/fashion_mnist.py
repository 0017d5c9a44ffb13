"""Fashion-MNIST: grey images of ten kinds of clothing."""

import contextlib
import math
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor
from torchvision import datasets

from firstlight.data.batches import Batch
from firstlight.data.in_memory import InMemory
from firstlight.data.seeds import generator
from firstlight.errors import DataError

__all__ = ["FashionMNIST"]

DOWNLOAD_TIMEOUT = 20.0  # seconds without an answer
FILES = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


class FashionMNIST(InMemory):
    """Fashion-MNIST, with some of its 60,000 training images held out for validation.

    A batch is a pair ``(x, y)``: images of shape ``(batch, 1, 28, 28)`` with grey values from 0 to 1,
    and class numbers of shape ``(batch,)``. Images wait in memory as bytes and become numbers on the
    device, batch by batch. Where the files are missing they are downloaded and their checksums checked.

    Source: Xiao, Rasul and Vollgraf (2017), https://arxiv.org/abs/1708.07747.

    Args:
        root: Folder that holds, or will hold, ``FashionMNIST/raw``; by default the environment variable
            FIRSTLIGHT_DATA, else ``data`` in the current folder.
        batch_size: Images per batch, over all processes together.
        val_fraction: Share of the training images that is held out for validation.
        repeats: How many passes over the training images make one epoch.
        seed: Seed of the hold-out draw, of the order of batches and of folds.
        fold: Which fold of the 60,000 is held out for validation, from 0; null holds out val_fraction of them.
        num_folds: Folds in all.
        device_resident: Hold the images where the model is, instead of moving them there batch by batch;
            auto does so if they take at most half of a GPU's free memory.
    """

    classes = tuple(datasets.FashionMNIST.classes)

    def __init__(
        self,
        root: str = os.environ.get("FIRSTLIGHT_DATA", "data"),
        batch_size: PositiveInt = 256,
        val_fraction: OpenUnitInterval = 0.1,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
        device_resident: Literal["auto"] | bool = "auto",
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        root = str(root)  # hyperparameters are plain, so that a checkpoint needs no trust
        self.save_hyperparameters()
        self.root = root
        self.val_fraction = val_fraction
        self.device_resident = device_resident

    def prepare_data(self) -> None:
        """Download the files unless they are there already.

        Raises:
            DataError: If the folder cannot be used, or the files cannot be had.
        """
        raw = Path(self.root, "FashionMNIST", "raw")
        if all((raw / name).exists() for name in FILES):
            return
        missing = [folder for folder in (raw, *raw.parents) if not folder.exists()]
        try:
            raw.mkdir(parents=True, exist_ok=True)
            with _timeout(DOWNLOAD_TIMEOUT):
                datasets.FashionMNIST(self.root, download=True)
        except (RuntimeError, OSError) as error:
            for folder in missing:
                with contextlib.suppress(OSError):
                    folder.rmdir()  # leave no empty folder behind
            raise DataError(
                f"no Fashion-MNIST in {self.root}, and it could not be downloaded: {_last_line(error)}\n"
                f"put these files, unpacked, into {raw}: {', '.join(FILES)}"
            ) from error

    def setup(self, stage: str) -> None:
        """Hold the images that the stage needs, as bytes.

        Raises:
            DataError: If a file is missing or damaged, or there are too few images to split.
        """
        if stage in ("fit", "validate"):
            images, labels = self._read(train=True)
            num_val = round(self.val_fraction * len(images))
            if not 0 < num_val < len(images):
                raise DataError(f"{len(images)} images cannot be split with val_fraction {self.val_fraction}")
            held_out, kept = torch.randperm(len(images), generator=generator(self.seed)).tensor_split([num_val])
            self.train = images[kept], labels[kept]
            self.val = images[held_out], labels[held_out]
            self.hold_out_fold()
        else:
            self.test = self._read(train=False)

    def convert(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Turn bytes from 0 to 255 into numbers from 0 to 1, in the precision of the model."""
        x, y = batch
        return x.to(dtype).div_(255), y

    def _read(self, *, train: bool) -> tuple[Tensor, Tensor]:
        raw = Path(self.root, "FashionMNIST", "raw")
        images_file, labels_file = (raw / name for name in (FILES[:2] if train else FILES[2:]))
        num_images, *size = _header(images_file, magic=0x0803)
        (num_labels,) = _header(labels_file, magic=0x0801)
        if size != [28, 28]:
            raise DataError(f"{images_file} holds images of {size[0]} x {size[1]} pixels; expected 28 x 28")
        if num_images == 0:
            raise DataError(f"{images_file} holds 0 images")
        if num_images != num_labels:
            raise DataError(f"{images_file} holds {num_images} images but {labels_file.name} {num_labels} labels")
        missing = [name for name in FILES if not (raw / name).exists()]  # torchvision wants all four
        if missing:
            raise DataError(f"{raw / missing[0]} is missing")
        files = datasets.FashionMNIST(self.root, train=train)
        images, labels = files.data[:, None], files.targets
        if labels.max() >= len(self.classes):
            where = int(labels.argmax())
            raise DataError(f"{labels_file} says {int(labels[where])} for image {where}; labels go from 0 to 9")
        return images, labels


def _header(path: Path, magic: int) -> tuple[int, ...]:
    """Return the sizes that an IDX file declares, having checked that it is one and as long as it says.

    Source: the format's description, http://yann.lecun.com/exdb/mnist/.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
            length = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    advice = "delete it to have it downloaded again"
    num_sizes = magic & 0xFF  # the lowest byte of the magic number counts the dimensions
    header_size = 4 + 4 * num_sizes
    if len(start) < header_size:
        raise DataError(f"{path} is cut off: {len(start)} bytes, less than its header; {advice}")
    found, *sizes = struct.unpack(f">{1 + num_sizes}I", start[:header_size])
    if found != magic:
        raise DataError(f"{path} begins with {found:#010x}, not {magic:#010x}: no IDX file of this kind; {advice}")
    expected = header_size + math.prod(sizes)
    if length != expected:
        raise DataError(f"{path} is damaged: {length} bytes, its header promises {expected}; {advice}")
    return tuple(sizes)


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Let no new connection wait longer than this for an answer; torchvision sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
