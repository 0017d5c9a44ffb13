"""Find a config by its name, from any directory, and read it."""

import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from firstlight.engine.command.settings import Setting, written_settings
from firstlight.engine.documents import load_yaml, read_text
from firstlight.errors import UsageError, suggestion

PACKAGE = Path(__file__).resolve().parents[2]
SWEEPS = "sweeps"
"""The folder among the configs whose files are no configs: they say what to search."""
STAGES = ("fit", "validate", "test", "predict")
SECTIONS = ("trainer", "checkpoint", "class_path", "init_args", "dict_kwargs")
"""Keys that name or hold settings and are none themselves: with nothing below them, they set nothing."""
TYPED = Path("--config")
"""Where settings are from that were typed as YAML or JSON in the place of a file's name."""


@dataclass(frozen=True)
class Config:
    """A config file that was read; its settings are below the key ``section``, if they are not at the top."""

    path: Path
    text: str
    content: dict[str, Any]
    section: str = ""

    @property
    def is_preset(self) -> bool:
        """Whether it goes on top of another config."""
        return self.path.parent.name == "presets" or self.path == TYPED

    @property
    def settings(self) -> list[Setting]:
        """All settings, each with its line."""
        settings = written_settings(self.text, str(self.path))
        return [replace(setting, key=setting.key.removeprefix(f"{self.section}.")) for setting in settings]


def read_config(path: Path) -> Config:
    """Read a config; raise a ``UsageError`` if it cannot be read, is not valid YAML or holds no settings."""
    text = read_text(path)
    return Config(path, text, load_yaml(text, path))


def read_settings(name: str, stage: str, flags: Collection[str]) -> Config:
    """Read what ``--config name`` gives a stage: all of a config, or its section for the stage, as Lightning writes it.

    The name is a path, the name of a config, or its text. A config must not set any of the flags.

    Raises:
        UsageError: If there is no such config, it cannot be read, or it sets what is a flag.
    """
    is_text = name.lstrip().startswith("{") or "\n" in name
    config = Config(TYPED, name, load_yaml(name, TYPED)) if is_text else read_config(find_config(name))
    if not config.content.keys().isdisjoint(STAGES):
        content = config.content.get(stage)
        if not isinstance(content, dict) or not config.content.keys() <= {*STAGES}:
            found = ", ".join(config.content)
            raise UsageError(f"{config.path} sets {found}: expected all settings of {stage} below the key {stage}")
        config = replace(config, content=content, section=stage)
    config = replace(config, content=_without_empty_sections(config.content))
    for flag in flags:
        if config.content.get(flag) is not None:
            place = next(setting.place for setting in config.settings if setting.key == flag)
            typed = shlex.join([f"--{flag}", str(config.content[flag])])
            raise UsageError(f"{flag} ({place}): this is a flag, not a setting of a config: {typed}")
    return config


def _without_empty_sections(content: Any) -> Any:
    if isinstance(content, list):
        return [_without_empty_sections(item) for item in content]
    if not isinstance(content, dict):
        return content
    kept = {key: item for key, item in content.items() if item is not None or key not in SECTIONS}
    return {key: _without_empty_sections(item) for key, item in kept.items()}


def config_folders() -> list[Path]:
    """Return the folders of configs, the first one searched first: the one here, then the package's."""
    installed = PACKAGE / "configs"  # in a wheel; a checkout has them at its top
    return [Path("configs"), installed if installed.is_dir() else PACKAGE.parent.parent / "configs"]


def config_names(*, own: bool = False) -> list[str]:
    """Return the names of all configs and presets: those here first, presets last; ``own`` are those here, if any."""
    here, package = config_folders()
    paths = {folder: sorted(folder.rglob("*.yaml")) for folder in (here, package)}
    if own and paths[here] and here.resolve() != package.resolve():
        del paths[package]
    names: Iterable[str] = (
        path.relative_to(folder).with_suffix("").as_posix()
        for folder in paths
        for path in paths[folder]
        if path.parent.name != SWEEPS and path.is_file() and not path.name.startswith(".")  # what an editor leaves
    )
    return sorted(dict.fromkeys(names), key=lambda name: ("/" in name) + name.startswith("presets/"))


def find_config(name: str) -> Path:
    """Return the file that ``--config`` means, a path or a name in a folder of configs; else raise a ``UsageError``."""
    if found := _first_file(name, ""):
        return found
    if Path(name).is_dir():
        raise UsageError(f"--config {name}: this is a folder, not a file")
    hint = suggestion(name, config_names(), "configs")
    raise UsageError(f"--config {name}: no such file, and no config of that name{hint}")


def find_sweep(name: str) -> Path:
    """Return the file that ``--sweep`` means, a path or a name in ``configs/sweeps``; else raise a ``UsageError``."""
    if found := _first_file(name, SWEEPS):
        return found
    names = sorted({path.stem for folder in config_folders() for path in (folder / SWEEPS).glob("*.yaml")})
    raise UsageError(f"--sweep {name}: no such file, and no sweep of that name{suggestion(name, names, 'sweeps')}")


def _first_file(name: str, subfolder: str) -> Path | None:
    candidates = [Path(name), *(folder / subfolder / f"{name}.yaml" for folder in config_folders())]
    return next((path for path in candidates if path.is_file()), None)
