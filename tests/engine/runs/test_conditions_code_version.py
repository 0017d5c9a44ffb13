import subprocess
from pathlib import Path

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
