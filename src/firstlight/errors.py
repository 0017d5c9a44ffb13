"""Mistakes that a user can mend; everything else that is raised is a bug and keeps its traceback."""

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CheckpointError", "DataError", "FirstlightError", "NotFiniteError", "UsageError", "suggestion"]


class FirstlightError(Exception):
    """Something that failed for a reason that a user can mend.

    The message says what is wrong, where, and what was expected. ``exit_status`` is what the command
    line ends with: 2 for what was typed or written in a config, 1 for what failed while running.
    """

    exit_status = 1


class UsageError(FirstlightError):
    """A mistake in what was typed or written in a config."""

    exit_status = 2


class DataError(FirstlightError, ValueError):
    """Data that is missing, damaged, or not what its file name promises."""


class CheckpointError(FirstlightError):
    """A checkpoint that is missing, damaged, or another model's."""


class NotFiniteError(FirstlightError):
    """A loss or a weight that is no number, or infinite.

    Args:
        what: What is not finite, and since when.
        last: The checkpoint from before, if one was written.
    """

    def __init__(self, what: str, last: Path) -> None:
        kept = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written yet"
        super().__init__(f"{what}\n{kept}\ntry a smaller step size (--model.lr) or --trainer.gradient_clip_val 1")


def suggestion(word: str, known: Iterable[str], what: str) -> str:
    """Return the end of a message about an unknown word: the nearest known one, or all of them.

    Args:
        word: What was given.
        known: What could have been given.
        what: What the known words are, in the plural.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; {what}: {', '.join(known)}" if known else f"; there are no {what} yet"
