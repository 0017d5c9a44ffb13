from importlib import import_module
from pathlib import Path

examples = import_module("my_research.examples")


def test_examples_are_the_same_each_time() -> None:
    first = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    examples.write(Path("data"))
    assert first == {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    assert first
