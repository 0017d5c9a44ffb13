"""A run is one folder, ``lightning_logs/<name>/version_N``: make it, find it, read its config. Needs no torch."""

import contextlib
import functools
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from firstlight.engine.documents import RUN_CONFIG, read_json, read_yaml
from firstlight.engine.files import make_folder
from firstlight.engine.program import program
from firstlight.engine.texts import printable
from firstlight.errors import CheckpointError, FirstlightError, UsageError, suggestion

Taken = TypeVar("Taken")

LOGS = "lightning_logs"
ARCHIVE = "lightning_archive"
"""Folder beside it, for runs that are kept but not listed."""
BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"
SWEEP_LOG = "sweep.log"
"""What the trials of a sweep print, beside their runs."""
RECEIPT = {
    "commands": list,
    "history": list,
    "versions": dict,
    "scores": dict,
    "best": dict,
    "status": str,
    "start": str,
    "note": str,
    "host": str,
    "pid": int,
}
"""Types of the fields of a receipt that are read again."""


@dataclass(frozen=True)
class Run:
    """A run's folder and what it holds."""

    folder: Path

    @property
    def name(self) -> str:
        """Run name and version, ``mlp/version_0``."""
        return f"{self.folder.parent.name}/{self.folder.name}"

    @property
    def version(self) -> int:
        """The run's number among the runs with its name."""
        return int(self.folder.name.removeprefix("version_"))

    @property
    def config(self) -> Path:
        """The complete config that the run was started with, as ``--config`` takes it."""
        return self.folder / RUN_CONFIG

    @property
    def checkpoints(self) -> Path:
        """Folder of ``best.ckpt`` and ``last.ckpt``."""
        return self.folder / "checkpoints"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return self.checkpoints / BEST_CHECKPOINT

    @property
    def last(self) -> Path:
        """The checkpoint of the last step."""
        return self.checkpoints / LAST_CHECKPOINT

    def as_flag(self, flag: str) -> str:
        """Return a flag with this run as its value, to be pasted into a shell in the working directory."""
        is_here = Path(LOGS, self.name).absolute() == self.folder.absolute()
        value = self.name if is_here else str(relative_to_cwd(self.folder))
        return shlex.quote(f"{flag}={value}") if value.startswith("-") else shlex.join([flag, value])

    def read_config(self) -> dict[str, Any]:
        """Read ``config.yaml``; raise a ``CheckpointError`` if it is missing or damaged."""
        return read_yaml(self.config, CheckpointError)

    def read_receipt(self) -> dict[str, Any]:
        """Read ``run.json``, without the fields that are not what a receipt has; none if it is missing or damaged."""
        content = self.read_scores("run")
        for key, kind in RECEIPT.items():
            if key in content and not isinstance(content[key], kind):
                del content[key]
        return content

    def read_scores(self, stage: str) -> dict[str, Any]:
        """Read ``validate.json`` or ``test.json``; nothing if it is missing or damaged."""
        try:
            return read_json(self.folder / f"{stage}.json")
        except FirstlightError:
            return {}

    def __str__(self) -> str:
        return str(relative_to_cwd(self.folder))


def is_run_name(name: str) -> bool:
    """Return whether a run can have a name: TensorBoard would write below the value of a variable in it."""
    is_part = name == Path(name).name != ".." and name == os.path.expandvars(name)
    return is_part and name.isprintable() and not re.fullmatch(r"version_\d+", name)


def claim_run_folder(root: Path, name: str) -> Run:
    """Make the folder of a new run, even if several runs start at the same time."""
    parent = root / LOGS / name
    taken = [*_folders(root, name), *_folders(root, name, ARCHIVE)]  # so that an archived run can be put back
    number = max((run.version for run in taken), default=-1) + 1
    make_folder(parent)  # by itself: a link to nowhere would look like a version that another process has just made
    while True:
        try:
            make_folder(parent / f"version_{number}", exist_ok=False)
        except FileExistsError:  # another process has just made it
            number += 1
        else:
            return Run(parent / f"version_{number}")


