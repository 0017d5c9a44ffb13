"""Fashion-MNIST: grey images of ten kinds of clothing."""

import os
from pathlib import Path
from typing import Literal

import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor
from torchvision import datasets

from firstlight.data.batches import Batch
from firstlight.data.downloads import download
from firstlight.data.idx import read_idx
from firstlight.data.images import IMAGE_SUFFIXES, read_image, to_floats
from firstlight.data.in_memory import InMemory
from firstlight.data.seeds import generator
from firstlight.data.splits import Split
from firstlight.errors import DataError

__all__ = ["FashionMNIST"]

TRAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


class FashionMNIST(InMemory):
    """Fashion-MNIST, with some of its 60,000 training images held out for validation.

    A batch is a pair ``(x, y)``: images of shape ``(batch, 1, 28, 28)`` with grey values from 0 to 1, and class
    numbers of shape ``(batch,)``. Images are stored as bytes and converted to floats on the device, batch by batch.
    Missing files are downloaded and their checksums checked. ``repeats``, ``seed``, ``fold`` and ``num_folds`` are
    those of :class:`InMemory`.

    Source: Xiao, Rasul and Vollgraf (2017), https://arxiv.org/abs/1708.07747.

    Args:
        root: Folder of ``FashionMNIST/raw``, which the files are downloaded to if they are missing; null takes the
            environment variable FIRSTLIGHT_DATA, else ``data`` in the working directory.
        batch_size: Images per batch, over all processes together.
        val_fraction: Share of the training images that is held out for validation.
        device_resident: Keep the images on the model's device, instead of moving them there batch by batch; auto
            does so if they take at most half of a GPU's free memory.
    """

    file_suffixes = IMAGE_SUFFIXES
    input_shape = 1, 28, 28
    classes = tuple(datasets.FashionMNIST.classes)

    def __init__(
        self,
        root: str | None = None,
        batch_size: PositiveInt = 256,
        val_fraction: OpenUnitInterval = 0.1,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
        device_resident: Literal["auto"] | bool = "auto",
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds)
        root = os.path.expanduser(root or os.environ.get("FIRSTLIGHT_DATA") or "data")  # noqa: PTH111  # checkpoints hold text
        self.save_hyperparameters()
        self.root = root
        self.val_fraction = val_fraction
        self.device_resident = device_resident

    @property
    def folder(self) -> Path:
        """Folder of the files."""
        return Path(self.root, "FashionMNIST", "raw")

    def prepare_data(self) -> None:
        """Download the files unless they are there already.

        Raises:
            DataError: If the folder cannot be used, or the files cannot be downloaded.
        """
        if not all((self.folder / name).exists() for name in (*TRAIN, *TEST)):
            download(self.folder, (*TRAIN, *TEST))

    def setup(self, stage: str) -> None:
        """Read the images that the stage needs, as bytes.

        Raises:
            DataError: If a file is missing or damaged, or there are too few images to split.
        """
        if stage in ("fit", "validate"):
            images, labels = self._read(*TRAIN)
            num_val = round(self.val_fraction * len(images))
            if not 0 < num_val < len(images):
                raise DataError(f"{len(images)} images cannot be split with val_fraction {self.val_fraction}")
            held_out, kept = torch.randperm(len(images), generator=generator(self.seed)).tensor_split([num_val])
            self.train = images[kept], labels[kept]
            self.val = images[held_out], labels[held_out]
            self.hold_out_fold()
        else:
            self.test = self._read(*TEST)

    def convert(self, batch: Batch, dtype: torch.dtype) -> Batch:
        """Convert bytes from 0 to 255 to floats from 0 to 1, in the precision of the model."""
        x, y = batch
        return to_floats(x, dtype), y

    def read_file(self, path: Path) -> tuple[Tensor, str]:
        """Return the image in a file, in grey and of shape ``(1, 1, 28, 28)``, and what was done to it."""
        image, change = read_image(path, 28, grey=True)
        return image[None], change

    def _read(self, images_name: str, labels_name: str) -> Split:
        images_file, labels_file = self.folder / images_name, self.folder / labels_name
        images, labels = read_idx(images_file, 28, 28), read_idx(labels_file).long()
        if len(images) != len(labels):
            raise DataError(f"{images_file} holds {len(images)} images but {labels_name} {len(labels)} labels")
        if labels.max() >= len(self.classes):
            row = int(labels.argmax())
            raise DataError(f"{labels_file} says {int(labels[row])} for image {row}; labels go from 0 to 9")
        return images[:, None], labels
