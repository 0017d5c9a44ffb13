import os
import subprocess
import sys
from pathlib import Path

import pytest

from firstlight.engine.command.configs import read_config
from firstlight.engine.documents import MAX_BYTES, MAX_DEPTH, MAX_ITEMS, MAX_NODES, read_json, read_yaml
from firstlight.engine.runs.folders import Run
from firstlight.errors import CheckpointError, FirstlightError, UsageError

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def refused(text, read=read_yaml):
    Path("file").write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FirstlightError) as error:
        read(Path("file"))
    return str(error.value)


def test_mapping_is_read():
    Path("file").write_text("a: {b: [1, 2.5, text]}\nc: &x {d: null}\ne: *x\n")
    assert read_yaml(Path("file")) == {"a": {"b": [1, 2.5, "text"]}, "c": {"d": None}, "e": {"d": None}}
    Path("file").write_text('{"a": [1, null]}')
    assert read_json(Path("file")) == read_yaml(Path("file")) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", "file, line 5: 'c' is set twice, first in line 3"),
        ("a: 1\n'a': 2\n", "file, line 2: 'a' is set twice, first in line 1"),
        ("a: 1\n? [b]\n: 2\na: 3\n", "file, line 4: 'a' is set twice, first in line 1"),
        ("a: &a {b: *a}\n", "file, line 1: *a refers to what it is a part of"),
        ("a: " + "[" * 10_000 + "]" * 10_000, f"file, line 1: nested more than {MAX_DEPTH} levels deep"),
        ("a: [" + f"[{'1, ' * 999}1], " * 101 + "]", f"file, line 1: more than {MAX_NODES:,} values"),
        ("a:\n- 1\n- [" + "1, " * MAX_ITEMS + "1]", f"file, line 3: more than {MAX_ITEMS:,} values in a list"),
        (BOMB, f"file, line 5: more than {MAX_NODES:,} values"),
        (b" " * MAX_BYTES + b"a: 1", f"file is larger than {MAX_BYTES:,} bytes"),
        (b"a: \xff", "file is not text in UTF-8 (byte 3)"),
        ("a: [1", "file, line 1: expected ',' or ']', but got '<stream end>'"),
        ("a: !!python/object/apply:os.getcwd []", "file, line 1: could not determine a constructor"),
        ("a: 2001-99-99", "file is not valid YAML: month must be in 1..12"),
        ("", "file is empty"),
        ("[1]", "file holds no settings: expected lines like 'trainer:', got '[1]'"),
    ],
)
def test_yaml_that_must_not_be_used_is_refused_with_its_line(text, message):
    assert refused(text).startswith(message)


def test_config_that_a_run_has_written_may_hold_a_long_list_which_a_class_has_by_default():
    run = Run(Path("version_0"))
    run.folder.mkdir()
    run.config.write_text("names: [" + "a, " * MAX_ITEMS + "b]")
    assert len(run.read_config()["names"]) == MAX_ITEMS + 1
    assert read_config(run.config).content == run.read_config()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ', "[1]", b"\xff", '"\ud800"', ""])
def test_json_that_is_no_mapping_is_refused(text):
    assert refused(text, read_json).startswith("file ")


@pytest.mark.parametrize("read", [read_yaml, read_json])
def test_only_regular_files_are_read(read):
    for path, make in {"fifo": os.mkfifo, "folder": os.mkdir, "missing": lambda _: None}.items():
        make(path)
        with pytest.raises(FirstlightError, match=rf"{path} (cannot be read|is not a regular file)"):
            read(Path(path))
    with pytest.raises(FirstlightError, match="is not a regular file"):
        read(Path("/dev/zero"))


def test_refusal_takes_little_memory_and_time():
    Path("file").write_text(BOMB)
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (300_000_000,) * 2)\n"
        "from pathlib import Path; from firstlight.engine.documents import read_yaml; read_yaml(Path('file'))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert "UsageError" in ended.stderr.splitlines()[-1]


def test_error_is_the_one_that_was_asked_for():
    for asked_for in (UsageError, CheckpointError):
        with pytest.raises(asked_for):
            read_yaml(Path("missing"), asked_for)
