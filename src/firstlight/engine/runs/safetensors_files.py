"""Weights as a safetensors file, with what is needed to build the model again in its header."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor

from firstlight.engine.packages import require
from firstlight.errors import CheckpointError

__all__ = ["read_safetensors", "to_safetensors"]

KEYS = {"model": ("model_class", "hyper_parameters"), "data": ("data_class", "datamodule_hyper_parameters")}
"""Parts of a config, and the keys under which a checkpoint holds their class and arguments."""


def to_safetensors(state_dict: Mapping[str, Tensor], config: Mapping[str, Any]) -> bytes:
    """Return the content of a file.

    Args:
        state_dict: The weights.
        config: Class and arguments of ``model`` and ``data``, as plain values.
    """
    from safetensors.torch import save  # noqa: PLC0415  # an extra

    tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state_dict.items()}
    header = {"format": "pt"} | {part: json.dumps(config[part]) for part in KEYS if config[part]}
    return save(tensors, {**header, "checksum": _checksum(tensors, header)})


def read_safetensors(path: Path) -> dict[str, Any]:
    """Read a file that :func:`to_safetensors` made, as what a checkpoint would hold.

    Raises:
        CheckpointError: If it is missing, damaged, or was made by something else.
        FirstlightError: If the package safetensors is missing.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    require(str(path), "safetensors")
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  # an extra

    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
    checksum = header.pop("checksum", None)
    if checksum is None:
        raise CheckpointError(f"checkpoint {path} does not say of which model it is: not from firstlight export")
    if checksum != _checksum(tensors, header):
        raise CheckpointError(f"checkpoint {path} is damaged: it is not what was written")
    checkpoint = {"state_dict": tensors, "pytorch-lightning_version": lightning.__version__}
    for part, (kind, arguments) in KEYS.items():
        if part in header:
            described = json.loads(header[part])
            checkpoint |= {kind: described["class_path"], arguments: described["init_args"]}
    return checkpoint


def _checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Return a fingerprint of all that a file says; the format itself has none."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
