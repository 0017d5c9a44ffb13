"""Images in a folder of classes."""

import os
import re
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, OpenUnitInterval, PositiveInt
from torch import Tensor
from torch.utils.data import Dataset, Subset
from torchvision import datasets

from firstlight.data.images import IMAGE_SUFFIXES, is_image, read_image, to_floats
from firstlight.data.loaders import Loaded
from firstlight.data.seeds import generator
from firstlight.data.splits import random_shares
from firstlight.errors import DataError

__all__ = ["ImageFolder"]

SPLITS = "train", "val", "test"
NO_CLASSES = *SPLITS, "__MACOSX"
MISNAMED = re.compile(r"(?i)(train(ing)?|val(id(ation)?)?|dev|test(ing)?)(_?(set|data))?")
"""Names that other projects give to splits."""


class ImageFolder(Loaded):
    """Images in a folder with a subfolder for each class, whose name is that of the subfolder.

    A batch is a pair ``(x, y)``: images of shape ``(batch, 3, size, size)``, or ``(batch, 1, size, size)`` in grey,
    with values from 0 to 1, and class numbers of shape ``(batch,)``. :meth:`augment` gets one image as bytes, and its
    class. Subfolders ``train``, ``val`` and ``test``, with the classes below them, are the splits of these names;
    where there is no ``val`` or ``test``, it is a random share of the training images. ``repeats``, ``seed``,
    ``fold``, ``num_folds`` and ``num_workers`` are those of :class:`Loaded`.

    Args:
        root: The folder.
        size: Height and width that all images are stretched to.
        grey: Read all images in grey instead of in colour.
        batch_size: Images per batch, over all processes together.
        val_fraction: Share of the images that is held out for validation.
        test_fraction: Share of the images that is held out for testing.
    """

    file_suffixes = IMAGE_SUFFIXES

    def __init__(
        self,
        root: str = "images",
        size: PositiveInt = 64,
        grey: bool = False,
        batch_size: PositiveInt = 32,
        val_fraction: OpenUnitInterval = 0.1,
        test_fraction: OpenUnitInterval = 0.1,
        repeats: PositiveInt = 1,
        seed: int = 0,
        fold: NonNegativeInt | None = None,
        num_folds: PositiveInt = 5,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        super().__init__(batch_size, repeats, seed, fold, num_folds, num_workers)
        self.save_hyperparameters()
        self.root = root
        self.size, self.grey = size, grey
        self.input_shape = (1 if grey else 3, size, size)
        self.fractions = {"test": test_fraction, "val": val_fraction}  # the test split does not depend on val_fraction

    def setup(self, stage: str) -> None:
        """List the images of all splits.

        Raises:
            DataError: If the folder cannot be read, a class has no image, or there are too few images to split.
        """
        root = Path(self.root)
        _refuse_misnamed_splits(root)
        images = self._images(root / "train" if (root / "train").is_dir() else root)
        self._refuse_other("classes", images.names, self.classes)  # those of a checkpoint, after load
        self.classes = images.names
        for name, number in images.class_to_idx.items():
            if number not in images.targets:
                raise DataError(
                    f"{Path(images.root, name)} has no image: expected files that end in {', '.join(IMAGE_SUFFIXES)}"
                )
        drawn = {name: share for name, share in self.fractions.items() if not (root / name).is_dir()}
        rows = random_shares(len(images), drawn, generator(self.seed))
        splits: dict[str, Dataset[Any]] = {
            name: Subset(images, rows[name].tolist()) if name in drawn else self._images(root / name, self.classes)
            for name in self.fractions
        }
        self.train, self.val, self.test = Subset(images, rows["train"].tolist()), splits["val"], splits["test"]
        self.hold_out_fold()

    def collate(self, examples: list[Any]) -> tuple[Tensor, Tensor]:
        """Make a batch of examples, with bytes as floats from 0 to 1."""
        x, y = super().collate(examples)
        return to_floats(x, torch.get_default_dtype()), y

    def read_file(self, path: Path) -> tuple[Tensor, str]:
        """Return the image in a file, of shape ``(1, channels, size, size)``, and what was done to it."""
        image, change = read_image(path, self.size, grey=self.grey)
        return image[None], change

    def _images(self, folder: Path, names: Sequence[str] = ()) -> "_Images":
        return _Images(folder, names, partial(_read, size=self.size, grey=self.grey))


class _Images(datasets.ImageFolder):  # type: ignore[misc]  # torchvision has no types
    """Images below a folder, with the numbers of their classes; ``names`` are the classes there may be, if given."""

    samples: list[tuple[str, int]]

    def __init__(self, folder: Path, names: Sequence[str], read: Any) -> None:
        self.names = tuple(names)
        super().__init__(folder, loader=read, allow_empty=True, is_valid_file=is_image)
        real, places = cache(os.path.realpath), dict[tuple[str, str, int], tuple[str, int]]()
        for path, number in self.samples:  # a link to a folder above it shows each image many times
            parent, _, name = path.rpartition(os.sep)  # a Path for each of a million images would take seconds
            places.setdefault((real(parent), name, number), (path, number))
        self.samples = self.imgs = [*places.values()]
        self.targets = [number for _, number in self.samples]

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the names of the subfolders, and the numbers of these classes."""
        try:
            folders = [entry.name for entry in os.scandir(directory) if entry.is_dir()]
        except OSError as error:
            raise DataError(
                f"{directory} cannot be read: {error.strerror}; name the folder with --data.root"
            ) from error
        found = sorted(name for name in folders if name not in NO_CLASSES and name[0] != ".")
        if not found:
            raise DataError(f"{directory} has no subfolders: expected one for each class, with its images")
        if unreadable := [name for name in found if name.encode(errors="ignore").decode() != name]:
            raise DataError(f"{Path(directory, unreadable[0])} has a name that is not in UTF-8: rename it")
        self.names = self.names or tuple(found)
        if unknown := [name for name in found if name not in self.names]:
            raise DataError(
                f"{Path(directory, unknown[0])} is not a class of the training images: {', '.join(self.names)}"
            )
        return found, {name: self.names.index(name) for name in found}


def _refuse_misnamed_splits(root: Path) -> None:
    """Refuse splits that would be left out, or taken for classes.

    Raises:
        DataError: If there are any.
    """
    names = sorted(path.name for path in root.glob("[!.]*") if path.is_dir() and path.name != "__MACOSX")
    misnamed = [name for name in names if MISNAMED.fullmatch(name) and name not in SPLITS]
    if misnamed and ("train" in names or all(map(MISNAMED.fullmatch, names))):
        raise DataError(f"{root / misnamed[0]} looks like a split: their folders are called {', '.join(SPLITS)}")


def _read(path: str, *, size: int, grey: bool) -> Tensor:
    return read_image(Path(path), size, grey=grey)[0]
