"""Checkpoint files: atomic writes, verified checksums, and no pickled code (``weights_only``)."""

import contextlib
import datetime as dt
import io
import os
import pickle
import re
import zipfile
from _codecs import encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, ClassVar, NamedTuple

import lightning
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor

from firstlight.engine.files import make_folder, write_atomically
from firstlight.engine.runs.safetensors_files import read_safetensors
from firstlight.engine.texts import printable
from firstlight.errors import CheckpointError

PARTS: dict[str, type] = {
    "epoch": int,
    "global_step": int,
    "hyper_parameters": dict,
    "datamodule_hyper_parameters": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "callbacks": dict,
    "loops": dict,
}
"""What a Trainer writes besides the weights; a part that is None is no part."""
PLAIN: list[Any] = [
    *(dt.datetime, dt.timedelta, dt.timezone, type(Path())),
    *(np.ndarray, np.dtype, encode, np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]),
    *(type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?SU"),
]
"""What a state may hold besides that which torch takes for plain: to make one of these runs no code of a file."""
WRAPPERS = ("module.", "_orig_mod.")
MAX_EXPANSION = 2**30
"""Bytes by which a tensor may be larger than its file: a view that repeats values takes no room there."""


class Noting:
    """A pickle module that notes the classes and functions that a checkpoint names."""

    noted: ClassVar[set[Any]] = set()
    readable: ClassVar[set[Any]] = set()
    """Those in checkpoints that were read again."""

    class Pickler(pickle.Pickler):
        """Pickle, and note."""

        def reducer_override(self, value: Any) -> Any:
            """Note what is saved by name."""
            if isinstance(value, type | FunctionType | BuiltinFunctionType | np.dtype):
                Noting.noted.add(value)
            return NotImplemented


def save_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint atomically, if it can be read again.

    Raises:
        CheckpointError: If it holds what could not be read again.
        OSError: If the disk is full, or the folder cannot be written.
    """
    Noting.noted.clear()
    buffer = io.BytesIO()  # torch.save straight into a file hides why a write failed
    try:
        torch.save(checkpoint, buffer, pickle_module=Noting)
        if not Noting.noted <= Noting.readable:
            buffer.seek(0)
            _load(buffer)
            Noting.readable |= Noting.noted
    except (AttributeError, TypeError, pickle.PickleError) as error:  # as pickle refuses functions, locks, ...
        found = re.search(r"GLOBAL ([\w.]+) was not", str(error))
        why = "what could not be read again" if isinstance(error, pickle.UnpicklingError) else error
        what = f"a {found[1]} could not be read again" if found else why
        raise CheckpointError(f"{path} is not written: {what}; a state holds tensors and plain values only") from error
    write_atomically(path, buffer.getbuffer())


def _load(file: Any) -> Any:
    with torch.serialization.safe_globals(PLAIN):
        return torch.load(file, map_location="cpu", weights_only=True)


def load_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a checkpoint, or a file from ``firstlight export --format safetensors``, onto the CPU.

    The checksums of all its parts are verified, as ``torch.load`` alone does not notice a flipped bit in a weight.
    A file that holds more than tensors and plain values is refused, as loading it could run code, and so is one that
    would take more memory than its size. A state dict alone is returned as the ``state_dict`` of a checkpoint that has
    nothing else; a wrapper's prefix is taken off its names.

    Raises:
        CheckpointError: If the file is missing or damaged, or holds no weights.
    """
    file = Path(path)
    if file.suffix == ".safetensors":
        return read_safetensors(file)
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        _verify_archive(file)
        checkpoint = _load(file)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+) was not", str(error))
        more = f"a {found[1]}, not only" if found else "more than"
        raise CheckpointError(f"checkpoint {path} holds {more} tensors and plain values: not loaded") from error
    except PermissionError as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    except CheckpointError:
        raise
    except Exception as error:  # whatever zipfile and torch raise for a file that torch.save did not write
        reason = printable(str(error).strip().partition("\n")[0][:100])
        raise CheckpointError(f"checkpoint {path} is damaged or not a checkpoint: {reason}") from error
    return _with_state_dict(checkpoint, file)


def _verify_archive(file: Path) -> None:
    """Refuse an archive that is damaged, or that would expand: torch does not compress what it writes."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or (
            sum(entry.file_size for entry in entries) > file.stat().st_size
        ):
            raise CheckpointError(f"checkpoint {file} is compressed, which torch never does: not loaded")
        if damaged := archive.testzip():
            raise CheckpointError(f"checkpoint {file} is damaged: the checksum of {printable(damaged)} is wrong")


def _with_state_dict(checkpoint: Any, file: Path) -> dict[str, Any]:
    """Return a checkpoint whose weights are known to be tensors with plain names."""
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"checkpoint {file} holds a {type(checkpoint).__name__}, not weights by name")
    if "state_dict" not in checkpoint and checkpoint and all(isinstance(x, Tensor) for x in checkpoint.values()):
        checkpoint = {"state_dict": checkpoint}
    weights = checkpoint.get("state_dict")
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise CheckpointError(f"checkpoint {file} has no state_dict: neither a Trainer nor torch.save wrote weights")
    for name, value in weights.items():
        size = value.numel() * value.element_size() if isinstance(value, Tensor) else 0
        if size > file.stat().st_size + MAX_EXPANSION:
            raise CheckpointError(f"checkpoint {file}: {printable(name)} claims to be larger than the file: not loaded")
    parts = {name: value for name, value in checkpoint.items() if value is not None}
    for name, kind in PARTS.items():
        if not isinstance(parts.get(name, kind()), kind):
            found = type(parts[name]).__name__
            raise CheckpointError(f"checkpoint {file}: {name} is a {found}, where a Trainer writes a {kind.__name__}")
    written_by = {"pytorch-lightning_version": lightning.__version__}  # a Trainer asks for it, to bring it up to date
    return {**written_by, **parts, "state_dict": _without_prefix(weights)}


def _without_prefix(weights: dict[str, Any]) -> dict[str, Any]:
    """Take off what DistributedDataParallel and ``torch.compile`` put before each name."""
    for prefix in WRAPPERS:
        if weights and all(name.startswith(prefix) for name in weights):
            return _without_prefix({name.removeprefix(prefix): value for name, value in weights.items()})
    return weights


class CheckpointFile(NamedTuple):
    """A checkpoint that was read from a file."""

    path: Path
    content: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps before it was written."""
        return int(self.content.get("global_step", 0))


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
        plain: Functions that return hyperparameters as they are saved, by the key of a checkpoint.
    """

    def __init__(
        self, loaded: dict[str, dict[str, Any]] | None = None, plain: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> None:
        super().__init__()
        self._loaded, self._plain = loaded or {}, plain or {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint atomically."""
        make_folder(Path(path).parent)
        plain = {key: make(checkpoint[key]) for key, make in self._plain.items() if key in checkpoint}
        save_checkpoint({**checkpoint, **plain}, path)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Load a checkpoint, once its checksums are verified."""
        return self._loaded.pop(str(path), None) or load_checkpoint(path)
