import errno
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import which

import pytest

from firstlight.engine.runs.conditions import commit_of_cwd


def git(*words):
    identity = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    return subprocess.check_output(["git", *identity, *words], text=True, stderr=subprocess.STDOUT).strip()


@pytest.fixture
def checkout():
    git("init", "-q")
    for name in ("file", "other"):
        Path(name).write_text("one\n")
    git("add", ".")
    git("commit", "-qm", "one")
    return git("rev-parse", "HEAD")


def test_no_checkout_has_no_commit():
    assert commit_of_cwd() is None


def test_commit_and_changes_are_found_from_any_folder_of_the_checkout(checkout, monkeypatch):
    Path("below").mkdir()
    monkeypatch.chdir("below")
    assert commit_of_cwd() == {"commit": checkout, "dirty": False}
    Path("untracked").write_text("new\n")
    assert commit_of_cwd() == {"commit": checkout, "dirty": False}
    Path("../file").write_text("two\n")
    assert commit_of_cwd() == {"commit": checkout, "dirty": True}
    git("commit", "-qam", "two")
    assert commit_of_cwd() == {"commit": git("rev-parse", "HEAD"), "dirty": False}


def test_second_worktree_has_its_own_commit_and_changes(checkout, monkeypatch):
    git("worktree", "add", "-q", "-b", "side", "side")
    Path("file").write_text("two\n")
    monkeypatch.chdir("side")
    assert commit_of_cwd() == {"commit": checkout, "dirty": False}


def test_nothing_that_the_checkout_names_is_run(checkout):
    program = Path("program")
    program.write_text(f"#!/bin/sh\ntouch {Path('ran').absolute()}\ncat\n")
    program.chmod(0o755)
    git("config", "core.fsmonitor", str(program.absolute()))
    git("config", "filter.spy.clean", str(program.absolute()))
    git("config", "diff.external", str(program.absolute()))
    Path(".gitattributes").write_text("* filter=spy\n")
    hook = Path(".git/hooks/post-index-change")
    hook.write_text(program.read_text())
    hook.chmod(0o755)
    Path("file").write_text("two\n")
    assert commit_of_cwd() == {"commit": checkout, "dirty": True}
    assert not Path("ran").exists()
    subprocess.run(["git", "status"], capture_output=True, check=True)
    assert Path("ran").exists()  # the trap works


@pytest.mark.skipif(sys.platform == "win32", reason="it needs a shell")
def test_temporary_folder_of_a_killed_process_is_removed_by_a_later_one(checkout, monkeypatch):
    Path("temporary").mkdir()
    Path("programs").mkdir()
    own = Path("programs/git")
    own.write_text(f'#!/bin/sh\n[ "$1" != status ] || kill -9 $PPID\nexec {which("git")} "$@"\n')
    own.chmod(0o755)
    environment = {"PATH": f"programs:{os.environ['PATH']}", "TMPDIR": "temporary"}
    code = "from firstlight.engine.runs.conditions import commit_of_cwd; commit_of_cwd()"
    killed = subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, check=False)
    (left,) = Path("temporary").iterdir()
    assert killed.returncode == -9
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "temporary")
    assert commit_of_cwd() == {"commit": checkout, "dirty": False}
    assert left.exists()  # its process might go on
    os.utime(left, (0, 0))
    commit_of_cwd()
    assert not left.exists()


def test_run_does_not_need_a_temporary_folder(checkout, did, monkeypatch):
    def fail(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", fail)
    did("fit", "--config=autograd_cubic", "--config=presets/limit")
    receipt = json.loads(Path("lightning_logs/autograd_cubic/version_0/run.json").read_text())
    assert receipt["git"] == {"commit": checkout, "dirty": None}
