"""Do something in a process of its own, which has imported torch already: what it breaks, it breaks alone.

The processes are forks of a server that has done nothing but import. Nothing here needs torch.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import Any

from firstlight.errors import FirstlightError, UsageError

__all__ = ["Child", "call", "warm_up"]

TASKS = "firstlight.engine.sweeps.fits"
CONTEXT = multiprocessing.get_context("forkserver")
IDLE = 2.0
"""Seconds after which a parent that hears nothing from a child does something else."""


def warm_up() -> None:
    """Begin to import what the children need, while this process goes on."""
    CONTEXT.set_forkserver_preload([TASKS])
    forkserver.ensure_running()


class Child:
    """A process under way.

    Args:
        task: A function in ``firstlight.engine.sweeps.fits``; it gets a connection to this process.
        arguments: What else it gets.
        log: Where what it prints is added.
    """

    def __init__(self, task: str, *arguments: Any, log: Path) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_begin, args=(theirs, task, arguments, log), daemon=True)
        self._process.start()
        theirs.close()

    def wait(self, answer: Callable[[Any], Any], idle: Callable[[], None]) -> Any:
        """Wait for the end of the process, and return what its task returned.

        Args:
            answer: Takes what the task sends, and returns what it gets for it.
            idle: Is called every few seconds, or more often.

        Raises:
            FirstlightError: If the task raised one, or anything else, or if the process died.
        """
        for kind, *content in self._messages(idle):
            if kind == "result":
                self._process.join()
                return content[0]
            if kind == "error":
                self._process.join()
                message, status = content
                raise (UsageError if status == UsageError.exit_status else FirstlightError)(message)
            reply = answer((kind, *content))
            with contextlib.suppress(OSError):  # it may be gone
                self.connection.send(reply)
        self._process.join()
        status = self._process.exitcode or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise FirstlightError(how + (", as when memory runs out" if status == -signal.SIGKILL else ""))

    def tell(self, number: int) -> None:
        """Send the process a signal."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.pid and self._process.exitcode is None:
                os.kill(self._process.pid, number)

    def _messages(self, idle: Callable[[], None]) -> Iterator[Any]:
        while True:
            heard = self.connection.poll(IDLE)
            idle()
            if heard:
                try:
                    yield self.connection.recv()
                except (EOFError, ConnectionError):
                    return


def call(task: str, *arguments: Any, log: Path = Path(os.devnull)) -> Any:
    """Do something in another process, and return what it returns.

    Raises:
        FirstlightError: If it raised one, or anything else, or if the process died.
    """
    return Child(task, *arguments, log=log).wait(lambda _: None, lambda: None)


def _begin(parent: connection.Connection, task: str, arguments: tuple[Any, ...], log: Path) -> None:
    """Do the task, and send its result or its error to the parent."""
    os.setsid()  # Ctrl-C is for the parent, which passes it on
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        parent.send(("result", getattr(import_module(TASKS), task)(parent, *arguments)))
    except FirstlightError as error:
        print(f"error: {error}", file=sys.stderr)
        parent.send(("error", str(error), error.exit_status))
    except Exception as error:  # whatever a class of the user's own raises
        traceback.print_exc()
        first = str(error).strip().partition("\n")[0]
        parent.send(("error", f"{type(error).__name__}: {first}"[:200], 1))


def _end_with_parent() -> None:
    """End when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent:
        connection.wait([parent.sentinel])
        os._exit(1)
