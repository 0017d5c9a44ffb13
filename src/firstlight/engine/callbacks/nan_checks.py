"""Checks that end a run whose loss or weights became NaN or infinite; messages name its last good checkpoint."""

import math
from pathlib import Path

import torch
from lightning.pytorch import LightningModule

from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import CheckpointError, NotFiniteError


def check_loss(loss: float, step: int, last_checkpoint: Path, *, finite_at: int) -> None:
    """Raise a ``NotFiniteError`` for a loss that is NaN or infinite; it was last checked after ``finite_at`` steps."""
    if not math.isfinite(loss):
        since = f", first between steps {finite_at + 1} and {step}" if step - finite_at > 1 else ""
        raise NotFiniteError(f"the loss is {loss} at step {step}{since}", _good(last_checkpoint))


def check_weights(model: LightningModule, step: int, last_checkpoint: Path) -> None:
    """Raise a ``NotFiniteError`` if a trained parameter is NaN or infinite; a buffer may be, like an attention mask."""
    for name, value in model.named_parameters():
        if value.requires_grad and not torch.isfinite(value).all():
            raise NotFiniteError(f"{name} is NaN or infinite after step {step}", _good(last_checkpoint))


def _good(checkpoint: Path) -> Path | None:
    """Return a checkpoint if training had put its weights there."""
    try:
        return checkpoint if load_checkpoint(checkpoint).get("global_step") else None
    except CheckpointError:
        return None
