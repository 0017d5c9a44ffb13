"""Find a config by its name, from any directory, and read it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firstlight.engine.command.settings import Setting, written_settings
from firstlight.engine.documents import load_yaml, read_text
from firstlight.errors import UsageError, suggestion

__all__ = ["Config", "config_folders", "config_names", "find_config", "find_sweep", "read_config"]

PACKAGE = Path(__file__).resolve().parents[2]
SWEEPS = "sweeps"
"""The folder among the configs whose files are no configs: they say what to search."""


@dataclass(frozen=True)
class Config:
    """A config file that was read.

    Args:
        path: The file.
        text: What it holds.
        content: The same, as Python values.
    """

    path: Path
    text: str
    content: dict[str, Any]

    @property
    def is_preset(self) -> bool:
        """Whether it goes on top of another config."""
        return self.path.parent.name == "presets"

    @property
    def settings(self) -> list[Setting]:
        """All settings, each with its line."""
        return list(written_settings(self.text, str(self.path)))


def read_config(path: Path) -> Config:
    """Read a config.

    Raises:
        UsageError: If it cannot be read, or is not valid YAML, or holds no settings.
    """
    text = read_text(path)
    return Config(path, text, load_yaml(text, path))


def config_folders() -> list[Path]:
    """Return the folders of configs, the first one searched first: the one here, then the package's."""
    installed = PACKAGE / "configs"  # in a wheel; a checkout has them at its top
    return [Path("configs"), installed if installed.is_dir() else PACKAGE.parent.parent / "configs"]


def config_names() -> list[str]:
    """Return the names of all configs and presets: those here first, presets last."""
    names: Iterable[str] = (
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in config_folders()
        for path in sorted(folder.rglob("*.yaml"))
        if path.parent.name != SWEEPS
    )
    return sorted(dict.fromkeys(names), key=lambda name: "/" in name)


def find_config(name: str) -> Path:
    """Return the file that ``--config name`` means.

    Args:
        name: A path to a file, or the name of a config here (``configs/name.yaml``) or in the package.

    Raises:
        UsageError: If there is none, or it is a folder.
    """
    if found := _first_file(name, ""):
        return found
    if Path(name).is_dir():
        raise UsageError(f"--config {name}: this is a folder, not a file")
    hint = suggestion(name, config_names(), "configs")
    raise UsageError(f"--config {name}: no such file, and no config of that name{hint}")


def find_sweep(name: str) -> Path:
    """Return the file that ``--sweep name`` means: a path, or the name of a file in ``configs/sweeps``.

    Raises:
        UsageError: If there is none.
    """
    if found := _first_file(name, SWEEPS):
        return found
    names = sorted({path.stem for folder in config_folders() for path in (folder / SWEEPS).glob("*.yaml")})
    raise UsageError(f"--sweep {name}: no such file, and no sweep of that name{suggestion(name, names, 'sweeps')}")


def _first_file(name: str, subfolder: str) -> Path | None:
    candidates = [Path(name), *(folder / subfolder / f"{name}.yaml" for folder in config_folders())]
    return next((path for path in candidates if path.is_file()), None)
