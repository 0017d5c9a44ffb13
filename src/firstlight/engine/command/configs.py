"""Find a config by its name, from any directory, and read what stands on the command line about configs."""

from collections.abc import Iterable
from pathlib import Path

from firstlight.errors import UsageError, suggestion

__all__ = ["find_config", "find_sweep", "folders", "known"]

PACKAGE = Path(__file__).resolve().parents[2]
SWEEPS = "sweeps"
"""The folder among the configs whose files are no configs: they say what to search."""


def folders() -> list[Path]:
    """Return the folders of configs, the first the one that goes first: here, then the package's."""
    installed = PACKAGE / "configs"  # in a wheel; a checkout has them at its top
    return [Path("configs"), installed if installed.is_dir() else PACKAGE.parent.parent / "configs"]


def known() -> list[str]:
    """Return the names of all configs and presets that can be had by name: those here first, presets last."""
    names: Iterable[str] = (
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in folders()
        for path in sorted(folder.rglob("*.yaml"))
        if path.parent.name != SWEEPS
    )
    return sorted(dict.fromkeys(names), key=lambda name: "/" in name)


def find_config(name: str) -> Path:
    """Return the file that ``--config name`` means.

    Args:
        name: A path to a file, or the name of a config here (``configs/name.yaml``) or in the package.

    Raises:
        UsageError: If there is none, or it is no file that can be read.
    """
    path = Path(name)
    if path.is_dir() and path.suffix == "" and not any((folder / f"{name}.yaml").is_file() for folder in folders()):
        raise UsageError(f"--config {name}: this is a folder, not a file")
    candidates = [path, *(folder / f"{name}.yaml" for folder in folders())]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UsageError(f"--config {name}: no such file, and no config of that name{suggestion(name, known(), 'configs')}")


def find_sweep(name: str) -> Path:
    """Return the file that ``--sweep name`` means: a path, or the name of a file in ``configs/sweeps``.

    Raises:
        UsageError: If there is none.
    """
    candidates = [Path(name), *(folder / SWEEPS / f"{name}.yaml" for folder in folders())]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    names = sorted({path.stem for folder in folders() for path in (folder / SWEEPS).glob("*.yaml")})
    raise UsageError(f"--sweep {name}: no such file, and no sweep of that name{suggestion(name, names, 'sweeps')}")
