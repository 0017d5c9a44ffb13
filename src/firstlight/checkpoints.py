"""Read and write checkpoint files: never half a file, never code from one, never a damaged one."""

import contextlib
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from firstlight.errors import FirstlightError

__all__ = ["CheckpointError", "LocalCheckpoints", "load_checkpoint", "save_checkpoint"]


class CheckpointError(FirstlightError):
    """A checkpoint that is missing, damaged, or another model's."""


def save_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint so that at every moment the file is the old one or the new one, whole.

    The new file is written beside its target (a temporary folder may lie on another file system, from
    which nothing can be moved at once), flushed to the disk and renamed.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())  # mkstemp lets nobody else read
        Path(name).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint, on the CPU.

    Only a local file is read, only if the checksums of all its parts are right (``torch.load`` alone lets
    a flipped bit pass as another weight), and only tensors and plain values, never code.

    Raises:
        CheckpointError: If it is missing, damaged, or no checkpoint of a Trainer.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged:
            raise CheckpointError(f"checkpoint {path} is damaged: {damaged} is not what was written")
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"checkpoint {path} is damaged or no checkpoint: {error}") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"checkpoint {path} holds more than tensors and plain values: not loaded") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"checkpoint {path} was not written by a Trainer: it has no state_dict")
    return checkpoint


class LocalCheckpoints(TorchCheckpointIO):
    """Lightning's door to checkpoints: every one that a Trainer reads or writes goes through it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint, whole or not at all."""
        save_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, if it is whole and nothing but data."""
        return load_checkpoint(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
