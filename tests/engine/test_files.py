import os
from pathlib import Path

import pytest

from firstlight.engine.files import write_atomically


def test_file_is_written_with_its_folder_and_replaced():
    write_atomically("deep/er/file", b"old")
    write_atomically("deep/er/file", b"new")
    assert Path("deep/er/file").read_bytes() == b"new"
    assert [path.name for path in Path("deep/er").iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace"])
def test_failed_write_leaves_only_the_old_file(fails, monkeypatch):
    write_atomically("file", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match="No space left on device: 'file'"):
        write_atomically("file", b"new")
    assert Path("file").read_bytes() == b"old"
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_interrupted_write_leaves_no_file(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically("file", b"new")
    assert not list(Path().iterdir())


def test_file_that_a_killed_process_left_is_overwritten():
    Path(".file.part").write_bytes(b"half of what a killed process wro")
    write_atomically("file", b"new")
    assert Path("file").read_bytes() == b"new"
    assert not Path(".file.part").exists()
