"""The program: find the command that was typed, run it, and end with the right exit status."""

import atexit
import contextlib
import gc
import logging
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

from firstlight import __version__
from firstlight.engine.cli.answers import Answer
from firstlight.engine.cli.commands import COMMANDS, STAGES, function_of
from firstlight.engine.cli.help import help_asked, overview, short_help
from firstlight.engine.files import name_file
from firstlight.engine.processes import check_environment, is_first_process, was_started_by_first_process
from firstlight.engine.program import PACKAGES, program
from firstlight.engine.streams import keep_streams, show_warning, unnoticed_failure
from firstlight.engine.texts import printable
from firstlight.errors import FirstlightError, UsageError, suggestion

OF_LIGHTNING = "PL_(CONFIG|SEED_EVERYTHING|(FIT|VALIDATE|TEST|PREDICT|TRAINER|MODEL|DATA|OPTIMIZER|LR_SCHEDULER)_)"
"""Environment variables that set something in Lightning's own command line."""
BUG = "error: this is a bug, in firstlight or in a class that the config names"
PARENT = os.getppid()  # as long as it runs: an orphan gets another


def main(package: str | None = None) -> None:
    """Run the command line; it ends the process with 0, 1 (a run failed), 2 (a usage error) or 128 + signal.

    Args:
        package: Package of a project that is built on firstlight; configs may name its classes.
    """
    if package:
        os.environ[PACKAGES] = ",".join(filter(None, [package, os.environ.get(PACKAGES)]))
    keep_streams()
    warnings.showwarning = lambda message, _kind, file, line, *_: show_warning(message, file, line)
    logging.getLogger("matplotlib").addFilter(_is_news)
    command, *words = _command_first(sys.argv[1:]) or ["--help"]
    answer = Answer(command, words)
    try:
        found = _dispatch(command, answer.words)
        _raise_unnoticed()  # a thread failed, so the answer is an error
        answer.give(status := (found or {}).pop("exit", 0), found)
        _raise_unnoticed()  # or the answer could not be printed
        if status:
            _exit(status, answer)
    except FirstlightError as error:
        _end(error, error.exit_status, answer)
    except KeyboardInterrupt:
        _exit(130, answer, {"error": "interrupted"})
    except SystemExit as error:
        message = "" if error.code is None or str(error).isdigit() else str(error)
        if message:
            print(message, file=sys.stderr)  # a signal stopped the run: how to resume it
        status = error.code if isinstance(error.code, int) else int(bool(message))
        _exit(status, answer, {"error": message} if message else None)
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            name_file(error)
            _end(error, 1, answer)
        if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:  # they stand for bytes in file names
            error = UsageError(f"{error.object!r} holds a name that is not in {error.encoding}: choose another")
            _end(error, 2, answer)
        traceback.print_exc()
        print(BUG, file=sys.stderr)
        _exit(1, answer, {"error": f"{BUG.removeprefix('error: ')}: {error!r}"})


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether matplotlib says more than that its cache is in a temporary folder, as it cannot write home."""
    return not re.match("mkdir -p failed|Matplotlib created a temporary cache", record.getMessage())


def _raise_unnoticed() -> None:
    if failure := unnoticed_failure():
        raise failure


def _command_first(words: list[str]) -> list[str]:
    """Return what was typed with the command first: Lightning's own command line takes configs before it."""
    count = 0
    while count < len(words) and re.match(r"-c|--config(=|$)", words[count]):
        count += 2 if words[count] in ("-c", "--config") else 1
    return [*words[count : count + 1], *words[:count], *words[count + 1 :]] if count < len(words) else words


def _dispatch(command: str, words: list[str]) -> dict[str, Any] | None:
    """Run a command, and return what it found, if that is more than a text."""
    if command in ("-h", "--help", "help"):
        print(overview(), end="")
    elif command in ("-V", "--version"):
        own = f"firstlight {__version__}"
        print(own if program() == "firstlight" else f"{program()} ({own})")
    elif command not in COMMANDS:
        raise UsageError(f"no command {command!r}{suggestion(command, COMMANDS, 'commands')}")
    elif command in STAGES and help_asked(words) == "short":
        print(short_help(command), end="")
    else:
        check_environment()
        ignored = sorted(name for name in os.environ if re.match(OF_LIGHTNING, name))
        if ignored and command in STAGES and is_first_process():
            print(f"warning: {', '.join(ignored)}: ignored, as settings are flags and configs", file=sys.stderr)
        with _no_garbage_collection():
            run = function_of(command)
        return run(["--help"] if command in STAGES and help_asked(words) else words)
    return None


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Import without collecting garbage: torch makes a great many objects, and they all stay."""
    if "torch" in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else Triton complains at the end that its objects were never freed
        gc.enable()


def _end(error: Exception, status: int, answer: Answer) -> NoReturn:
    """Print an error that its reader can mend, and end."""
    if os.environ.get("FIRSTLIGHT_DEBUG"):
        traceback.print_exc()
    lines = map(printable, f"error: {error}".split("\n"))  # a message may quote what a file said
    print("\n".join(lines), file=sys.stderr)
    _exit(status, answer, {"error": str(error)})


def _exit(status: int, answer: Answer, found: dict[str, Any] | None = None) -> NoReturn:
    """Answer and end; a process that another one started waits for that one to end first.

    Where several processes stop together, the first would be killed by its own watch over the others
    if one of them ended before it, and its exit status would be lost.
    """
    answer.give(status, found)
    if was_started_by_first_process():
        deadline = time.monotonic() + 20
        while os.getppid() == PARENT and time.monotonic() < deadline:
            time.sleep(0.02)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: taking torch apart takes a second
    sys.exit(status)
