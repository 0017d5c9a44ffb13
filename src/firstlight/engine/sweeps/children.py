"""Run a task in its own process, so that a crash cannot take the sweep down.

Where there is ``fork``, they are forks of a server that has already imported torch. This module does not import it.
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
from multiprocessing import connection
from pathlib import Path
from typing import Any

from firstlight.engine.files import name_file
from firstlight.errors import FirstlightError, UsageError

TASKS = "firstlight.engine.sweeps.fits"
if sys.platform == "win32":
    CONTEXT = multiprocessing.get_context("spawn")
    KILLED = 1
else:
    CONTEXT = multiprocessing.get_context("forkserver")
    KILLED = -signal.SIGKILL
IDLE = 2.0
"""Seconds that a parent waits for a message of a child before it does something else."""
EXIT_TIME = 10.0
"""Seconds that a process may take to exit once its task has returned."""


def warm_up() -> None:
    """Start the server of processes, and let it import what they need while this process does something else."""
    if sys.platform == "win32":
        return  # there, each process imports by itself
    CONTEXT.set_forkserver_preload([TASKS])
    idle = CONTEXT.Process(target=os.getpid)  # the server starts with its first process
    threading.Thread(target=idle.start, daemon=True).start()  # which waits for the imports


class Child:
    """A process that runs a task, and may have processes of its own, such as those that load data.

    Args:
        task: A function in ``firstlight.engine.sweeps.fits``, by name; it gets a connection to this process first.
        arguments: Its other arguments.
        log: File to which its output is appended.
    """

    def __init__(self, task: str, *arguments: Any, log: Path) -> None:
        self.connection, theirs = CONTEXT.Pipe()
        self._process = CONTEXT.Process(target=_begin, args=(theirs, task, arguments, log))
        self._process.start()
        theirs.close()

    def wait(self, answer: Callable[[Any], Any], idle: Callable[[], None]) -> Any:
        """Wait for the end of the task, and return what it returned; the process has ended then, whatever happens.

        Args:
            answer: Called with each message of the task; its result is sent back.
            idle: Called every few seconds, or more often.

        Raises:
            FirstlightError: If the task raised any exception, or the process was killed.
        """
        try:
            result = self._result(answer, idle)
            self._process.join(EXIT_TIME)
            return result
        finally:
            self.kill()
            self._process.join()

    def _result(self, answer: Callable[[Any], Any], idle: Callable[[], None]) -> Any:
        for kind, *content in self._messages(idle):
            if kind == "result":
                return content[0]
            if kind == "error":
                raise (UsageError if content[1] == UsageError.exit_status else FirstlightError)(content[0])
            reply = answer((kind, *content))
            with contextlib.suppress(OSError):  # it may be gone
                self.connection.send(reply)
        self._process.join()
        status = self._process.exitcode or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        raise FirstlightError(how + (", as when memory runs out" if status == KILLED else ""))

    def tell(self, number: int) -> None:
        """Send the process a signal."""
        with contextlib.suppress(ProcessLookupError):
            if self._process.pid and self._process.exitcode is None:
                os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Kill the process and those that it started, if it has not ended."""
        if self._process.pid and self._process.exitcode is None:
            with contextlib.suppress(ProcessLookupError):  # it has no group of its own yet
                if sys.platform != "win32":
                    os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()

    def _messages(self, idle: Callable[[], None]) -> Iterator[Any]:
        """Yield what the task sends, until its process has ended; processes of its own may live on."""
        ends: list[Any] = [self.connection, self._process.sentinel]
        while True:
            ready = connection.wait(ends, IDLE)
            idle()
            if self.connection.poll():
                try:
                    yield self.connection.recv()
                except (EOFError, ConnectionError):
                    return
            elif ready:
                return


def call(task: str, *arguments: Any, log: Path = Path(os.devnull)) -> Any:
    """Run a task in another process, and return what it returns, or raise what :meth:`Child.wait` does."""
    return Child(task, *arguments, log=log).wait(lambda _: None, lambda: None)


def _begin(parent: connection.Connection, task: str, arguments: tuple[Any, ...], log: Path) -> None:
    """Run the task, and send its result or its error to the parent."""
    if sys.platform != "win32":
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
        name_file(error)
        traceback.print_exc()
        first = str(error).strip().partition("\n")[0]
        parent.send(("error", f"{type(error).__name__}: {first}"[:200], 1))


def _end_with_parent() -> None:
    """Exit as soon as the parent has ended, however it ended."""
    parent = multiprocessing.parent_process()
    if parent:
        connection.wait([parent.sentinel])
        os._exit(1)
