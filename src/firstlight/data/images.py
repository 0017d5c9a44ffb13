"""Image files, as tensors of bytes of one size."""

import re
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from torchvision.transforms.v2 import functional

from firstlight.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "is_image", "read_image", "to_floats"]

IMAGE_SUFFIXES = *IMG_EXTENSIONS, ".gif", ".jfif"
"""Ends of the names of image files."""
FORMATS = "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"
"""What files may be, whatever their names say; Pillow reads some others by running programs."""
BYTES = "1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"
"""Modes of images with at most eight bits a value."""


def is_image(path: str) -> bool:
    """Return whether a file is an image by its name; hidden ones are what macOS notes of others (``._1.png``)."""
    return path.lower().endswith(IMAGE_SUFFIXES) and not Path(path).name.startswith(".")


def read_image(path: Path | Image.Image, size: int, *, grey: bool) -> tuple[Tensor, str]:
    """Return an image stretched to a square, as bytes of shape ``(channels, size, size)``, and what was done to it.

    Grey is the luma of ITU-R BT.601; an image that is grey keeps its values. Transparency is ignored, and a photo is
    turned as its camera noted. The text is empty if the image had this size and colour before.

    Args:
        path: A file in one of ``FORMATS``, or an image that was read.
        size: Height and width.
        grey: Return one channel instead of three.

    Raises:
        DataError: If the file cannot be read as an image with eight bits a value.
    """
    try:
        if isinstance(path, Path) and path.exists() and not path.is_file():  # a pipe may never end
            raise OSError("it is not a regular file")
        with nullcontext(path) if isinstance(path, Image.Image) else Image.open(path, formats=FORMATS) as file:
            if file.mode not in BYTES:
                raise DataError(f"{path} is an image of mode {file.mode}: expected eight bits a value")
            # a palette with transparency has to become RGBA before it can lose that
            turned = ImageOps.exif_transpose(file.convert("RGBA") if file.mode == "P" else file)
            image = turned.convert("L" if grey and turned.mode in ("1", "L", "LA") else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, DataError):
            raise
        reason = getattr(error, "strerror", None) or re.split(" [<']", str(error))[0]  # without the path
        raise DataError(f"{path} cannot be read as an image: {reason}") from error
    changes = [] if image.size == (size, size) else [f"resized to {size}x{size}"]
    if grey and image.mode == "RGB":
        red, green, blue = image.split()
        changes += ["made grey"] * (red != green or red != blue)
        image = image.convert("L")
    resized = image if image.size == (size, size) else image.resize((size, size), Image.Resampling.BILINEAR)
    return functional.pil_to_tensor(resized), " and ".join(changes)


def to_floats(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Return bytes from 0 to 255 as floats from 0 to 1; what is floats already stays as it is."""
    return images.to(dtype).div_(255) if images.dtype == torch.uint8 else images.to(dtype)
