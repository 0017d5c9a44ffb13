"""Checkpoint files: atomic writes, verified checksums, and no pickled code (``weights_only``)."""

import contextlib
import io
import os
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from firstlight.engine.files import write_atomically
from firstlight.errors import CheckpointError

__all__ = ["AtomicCheckpointIO", "CheckpointFile", "load_checkpoint", "newest_valid_checkpoint", "save_checkpoint"]


def save_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint atomically.

    Raises:
        OSError: If the disk is full, or the folder cannot be written.
    """
    buffer = io.BytesIO()  # torch.save straight into a file hides why a write failed
    torch.save(checkpoint, buffer)
    write_atomically(path, buffer.getbuffer())


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a checkpoint from a local file onto the CPU.

    The checksums of all its parts are verified, as ``torch.load`` alone does not notice a flipped bit in a weight.
    A file that holds more than tensors and plain values is refused, as loading it could run code.

    Raises:
        CheckpointError: If the file is missing or damaged, or a Trainer did not write it.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
        if damaged:
            raise CheckpointError(f"checkpoint {path} is damaged: the checksum of {damaged} is wrong")
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+) was not", str(error))
        more = f"a {found[1]}, not only" if found else "more than"
        raise CheckpointError(f"checkpoint {path} holds {more} tensors and plain values: not loaded") from error
    except PermissionError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        # all that zipfile and torch raise for a file that torch.save did not write
        reason = str(error).strip().partition("\n")[0][:100]
        raise CheckpointError(f"checkpoint {path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"checkpoint {path} was not written by a Trainer: it has no state_dict")
    return checkpoint


class CheckpointFile(NamedTuple):
    """A checkpoint that was read from a file."""

    path: Path
    content: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps before it was written."""
        return int(self.content["global_step"])


def newest_valid_checkpoint(folder: Path) -> CheckpointFile | None:
    """Return the checkpoint in a folder that is the newest, by step and then by time, damaged ones aside."""
    # max keeps one of them in memory at a time, besides the one that is being read
    return max(_valid_checkpoints(folder), key=lambda file: (file.step, file.path.stat().st_mtime_ns), default=None)


def _valid_checkpoints(folder: Path) -> Iterator[CheckpointFile]:
    for path in folder.glob("*.ckpt"):
        with contextlib.suppress(CheckpointError):
            yield CheckpointFile(path, load_checkpoint(path))


class AtomicCheckpointIO(TorchCheckpointIO):
    """Make a Trainer save and load checkpoints with the functions above.

    Args:
        loaded: Checkpoints that were loaded already, by path; the Trainer gets each of them once.
    """

    def __init__(self, loaded: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__()
        self._loaded = loaded or {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint atomically."""
        save_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Load a checkpoint, once its checksums are verified."""
        return self._loaded.pop(str(path), None) or load_checkpoint(path)
