import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the tests beside it

from harness import differences, firstlight, left_behind

REFERENCES = {}  # what an unbroken run with these flags leaves, in this process's tests


@pytest.fixture
def unbroken(tmp_path, fashion_root):
    """Return a function that trains without a fault, and returns one that lists what another folder has otherwise."""

    def run(flags, **how):
        if tuple(flags) not in REFERENCES:
            ended = firstlight(tmp_path / "unbroken", *flags, **how)
            assert ended.status == 0, ended.text
            assert "arning" not in ended.text
            REFERENCES[tuple(flags)] = left_behind(tmp_path / "unbroken")
        return lambda other: list(differences(REFERENCES[tuple(flags)], left_behind(other)))

    return run