def discard_unused_folder(run: Run) -> None:
    """Remove the folder of a run that ended before its config was written: it cannot be resumed."""
    if not run.config.exists():
        shutil.rmtree(run.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            run.folder.parent.rmdir()  # if no other run has this name
            run.folder.parents[1].rmdir()


def list_runs(root: Path, name: str | None = None) -> list[Run]:
    """Return the runs with a name, or all runs, the latest last: by the start in ``run.json``, then by version.

    The times of files do not count, as a copy has others, nor a start over an hour in the future, by a wrong clock.
    """
    return [run for run, _ in read_runs(root, name, lambda _run, _receipt: None)]


def read_runs(root: Path, name: str | None, take: Callable[[Run, dict[str, Any]], Taken]) -> list[tuple[Run, Taken]]:
    """Return the runs that :func:`list_runs` does, each with what is taken from its receipt.

    To keep thousands of receipts would double the time, as Python looks through them for garbage.
    """
    found = [
        (receipt.get("start", ""), run.version, run, take(run, receipt))
        for run in _folders(root, name)
        for receipt in [run.read_receipt()]
    ]
    latest = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # clocks of machines that share a disk may differ
    found.sort(key=lambda each: (each[0] if each[0] <= latest else "", each[1]))
    return [(run, taken) for _, _, run, taken in found]


def _folders(root: Path, name: str | None, logs: str = LOGS) -> list[Run]:
    """Return the runs with a name, or all runs, in the order of their names; say which folders cannot be read."""
    parents = [root / logs / name] if name is not None else _list_folder(root / logs)
    folders = [folder for parent in parents for folder in _list_folder(parent)]
    return [Run(folder) for folder in folders if re.fullmatch(r"version_\d+", folder.name)]


def _list_folder(folder: Path) -> list[Path]:
    """Return the folders in a folder, in the order of their names."""
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries if entry.is_dir())]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        _warn_once(f"{printable(str(folder))} is left out: {error.strerror}")
        return []


@functools.cache
def _warn_once(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def find_run(root: Path, reference: str | None = None) -> Run:
    """Return the run that a reference names, or the latest of all.

    Args:
        root: Folder that holds ``lightning_logs``.
        reference: ``mlp`` (the latest with that name), ``mlp/version_3``, or a run's folder.

    Raises:
        UsageError: If there is no such run.
    """
    if reference is None:
        runs = list_runs(root)
        if not runs:
            raise UsageError(f"no run in {root / LOGS}: train one first, with {program()} fit --config NAME")
        return _latest(runs)
    for folder in (Path(reference), root / LOGS / reference):
        if re.fullmatch(r"version_\d+", folder.name) and folder.is_dir():
            return Run(folder)
    if Path(reference).absolute().parent.name == LOGS and Path(reference).is_dir():  # what a shell completes
        root, reference = Path(reference).absolute().parents[1], Path(reference).name
    runs = list_runs(root, reference.strip("/")) if reference.strip("/.") else []
    if not runs:
        names = sorted({run.folder.parent.name for run in list_runs(root)})
        hint = suggestion(reference, names, "runs")
        if Path(reference).is_dir() and (LOGS in Path(reference).parts or Run(Path(reference)).config.is_file()):
            hint = "; the folder of a run is called version_N"
        raise UsageError(f"no run {reference!r} in {root / LOGS}{hint}")
    return _latest(runs)


def run_of_checkpoint(path: Path) -> Run | None:
    """Return the run that a checkpoint belongs to, if its folder is that of a run."""
    run = Run(path.absolute().parent.parent)
    return run if path.absolute().parent == run.checkpoints and run.config.is_file() else None


def relative_to_cwd(path: Path) -> Path:
    """Return a path relative to the working directory, if it lies below it."""
    relative = Path(os.path.relpath(path))
    return path if ".." in relative.parts else relative


def _latest(runs: list[Run]) -> Run:
    """Return the latest run that trained; other folders hold only scores of a checkpoint from elsewhere."""
    return next((run for run in reversed(runs) if run.checkpoints.is_dir()), runs[-1])
