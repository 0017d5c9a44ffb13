"""The program that runs: ``firstlight``, or the command of a project that is built on it."""

import argparse
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from firstlight.errors import UsageError

__all__ = ["PACKAGES", "CommandParser", "program"]

PACKAGES = "FIRSTLIGHT_PACKAGES"
"""The environment variable that names packages whose classes configs may name, separated by commas."""


def program() -> str:
    """Return what to type to run this program again."""
    name = Path(sys.argv[0]).name
    return name if re.fullmatch(r"[a-z][\w-]*", name) else "firstlight"  # not __main__.py, not -c


class CommandParser(argparse.ArgumentParser):
    """A parser for the flags of one command that raises a :class:`UsageError` for a mistake in them.

    Args:
        command: Name of the command.
        arguments: As for ``argparse.ArgumentParser``.
    """

    def __init__(self, command: str, **arguments: Any) -> None:
        super().__init__(prog=f"{program()} {command}", allow_abbrev=False, **arguments)

    def error(self, message: str) -> NoReturn:
        """Raise the message."""
        raise UsageError(f"{self.prog}: {message}")
