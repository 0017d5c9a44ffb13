"""Download Fashion-MNIST."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from torchvision import datasets

from firstlight.errors import DataError

__all__ = ["download"]

TIMEOUT = 20.0  # seconds without a byte


def download(folder: Path, names: Sequence[str]) -> None:
    """Download the files of Fashion-MNIST, compare their checksums, and unpack them.

    Args:
        folder: Where to, ``FashionMNIST/raw`` in the root of torchvision's layout.
        names: The unpacked files, for the message.

    Raises:
        DataError: If the folder cannot be used, or the files cannot be downloaded.
    """
    root = folder.parents[1]
    created = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"downloading Fashion-MNIST (30 MB) into {folder}", flush=True)  # noqa: T201  # it takes a while
        for file, _ in datasets.FashionMNIST.resources:
            # torchvision would wait without end for a server that does not answer, or stops in the middle
            with urlopen(datasets.FashionMNIST.mirrors[0] + file, timeout=TIMEOUT) as answer:  # noqa: S310
                content = answer.read()
            (folder / file).write_bytes(content)
        datasets.FashionMNIST(str(root), download=True)  # compares checksums, and unpacks
    except (RuntimeError, OSError) as error:
        for each in created:
            with contextlib.suppress(OSError):
                each.rmdir()  # leave no empty folder behind
        reason = f"{error}".strip().rpartition("\n")[2] or type(error).__name__
        raise DataError(
            f"no Fashion-MNIST in {root}, and it could not be downloaded: {reason}\n"
            f"put these files, unpacked, into {folder}: {', '.join(names)}\n"
            "or name the folder that holds FashionMNIST/raw with --data.root or FIRSTLIGHT_DATA"
        ) from error
