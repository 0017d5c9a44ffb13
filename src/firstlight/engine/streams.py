"""Standard streams may be closed, full or gone, and threads of libraries may fail: no run depends on either."""

import io
import os
import select
import sys
import threading
from pathlib import Path
from typing import Any

from firstlight.engine.texts import printable

_threads: list[threading.ExceptHookArgs] = []
"""Exceptions that ended a thread."""


class _Output(io.FileIO):
    """A standard stream that drops what cannot be written, from the first failure on."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write, or note why not."""
        try:
            while self.failure is None:
                if (count := super().write(data)) is not None:
                    return count
                select.select([], [self], [])  # another program made it non-blocking
        except OSError as error:
            self.failure = error
        return len(data)


def keep_streams() -> None:
    """Put streams that cannot fail in the place of standard output and error, and of those that are closed.

    Else the next file to be opened, such as a checkpoint, would be written by whoever prints.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  # a descriptor has no path
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and (stream is None or sys.platform != "win32"):
            how = {"encoding": stream.encoding, "line_buffering": stream.line_buffering} if stream else {}
            buffer = io.BufferedWriter(_Output(descriptor, "w", closefd=False))
            setattr(sys, name, io.TextIOWrapper(buffer, **how))
        if isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may have letters that a terminal has not
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _threads.append


def show_warning(message: Warning | str, file: str, line: int) -> None:
    """Print a warning in a line, as errors are, with its place if that is not in an installed package."""
    is_installed = "site-packages" in Path(file).parts or Path(file).is_relative_to(Path(__file__).parents[1])
    place = "" if is_installed else f" ({printable(file)}, line {line})"
    print(f"warning: {printable(' '.join(str(message).split()))}{place}", file=sys.stderr)


def unnoticed_failure() -> BaseException | None:
    """Return what failed of a command that ended well: the printing, or a thread; a reader who left is no failure."""
    sys.stdout.flush()
    failure = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "failure", None)
    if failure and not isinstance(failure, BrokenPipeError):
        return OSError(failure.errno, failure.strerror, "standard output")
    return next((thread.exc_value for thread in _threads), None)
