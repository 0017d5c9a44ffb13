"""Errors that a user can fix; any other exception is a bug and keeps its traceback."""

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["CheckpointError", "DataError", "FirstlightError", "NotFiniteError", "UsageError", "suggestion"]


class FirstlightError(Exception):
    """An error that a user can fix.

    The message says what is wrong, where, and what was expected. The command exits with ``exit_status``: 2 for a
    mistake in what was typed or in a config, 1 for a failure at run time.
    """

    exit_status = 1


class UsageError(FirstlightError):
    """A mistake in what was typed or in a config."""

    exit_status = 2


class DataError(FirstlightError, ValueError):
    """Data that is missing, damaged, or of the wrong format or shape."""


class CheckpointError(FirstlightError):
    """A checkpoint that is missing, damaged, or of another model."""


class NotFiniteError(FirstlightError):
    """A loss or a weight that became NaN or infinite.

    Args:
        what: What is not finite, and since when.
        last_good: The checkpoint from before, if training had got that far.
    """

    def __init__(self, what: str, last_good: Path | None) -> None:
        nothing = "nothing was learned before: start a new run"
        kept = f"the last good checkpoint is {last_good}" if last_good else nothing
        super().__init__(f"{what}\n{kept}\ntry a lower learning rate (--model.lr) or --trainer.gradient_clip_val 1")


def suggestion(word: str, known: Iterable[str], what: str) -> str:
    """Return the end of a message about an unknown name: the most similar known name, or all known names.

    Args:
        word: The unknown name.
        known: The known names.
        what: What they are names of, in the plural.
    """
    known = list(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; {what}: {', '.join(known)}" if known else f"; there are no {what} yet"
