"""Mistakes that a user can mend; everything else that is raised is a bug and keeps its traceback."""

__all__ = ["DataError", "FirstlightError"]


class FirstlightError(Exception):
    """A mistake that a user can mend: its message says what is wrong, where, and what was expected.

    ``exit_status`` is what the command line ends with: 2 for what was typed or written in a config,
    1 for what failed while running.
    """

    exit_status = 1


class DataError(FirstlightError, ValueError):
    """Data that is missing, damaged, or not what its file name promises."""
