"""Every setting with the place it was typed or written in, so that an error can name it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from firstlight.errors import UsageError

__all__ = ["Setting", "read_settings"]

LAYERS = ("init_args", "dict_kwargs")  # nesting that LightningCLI lets one leave out


@dataclass(frozen=True)
class Setting:
    """One value for one key.

    Args:
        key: Dotted, without ``init_args``: ``model.lr``. A class is the value of ``model`` itself.
        value: As it was given.
        place: ``mlp.yaml, line 8``, or nothing for the command line.
    """

    key: str
    value: Any
    place: str = ""


def read_settings(configs: Sequence[Path], flags: Sequence[str]) -> list[Setting]:
    """Return all settings in the order in which they count, the last the strongest.

    Raises:
        UsageError: If a config is no text, no YAML, empty, or no mapping.
    """
    settings = [setting for config in configs for setting in _of_config(config)]
    return [*settings, *_of_flags(flags)]


def _of_config(path: Path) -> Iterator[Setting]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8 (byte {error.start}), so no config") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UsageError(f"{path}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is no YAML: {str(error).splitlines()[0]}") from error
    if content is None:
        raise UsageError(f"{path} is empty")
    if not isinstance(node, yaml.MappingNode):
        raise UsageError(f"{path} holds no settings: expected lines like 'trainer:', got {str(content)[:40]!r}")
    yield from _of_node(node, "", path)


def _of_node(node: yaml.Node, key: str, path: Path) -> Iterator[Setting]:
    if isinstance(node, yaml.MappingNode):
        for name, child in node.value:
            nested = key if name.value in (*LAYERS, "class_path") else f"{key}.{name.value}".strip(".")
            if name.value not in LAYERS:
                yield Setting(nested, _plain(child), f"{path}, line {name.start_mark.line + 1}")
            yield from _of_node(child, nested, path)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _of_node(child, key, path)


def _plain(node: yaml.Node) -> Any:
    return node.value if isinstance(node, yaml.ScalarNode) else yaml.safe_load(yaml.serialize(node))


def _of_flags(flags: Sequence[str]) -> Iterator[Setting]:
    rest = list(flags)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
            parts = [part for part in name.split(".") if part not in (*LAYERS, "class_path")]
            yield Setting(".".join(parts), value)
