"""Tests lie at the path of what they test: each source file has test files, and each test file has its source file."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "firstlight"
SOURCES = sorted(
    path.relative_to(SOURCE)
    for path in SOURCE.rglob("*.py")
    if "project-template" not in path.parts and path.stem not in ("__init__", "__main__")
)
OF_THE_WHOLE = {
    "test_layers",
    "test_mirror",
    "test_notebooks",
    "test_package",
    "test_pages",
    "test_readme",
    "test_real_data",
}
TEST_FILES = sorted(
    path.relative_to(TESTS)
    for path in TESTS.rglob("test_*.py")
    if path.relative_to(TESTS).parts[0] not in ("faults", "foreign", "golden") and path.stem not in OF_THE_WHOLE
)


def is_test_of(test, source):
    """Return whether a test file is called ``test_<source>.py`` or ``test_<source>_<topic>.py``, at the same path."""
    return test.parent == source.parent and re.fullmatch(rf"test_{source.stem}(_\w+)?", test.stem)


def test_each_source_file_has_a_test_file_at_its_path():
    assert [str(source) for source in SOURCES if not any(is_test_of(test, source) for test in TEST_FILES)] == []


def test_each_test_file_has_a_source_file_at_its_path():
    assert [str(test) for test in TEST_FILES if not any(is_test_of(test, source) for source in SOURCES)] == []
