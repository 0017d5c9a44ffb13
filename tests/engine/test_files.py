import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight.engine.files import make_folder, write_atomically


def test_file_is_made_and_replaced():
    write_atomically("file", b"old")
    write_atomically("file", b"new")
    assert Path("file").read_bytes() == b"new"
    assert [path.name for path in Path().iterdir()] == ["file"]
    assert Path("file").stat().st_mode == open_like_any("other").stat().st_mode


def open_like_any(name):
    Path(name).write_bytes(b"")
    return Path(name)


def test_folder_that_is_gone_is_not_made_again():
    with pytest.raises(FileNotFoundError, match="'gone/file'"):
        write_atomically("gone/file", b"new")
    assert not Path("gone").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the path of a descriptor")
def test_folders_that_are_made_are_flushed_to_the_disk_with_all_above_them(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    make_folder(Path("one/two"))
    assert sorted(flushed) == [str(tmp_path), str(tmp_path / "one")]
    make_folder(Path("one/two"))
    with pytest.raises(FileExistsError):
        make_folder(Path("one/two"), exist_ok=False)
    assert len(flushed) == 2


def test_reader_never_sees_half_a_file_however_many_write():
    sizes = {value: 50_000 + 10_000 * value for value in range(3)}
    code = (
        "import sys, time; from firstlight.engine.files import write_atomically; value = int(sys.argv[1])\n"
        "for _ in range(150): write_atomically('file', bytes([value]) * (50_000 + 10_000 * value))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(value)]) for value in sizes]
    reads = 0
    while any(writer.poll() is None for writer in writers):
        if Path("file").exists():
            content = Path("file").read_bytes()
            assert len(set(content)) == 1
            assert len(content) == sizes[content[0]]
            reads += 1
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert reads > 0
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_planted_link_is_not_followed():
    Path("victim").write_text("precious")
    Path(".file.part").symlink_to("victim")
    os.mkfifo(".file.1.part")
    write_atomically("file", b"new")
    assert Path("victim").read_text() == "precious"
    assert not Path("file").is_symlink()


def test_part_of_a_writer_that_is_alive_is_left_alone():
    with Path(".file.00.part").open("xb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        write_atomically("file", b"new")
        assert Path(".file.00.part").exists()
    write_atomically("file", b"newer")  # its writer is gone
    assert [path.name for path in Path().iterdir()] == ["file"]


@pytest.mark.parametrize("fails", ["os.fsync", "pathlib.Path.replace"])
def test_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(fails, monkeypatch):
    write_atomically("file", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fails, full)
    with pytest.raises(OSError, match="No space left on device: 'file'"):
        write_atomically("file", b"new")
    assert Path("file").read_bytes() == b"old"
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_interruption_leaves_no_part_behind(monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically("file", b"new")
    assert not list(Path().iterdir())


def test_part_that_a_kill_left_behind_does_not_hinder():
    Path(".file.part").write_bytes(b"half of what a killed process wro")
    write_atomically("file", b"new")
    assert Path("file").read_bytes() == b"new"
    assert not Path(".file.part").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
def test_device_or_pipe_is_not_replaced_by_a_file(did, complaint):
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    did("fit", "-c", "autograd_cubic", "-c", "presets/limit")
    for name in ("pipe", "link"):
        answer = complaint("predict", "--output", name)
        assert answer == (1, f"[Errno 17] is a device or a pipe, and stays one: '{name}'")
    assert Path("pipe").is_fifo()
    assert Path("link").is_symlink()
