"""Read and write checkpoint files: never half a file, never code from one, never a damaged one."""

import contextlib
import io
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from firstlight.engine.files import write_atomically
from firstlight.errors import CheckpointError

__all__ = ["AtomicCheckpointIO", "load_checkpoint", "newest_valid_checkpoint", "save_checkpoint"]


def save_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OSError: If there is no room, or no permission.
    """
    buffer = io.BytesIO()  # torch.save straight into a file hides why a write failed
    torch.save(checkpoint, buffer)
    write_atomically(path, buffer.getbuffer())


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
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+) was not", str(error))
        more = f"a {found[1]}, not only" if found else "more than"
        raise CheckpointError(f"checkpoint {path} holds {more} tensors and plain values: not loaded") from error
    except PermissionError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except (zipfile.BadZipFile, EOFError, KeyError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
        # whatever zipfile and torch stumble over in a file that is not what torch.save wrote
        reason = str(error).strip().partition("\n")[0][:100]
        raise CheckpointError(f"checkpoint {path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise CheckpointError(f"checkpoint {path} was not written by a Trainer: it has no state_dict")
    return checkpoint


def newest_valid_checkpoint(folder: Path) -> tuple[Path, int] | None:
    """Return the latest checkpoint (by step, then by its file's time) in a folder that can be read, and its step."""
    good = []
    for path in folder.glob("*.ckpt"):
        with contextlib.suppress(CheckpointError):
            good.append((path, int(load_checkpoint(path)["global_step"])))
    return max(good, key=lambda item: (item[1], item[0].stat().st_mtime_ns), default=None)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's door to checkpoints: every one that a Trainer reads or writes goes through it."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint, whole or not at all."""
        save_checkpoint(checkpoint, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a checkpoint, if it is whole and nothing but data."""
        return load_checkpoint(path)
