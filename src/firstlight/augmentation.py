"""Random changes of training examples, as layers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from firstlight.errors import UsageError


class RandomShift(nn.Module):
    """Shift some images by a pixel at most, in training: up or down, left or right; zeros fill the gap.

    A convolution sees the same thing wherever it lies; a perceptron has to learn that from examples.

    Args:
        p: Probability that an image is shifted.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Map images of shape ``(batch, channels, height, width)`` to the same shape.

        Raises:
            UsageError: If they have another shape, in training.
        """
        if not self.training:
            return x
        if x.dim() != 4:
            raise UsageError(f"model.shift needs images, (channels, height, width): got examples of {(*x.shape[1:],)}")
        windows = F.pad(x, (1, 1, 1, 1)).unfold(2, x.shape[2], 1).unfold(3, x.shape[3], 1)  # 3 by 3 of each image
        is_shifted = torch.rand(len(x), device=x.device) < self.p
        rows, columns = torch.where(is_shifted, torch.randint(3, (2, len(x)), device=x.device), 1)  # 1: as it is
        shifted: Tensor = windows[torch.arange(len(x), device=x.device), :, rows, columns]
        return shifted

    def extra_repr(self) -> str:
        """Return what is printed of the layer."""
        return f"p={self.p}"
