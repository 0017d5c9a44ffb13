"""Atomic writes: a crash leaves either the old file or the new one, never a part of it."""

import contextlib
import os
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Replace a file atomically.

    The new file is written to the same folder (a rename between file systems is not atomic), flushed to the disk
    and renamed.

    Raises:
        OSError: If the disk is full, or the folder cannot be written; the old file is then unchanged.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # always the same name, so that the next write replaces what a killed process left behind
    part = target.with_name(f".{target.name}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error  # if the disk is full, it lacks the path
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # flush the rename too
    finally:
        os.close(folder)
