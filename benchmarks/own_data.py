"""Random images that are read one by one, as a data set of one's own is: plain, and in our order."""

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from firstlight import Loaded
from firstlight.data.seeds import generator


class Images(Dataset[tuple[Tensor, int]]):
    """Images of noise, with random classes; changed at random if asked for."""

    def __init__(self, num_images: int, augmented: bool, seed: int) -> None:
        random = generator(seed)
        self.x = torch.randint(256, (num_images, 1, 28, 28), dtype=torch.uint8, generator=random)
        self.y = torch.randint(10, (num_images,), generator=random).tolist()
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        x = self.x[index].float().div_(255)
        if self.augmented:  # what a random crop and flip take, about
            left, up = torch.randint(5, (2,)).tolist()
            x = torch.nn.functional.pad(x, (2, 2, 2, 2))[:, up : up + 28, left : left + 28]
            x = x.flip(2) if torch.rand(()) < 0.5 else x
        return x, self.y[index]


class OwnImages(Loaded):
    """The images through ``Loaded``."""

    def __init__(self, num_workers: int = 0, augmented: bool = False, num_images: int = 20_000) -> None:
        super().__init__(batch_size=256, num_workers=num_workers)
        self.augmented, self.num_images = augmented, num_images

    def setup(self, stage: str) -> None:
        """Draw the images."""
        self.train = Images(self.num_images, self.augmented, 0)
        self.val = Images(self.num_images // 10, False, 1)


class PlainImages(LightningDataModule):
    """The images as Lightning's documentation serves them."""

    def __init__(self, num_workers: int = 0, augmented: bool = False, num_images: int = 20_000) -> None:
        super().__init__()
        self.num_workers, self.augmented, self.num_images = num_workers, augmented, num_images

    def train_dataloader(self) -> Any:
        """Return the training images, shuffled."""
        return self._loader(Images(self.num_images, self.augmented, 0), shuffle=True)

    def val_dataloader(self) -> Any:
        """Return the validation images."""
        return self._loader(Images(self.num_images // 10, False, 1), shuffle=False)

    def _loader(self, images: Images, *, shuffle: bool) -> Any:
        workers = self.num_workers
        return DataLoader(images, 256, shuffle=shuffle, num_workers=workers, persistent_workers=workers > 0)
