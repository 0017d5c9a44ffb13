"""Write a file so that at every moment it is the old one or the new one, whole."""

import contextlib
import os
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Replace a file in one move.

    The new file is written beside its target (a temporary folder may lie on another file system, from
    which nothing can be moved at once), flushed to the disk and renamed.

    Raises:
        OSError: If there is no room, or no permission; the old file is then still there, and nothing else.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # one name a process: what a kill leaves behind is overwritten by the next run, not added to
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
            raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not name the file
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name too
    finally:
        os.close(folder)
