"""Which cases of a test the default run leaves out."""

from collections.abc import Sequence
from typing import Any

import pytest


def first_quick(quick: int, cases: Sequence[Any]) -> list[Any]:
    """Return cases to parametrize a test by: the first hold its rule, and the slow tests repeat it for the others."""
    rest = [case if isinstance(case, tuple) else (case,) for case in cases[quick:]]
    return [*cases[:quick], *(pytest.param(*case, marks=pytest.mark.slow) for case in rest)]
