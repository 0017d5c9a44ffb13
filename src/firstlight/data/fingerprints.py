"""A hash of data, to notice that it changed."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["fingerprint"]


def fingerprint(value: Any) -> str:
    """Return a hash of tensors, arrays, images, numbers and texts, alone or in lists, tuples and mappings.

    It depends on their values, types, shapes and order, not on a device or on how they lie in memory. Of an object of
    another class only the class counts.
    """
    hashed = hashlib.sha256()  # with the instructions that most processors have for it, the fastest
    _add(value, hashed.update)
    return hashed.hexdigest()[:16]


def _add(value: Any, update: Callable[[Any], None]) -> None:
    if isinstance(value, Tensor):
        stored = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        update(f"{stored.dtype} {tuple(stored.shape)}".encode())
        update(stored.flatten().view(torch.uint8).numpy())
    elif isinstance(value, str | bytes | int | float | complex | None):
        update(f"{value!r},".encode())
    elif isinstance(value, Mapping | list | tuple):
        update(f"{type(value).__name__} {len(value)}".encode())
        for part in value.items() if isinstance(value, Mapping) else value:
            _add(part, update)
    elif hasattr(value, "__array_interface__") and not (array := np.asarray(value)).dtype.hasobject:
        update(f"{array.dtype} {array.shape}".encode())
        update(array.tobytes())
    else:
        update(type(value).__qualname__.encode())
