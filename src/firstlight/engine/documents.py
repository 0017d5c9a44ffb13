"""Read YAML and JSON files that anybody may have written: size and depth are checked before anything is built.

A config, a sweep file, a run's ``run.json`` or ``config.yaml`` may be damaged, hostile or simply another program's.
Each of them is read here. Nothing here needs torch.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from firstlight.engine.texts import printable
from firstlight.errors import FirstlightError, UsageError

PIECE = 2**16  # bytes: to ask for the most that a file may hold would allocate it
MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 100_000
"""Values in a file, each counted as often as aliases repeat it."""
MAX_ITEMS = 1_000
"""Values in a list: jsonargparse copies a list for each value in it, so 10,000 of them would take minutes."""
RUN_CONFIG = "config.yaml"
"""Name of the config that a run writes. Its lists may be longer, as those that a class has by default are in it."""

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, error: type[FirstlightError] = UsageError) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        FirstlightError: If it cannot be read, is not a regular file of UTF-8 text, is too large or nested too deeply,
            repeats a key, refers to itself, or does not hold a mapping. The message names file and line.
    """
    return load_yaml(read_text(path, error), path, error)


def load_yaml(text: str, path: Path, error: type[FirstlightError] = UsageError) -> dict[str, Any]:
    """Return the mapping that the text of a YAML file holds; raise as :func:`read_yaml` does."""
    try:
        if fault := next(_faults(text, MAX_NODES if path.name == RUN_CONFIG else MAX_ITEMS), None):
            line, reason = fault
            raise error(f"{path}, line {line}: {reason}")
        content = yaml.load(text, Loader)  # noqa: S506  # a safe loader
    except yaml.MarkedYAMLError as broken:
        broken = _in_plain_words(text, broken)
        end = text.count("\n") + 1  # the mark of an unexpected end is one line below
        line = min(broken.problem_mark.line + 1, end) if broken.problem_mark else 1
        raise error(f"{path}, line {line}: {broken.problem}") from broken
    except (yaml.YAMLError, ValueError) as broken:  # a date or a number that there is not
        raise error(f"{path} is not valid YAML: {printable(str(broken).partition(chr(10))[0])}") from broken
    if content is None:
        raise error(f"{path} is empty")
    return {str(key): value for key, value in _checked(content, path, error).items()}


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping that a JSON file holds; raise as :func:`read_yaml` does."""
    text = read_text(path, FirstlightError)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as broken:
        raise FirstlightError(f"{path} is not valid JSON: {broken}") from broken
    return _checked(content, path, FirstlightError)


def read_text(path: Path, error: type[FirstlightError] = UsageError) -> str:
    """Return the text of a regular file; raise if it cannot be read, is too large or is not UTF-8."""
    try:
        # O_NONBLOCK: to open a FIFO for reading would wait for a writer
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise error(f"{path} is not a regular file")
            content = b""
            while len(content) <= MAX_BYTES and (piece := os.read(file, PIECE)):
                content += piece
        finally:
            os.close(file)
    except OSError as refused:
        raise error(f"{path} cannot be read: {refused.strerror}") from refused
    if len(content) > MAX_BYTES:
        raise error(f"{path} is larger than {MAX_BYTES:,} bytes")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as broken:
        raise error(f"{path} is not text in UTF-8 (byte {broken.start})") from broken


def _checked(content: Any, path: Path, error: type[FirstlightError]) -> dict[Any, Any]:
    """Return a mapping; refuse anything else."""
    if not isinstance(content, dict):
        got = printable(str(content)[:40])
        raise error(f"{path} holds no settings: expected lines like 'trainer:', got {got!r}")
    return content


def _in_plain_words(text: str, error: yaml.MarkedYAMLError) -> yaml.MarkedYAMLError:
    """Return what PyYAML's own parser says of a text that is not valid: more than libyaml, and the same everywhere."""
    try:
        for _ in yaml.parse(text, yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as plainer:
        return plainer
    return error


def _faults(text: str, max_items: int) -> Iterator[tuple[int, str]]:
    """Yield the lines in which a YAML text must not be trusted, and why; its events take no more room than the text."""
    open_nodes: list[_Node] = [_Node()]
    sizes: dict[str | None, int] = {}  # nodes below an anchor, as often as they will be there
    for event in yaml.parse(text, Loader):
        line, node = event.start_mark.line + 1 if event.start_mark else 1, _Node()
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                yield line, f"*{event.anchor} refers to what it is a part of"
                return
            node.size = sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            parent = open_nodes[-1]
            if parent.expects_key and (first := parent.keys.setdefault(event.value, line)) != line:
                yield line, f"{printable(event.value)!r} is set twice, first in line {first}"
            node.anchor = event.anchor
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append(_Node(event.anchor, is_mapping=isinstance(event, yaml.MappingStartEvent)))
            sizes.pop(event.anchor, None)
            if len(open_nodes) > MAX_DEPTH:
                yield line, f"nested more than {MAX_DEPTH} levels deep"
            continue
        elif isinstance(event, yaml.CollectionEndEvent):
            node = open_nodes.pop()
        else:
            continue
        sizes[node.anchor] = node.size
        open_nodes[-1].add(node)
        if open_nodes[-1].size > MAX_NODES:
            yield line, f"more than {MAX_NODES:,} values"
        if not open_nodes[-1].is_mapping and open_nodes[-1].count > max_items:
            yield line, f"more than {max_items:,} values in a list"


class _Node:
    """A mapping or a list whose end has not come yet."""

    def __init__(self, anchor: str | None = None, *, is_mapping: bool = False) -> None:
        self.anchor, self.size, self.count = anchor, 1, 0
        self.is_mapping = self.expects_key = is_mapping
        self.keys: dict[str, int] = {}

    def add(self, node: "_Node") -> None:
        """Count a key or a value that has ended: in a mapping they take turns."""
        self.size += node.size
        self.count += 1
        self.expects_key = self.is_mapping and not self.expects_key
