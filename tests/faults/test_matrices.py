"""A few of the faults that ``python -m tests.faults`` tries in great numbers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the library that fails calls is for Linux")
@pytest.mark.parametrize(
    ("groups", "count"), [(["own-data", "trust", "fuzz"], 2), (["files", "full-disk"], 2), (["power"], 6)]
)
def test_some_of_a_matrix_hold(groups, count):
    words = [sys.executable, "-m", "tests.faults", *groups, "--count", str(count), "--seed", "0"]
    ended = subprocess.run(
        words, cwd=Path(__file__).parents[2], env=os.environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert all(f"{group}: " in ended.stdout for group in groups)
