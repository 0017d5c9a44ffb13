"""Checks that end a run whose loss or weights became NaN or infinite; messages name its last good checkpoint."""

import math
from pathlib import Path

import torch
from lightning.pytorch import LightningModule

from firstlight.errors import NotFiniteError

__all__ = ["check_loss", "check_weights"]


def check_loss(loss: float, step: int, last_checkpoint: Path) -> None:
    """Check the loss after a number of optimizer steps.

    Raises:
        NotFiniteError: If it is NaN or infinite.
    """
    if not math.isfinite(loss):
        raise NotFiniteError(f"the loss is {loss} at step {step}", last_checkpoint)


def check_weights(model: LightningModule, step: int, last_checkpoint: Path) -> None:
    """Check parameters and buffers after a number of optimizer steps.

    Raises:
        NotFiniteError: If a value is NaN or infinite.
    """
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise NotFiniteError(f"{name} is NaN or infinite after step {step}", last_checkpoint)
