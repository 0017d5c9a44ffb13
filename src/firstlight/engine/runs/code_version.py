"""The commit of the code that a run was started with. Nothing here needs torch."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def commit_of_cwd() -> dict[str, Any] | None:
    """Return the commit of the working directory's checkout, and whether a tracked file in it was changed.

    A checkout from somebody else may name programs in its configuration (``core.fsmonitor``, filters, hooks) that
    ``git status`` would run. So git only says where the repository is, which runs nothing, and the comparison is made
    with an empty configuration.
    """
    git = shutil.which("git")
    if git is None or not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        return None
    found = _run(git, "rev-parse", "HEAD", "--absolute-git-dir", "--git-common-dir", "--show-toplevel")
    if found is None:
        return None
    commit, git_dir, common_dir, checkout = found.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "refs").mkdir()
        (Path(folder) / "HEAD").write_text(f"{commit}\n", encoding="ascii")
        index = Path(git_dir, "index")
        if index.exists():
            shutil.copy2(index, folder)  # with its time, by which git knows which files it need not read
        objects = str(Path(common_dir, "objects").resolve())
        where = {"GIT_DIR": folder, "GIT_WORK_TREE": checkout, "GIT_OBJECT_DIRECTORY": objects}
        options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        changes = _run(git, "status", *options, **where, GIT_INDEX_FILE=str(Path(folder, "index")))
    return {"commit": commit, "dirty": None if changes is None else bool(changes.strip())}


def _run(git: str, *arguments: str, **environment: str) -> str | None:
    """Return what git prints, or None if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run([git, *arguments], capture_output=True, text=True, check=False, env=clean | environment)  # noqa: S603
    return done.stdout if done.returncode == 0 else None
