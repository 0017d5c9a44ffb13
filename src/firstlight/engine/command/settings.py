"""Settings by dotted key, each with its place, so that an error can name file and line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from firstlight.engine.documents import Loader

NESTING = ("init_args", "dict_kwargs", "class_path")
"""Parts of a key that flags and messages leave out."""


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


def short_key(key: str) -> str:
    """Return a key as it is typed: ``model.init_args.lr`` gives ``model.lr``."""
    return ".".join(part for part in key.split(".") if part not in NESTING)


def flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested settings, without ``init_args``."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from flatten(item, key if name == "init_args" else f"{key}.{name}".strip("."))
    else:
        yield key, value


def typed_settings(flags: Sequence[str]) -> Iterator[Setting]:
    """Yield the settings in flags, in order."""
    rest = list(flags)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if not equals:
                value = rest.pop(0) if rest and not rest[0].startswith("--") else ""
            yield Setting(short_key(name.removesuffix("+")), value)


def split_files(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the flags among some words, with their values, and the words that are neither."""
    flags, files, rest = [], [], list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            files.append(word)
            continue
        flags.append(word)
        if "=" not in word and rest and not rest[0].startswith("--"):
            flags.append(rest.pop(0))
    return flags, files


def written_settings(text: str, file: str) -> Iterator[Setting]:
    """Yield the settings in the text of a config that was read without an error, in order, each with its line."""
    node = yaml.compose(text, Loader=Loader)
    if node:
        yield from _of_node(node, "", file)


def _of_node(node: yaml.Node, key: str, file: str) -> Iterator[Setting]:
    if isinstance(node, yaml.MappingNode):
        for name, child in node.value:
            nested = key if name.value in NESTING else f"{key}.{name.value}".strip(".")
            if name.value not in ("init_args", "dict_kwargs"):
                yield Setting(nested, _value(child), f"{file}, line {name.start_mark.line + 1}")
            yield from _of_node(child, nested, file)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            yield from _of_node(child, key, file)


def _value(node: yaml.Node) -> Any:
    if node.tag == "tag:yaml.org,2002:null":
        return None
    return node.value if isinstance(node, yaml.ScalarNode) else Loader("").construct_document(node)


def as_list(value: Any) -> list[Any]:
    """Return a list of what a setting holds: one, several or none."""
    return list(value) if isinstance(value, list) else [value] if value is not None else []


def prints_only(flag: str) -> bool:
    """Return whether a flag asks for something to read, which needs no run."""
    name = flag.partition("=")[0]
    return name in ("-h", "--help", "--print_config") or (name.startswith("--") and name.endswith(".help"))
