"""Safetensors files that hold weights and, in their header, the class and arguments of the model and the data."""

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

CHECKPOINT_KEYS = {"model": ("model_class", "hyper_parameters"), "data": ("data_class", "datamodule_hyper_parameters")}
"""The keys of a checkpoint that hold the class and the arguments of the model and of the data."""

DATA_STATE = "data_state"


def to_safetensors(
    state_dict: Mapping[str, Tensor], config: Mapping[str, Any], data_state: Mapping[str, Any] | None = None
) -> bytes:
    """Return the content of a safetensors file; config and state of the data are plain values."""
    from safetensors.torch import save  # noqa: PLC0415  # an extra

    tensors = {name: value.clone(memory_format=torch.contiguous_format) for name, value in state_dict.items()}
    header = {"format": "pt"} | {part: json.dumps(config[part]) for part in CHECKPOINT_KEYS if config[part]}
    header |= {DATA_STATE: json.dumps(data_state)} if data_state else {}
    return save(tensors, {**header, "checksum": _checksum(tensors, header)})


def read_safetensors(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Read a file from :func:`to_safetensors`, or its content before it is written, with the keys of a checkpoint.

    Raises:
        CheckpointError: If the file is missing or damaged, or another program wrote it.
        FirstlightError: If the package safetensors is not installed.
    """
    if content is None and not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    require(str(path), "safetensors")
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  # an extra
    from safetensors.torch import load  # noqa: PLC0415  # an extra

    try:
        if content is None:
            with safe_open(path, "pt") as file:  # a file may be larger than memory: its header is checked first
                header = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        else:
            tensors = load(content)  # it checks the header, too
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}") from error
    checksum = header.pop("checksum", None)
    if checksum is None:
        raise CheckpointError(f"checkpoint {path} does not name its model: firstlight export did not write it")
    if checksum != _checksum(tensors, header):
        raise CheckpointError(f"checkpoint {path} is damaged: its checksum is wrong")
    checkpoint = {"state_dict": tensors, "pytorch-lightning_version": lightning.__version__}
    for part, (class_key, arguments_key) in CHECKPOINT_KEYS.items():
        if part in header:
            try:
                described = json.loads(header[part])
                checkpoint |= {class_key: described["class_path"], arguments_key: dict(described["init_args"])}
                if part == "data" and DATA_STATE in header:  # where Lightning looks for it
                    checkpoint[described["class_path"].rpartition(".")[2]] = dict(json.loads(header[DATA_STATE]))
            except (KeyError, RecursionError, TypeError, ValueError) as error:
                raise CheckpointError(f"checkpoint {path} does not say how to build its {part}") from error
    return checkpoint


def _checksum(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """Return a checksum of the header and all tensors; the format itself has none."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
