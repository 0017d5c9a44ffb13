"""What the bits of a result depend on beside its config: versions, threads, device, processor, code, data."""

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from firstlight.engine.texts import printable
from firstlight.errors import UsageError

PREFIX = "firstlight-git-"
"""How the names of temporary folders begin."""
COMPARED = ("threads", "processes", "device", "processor")


def current_conditions(device: str, processes: int) -> dict[str, Any]:
    """Return the conditions of this command, all but its data."""
    import torch  # noqa: PLC0415  # slow to import, and who compares conditions need not have it

    if device == "cuda":
        processor = torch.cuda.get_device_name()
    else:
        processor = f"{_processor()}, {torch.backends.cpu.get_cpu_capability()}"
    return {
        "versions": {name: _version(name) for name in ("firstlight", "torch", "lightning")}
        | {"python": platform.python_version()},
        "git": commit_of_cwd(),
        "device": device,
        "processor": processor,
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def named_conditions(receipt: Mapping[str, Any]) -> dict[str, str]:
    """Return the conditions in a receipt by name, each as one word; those it does not hold are left out."""
    parts = (value if isinstance(value := receipt.get(key), dict) else {} for key in ("versions", "git", "data"))
    versions, git, data = parts
    found = {key: receipt.get(key) for key in COMPARED} | versions | {f"data.{key}": data[key] for key in data}
    if git.get("commit"):
        found["code"] = f"{git['commit']}"[:8] + " with changes" * bool(git.get("dirty"))
    return {key: printable(str(value)) for key, value in found.items() if value is not None}


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words which conditions differ between two receipts, of those that both hold."""
    was, is_now = named_conditions(before), named_conditions(now)
    return [f"{printable(key)} {was[key]} -> {is_now[key]}" for key in was if is_now.get(key, was[key]) != was[key]]


def compare_conditions(how: str, before: Mapping[str, Any], now: Mapping[str, Any], *, strict: bool) -> None:
    """Warn of conditions that differ from those of an earlier command; raise a ``UsageError`` instead if ``strict``."""
    if not (found := differences(before, now)):
        return
    text = f"{how} under other conditions: {', '.join(found)}"
    if strict:
        raise UsageError(f"{text} (--strict)")
    print(f"warning: {text}; the bits may differ", file=sys.stderr)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
    changes = None
    with contextlib.suppress(OSError):  # a run does not need a temporary folder that has room
        changes = _changes(git, commit, Path(git_dir, "index"), Path(common_dir, "objects"), checkout)
    return {"commit": commit, "dirty": None if changes is None else bool(changes.strip())}


def _changes(git: str, commit: str, index: Path, objects: Path, checkout: str) -> str | None:
    """Return what ``git status`` prints with an empty configuration."""
    _remove_leftovers()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder:
        (Path(folder) / "refs").mkdir()
        (Path(folder) / "HEAD").write_text(f"{commit}\n", encoding="ascii")
        if index.exists():
            shutil.copy2(index, folder)  # with its time, by which git knows which files it need not read
        where = {"GIT_DIR": folder, "GIT_WORK_TREE": checkout, "GIT_OBJECT_DIRECTORY": str(objects.resolve())}
        options = ("--porcelain", "--untracked-files=no", "--ignore-submodules=all")
        return _run(git, "status", *options, **where, GIT_INDEX_FILE=str(Path(folder, "index")))


def _remove_leftovers() -> None:
    """Remove the temporary folders of processes that were killed, once they are an hour old."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_mtime < time.time() - 3600:
                shutil.rmtree(folder, ignore_errors=True)


def _run(git: str, *arguments: str, **environment: str) -> str | None:
    """Return what git prints, or None if it fails."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run([git, *arguments], capture_output=True, text=True, check=False, env=clean | environment)  # noqa: S603
    return done.stdout if done.returncode == 0 else None
