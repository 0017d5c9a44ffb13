"""Random images, as many as wanted, to measure how a run's time and memory grow."""

from typing import Literal

import torch

from firstlight import FashionMNIST
from firstlight.data.seeds import generator

CLASSES = 10


class RandomImages(FashionMNIST):
    """Images of noise, with random classes, a tenth of them for validation.

    Args:
        num_images: How many.
        batch_size: Images per batch.
        device_resident: Whether the images are kept on the model's device.
    """

    def __init__(
        self, num_images: int = 60_000, batch_size: int = 256, device_resident: Literal["auto"] | bool = "auto"
    ) -> None:
        super().__init__(batch_size=batch_size, device_resident=device_resident)
        self.num_images = num_images

    def prepare_data(self) -> None:
        """Download nothing."""

    def setup(self, stage: str) -> None:
        """Draw the images."""
        random = generator(self.seed)
        num_val = self.num_images // 10
        sizes = {"train": self.num_images - num_val, "val": num_val}
        for split, size in sizes.items():
            images = torch.randint(256, (size, 1, 28, 28), dtype=torch.uint8, generator=random)
            setattr(self, split, (images, torch.randint(CLASSES, (size,), generator=random)))
