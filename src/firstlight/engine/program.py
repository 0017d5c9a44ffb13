"""The program that runs: ``firstlight``, or the command of a project that is built on it."""

import argparse
import os
import re
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

from firstlight.errors import UsageError

PACKAGES = "FIRSTLIGHT_PACKAGES"
"""The environment variable that names packages whose classes configs may name, separated by commas."""


def program() -> str:
    """Return what to type to run this program again."""
    name = Path(sys.argv[0]).name
    return name if re.fullmatch(r"[a-z][\w-]*", name) else "firstlight"  # not __main__.py, not -c


def expand_home(value: Any) -> Any:
    """Return a value of a setting with ``~/`` at the start of a text replaced by the home folder, lists and all.

    A shell does so only for words that begin with it, not for ``--data.root=~/data``, nor in a file.
    """
    if isinstance(value, str):
        return os.path.expanduser(value) if re.match(r"~[\w.-]*(/|$)", value) else value  # noqa: PTH111  # it keeps text
    if isinstance(value, Path):
        return Path(expand_home(str(value)))
    if isinstance(value, dict):
        return {key: expand_home(item) for key, item in value.items()}
    return [expand_home(item) for item in value] if isinstance(value, list) else value


class CommandParser(argparse.ArgumentParser):
    """A parser for the flags of one command that raises a :class:`UsageError` for a mistake in them."""

    def __init__(self, command: str, **arguments: Any) -> None:
        super().__init__(prog=f"{program()} {command}", allow_abbrev=False, **arguments)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the flags, with the home folder for ``~`` in values; raise a ``UsageError`` for one that is empty."""
        found, others = super().parse_known_args(args, namespace)
        for word, after in pairwise([*args, None]):
            flag = word.removesuffix("=")
            if flag[:2] == "--" and flag[2:] in found and (flag != word or after == ""):
                raise UsageError(f"{flag} is empty: name one, or leave it out")
        return argparse.Namespace(**{name: expand_home(value) for name, value in vars(found).items()}), others

    def error(self, message: str) -> NoReturn:
        """Raise the message as a ``UsageError``."""
        raise UsageError(f"{self.prog}: {message}")
