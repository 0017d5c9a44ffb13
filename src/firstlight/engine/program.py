"""The program under way: ``firstlight``, or the command of a project that is built on it."""

import re
import sys
from pathlib import Path

__all__ = ["PACKAGES", "program"]

PACKAGES = "FIRSTLIGHT_PACKAGES"
"""The environment variable that names packages whose classes configs may name, with commas between."""


def program() -> str:
    """Return what to type to run this program again."""
    name = Path(sys.argv[0]).name
    return name if re.fullmatch(r"[a-z][\w-]*", name) else "firstlight"  # not __main__.py, not -c
