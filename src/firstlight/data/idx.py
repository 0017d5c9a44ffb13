"""Files in the IDX format, which MNIST and its relatives come in.

Source: the format's description, http://yann.lecun.com/exdb/mnist/.
"""

import math
import struct
from pathlib import Path

import torch
from torch import Tensor

from firstlight.errors import DataError

__all__ = ["read_idx"]


def read_idx(path: Path, *shape: int) -> Tensor:
    """Return the bytes of an IDX file as a tensor, after checks of its header and its length.

    Args:
        path: The file.
        shape: Expected shape of an item: height and width of an image, nothing for a label.

    Raises:
        DataError: If the file is missing, damaged, empty, or holds anything else than bytes in items of this shape.
    """
    try:
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    advice = "delete it to have it downloaded again"
    num_dims = 1 + len(shape)
    magic = 0x0800 + num_dims  # bytes, in so many dimensions
    header_size = 4 + 4 * num_dims
    if len(content) < header_size:
        raise DataError(f"{path} is cut off: {len(content)} bytes, less than its header; {advice}")
    found, num_items, *sizes = struct.unpack_from(f">{1 + num_dims}I", content)
    if found != magic:
        raise DataError(f"{path} begins with {found:#010x}, not {magic:#010x}: not an IDX file of this kind; {advice}")
    expected = header_size + num_items * math.prod(sizes)
    if len(content) != expected:
        raise DataError(f"{path} is damaged: {len(content)} bytes, its header promises {expected}; {advice}")
    if num_items == 0:
        raise DataError(f"{path} is empty: its header promises 0 items")
    if tuple(sizes) != shape:
        raise DataError(f"{path} holds {num_items} items of shape {tuple(sizes)}; expected {shape}")
    return torch.frombuffer(content, dtype=torch.uint8, offset=header_size).reshape(num_items, *shape)
