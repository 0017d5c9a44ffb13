"""Atomic writes: at every moment a file is the old one or the new one, whole, however many processes write it."""

import contextlib
import errno
import glob
import io
import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Replace a file atomically.

    The content goes into a temporary file beside its target (a temporary folder may lie on another file system, from
    which nothing can be moved at once), which is flushed to the disk and renamed. Each writer locks one of its own, and
    removes those of writers that were killed. The folder must be there: a run whose folder was moved away must not get
    another one in its place.

    Raises:
        OSError: If there is no room, no permission or no folder; the old file is then still there, and nothing else.
    """
    target = Path(path)
    if target.exists() and not (target.is_file() or target.is_dir()):  # /dev/null would become a file
        raise OSError(errno.EEXIST, "is a device or a pipe, and stays one", str(path))
    try:
        remove_leftovers(target.parent, glob.escape(target.name))
        part, file = _new_part(target)
        try:
            with file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                if sys.platform == "win32":
                    file.close()
                part.replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
        _flush_folder(target.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # a full disk does not name the file


def make_folder(folder: Path, *, exist_ok: bool = True) -> None:
    """Make a folder and those above it, and flush to the disk that they are there.

    Raises:
        OSError: If there is no room or no permission, or it is there already and must not be.
    """
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=exist_ok)
    except FileExistsError as error:
        if folder.is_file():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        raise
    for each in new:
        _flush_folder(each.parent)


def name_file(error: BaseException) -> None:
    """Add to an error of the operating system which file it is about: that which the innermost function had open."""
    if not isinstance(error, OSError) or error.errno is None or error.filename is not None:
        return
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            name = getattr(value, "name", None) if isinstance(value, io.IOBase) else None
            if isinstance(name, str | bytes):
                error.filename = os.fsdecode(name)
                return


def _new_part(target: Path) -> tuple[Path, BinaryIO]:
    """Return a new temporary file, open and locked; no link is followed."""
    while True:
        part = target.with_name(f".{target.name}.{os.urandom(4).hex()}.part")
        file = part.open("xb")
        if try_lock(file.fileno()) is not False and part.exists():  # else another writer took it for a leftover
            return part, file
        file.close()


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove the temporary files of writers that were killed, by a pattern for the names of what they wrote."""
    for part in folder.glob(f".{pattern}.*part"):
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                part.unlink()  # which fails while its writer has it open
            elif part.is_file() and not part.is_symlink():
                with part.open("rb") as file:
                    if try_lock(file.fileno()):
                        part.unlink()


def try_lock(descriptor: int) -> bool | None:
    """Lock a file until it is closed; return False if another process has done so, None where there are no locks."""
    from filelock import lock_descriptor  # noqa: PLC0415  # slow to import, and most commands lock nothing

    try:
        return lock_descriptor(descriptor, blocking=False)
    except OSError:
        return None


def _flush_folder(folder: Path) -> None:
    """Flush a folder to the disk: the new name of a file is kept there. Windows has no such call."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
