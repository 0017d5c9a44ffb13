from importlib import import_module
from pathlib import Path

import pytest

examples = import_module("my_research.examples")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder with nothing but the examples."""
    monkeypatch.chdir(tmp_path)
    examples.write(Path("data"))
