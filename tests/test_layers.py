"""Imports go one way: nothing imports a higher layer, not even by a string, and the lessons are the lowest layer."""

import ast
import re
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "src"
LAYERS = ["lessons", "engine", "engine.runs", "engine.callbacks", "engine.command", "engine.sweeps", "engine.cli"]
"""The layers from bottom to top; ``engine`` stands for the single files of the engine."""

PUBLIC = (SOURCE / "firstlight" / "__init__", SOURCE / "firstlight" / "__main__")  # they may import from everywhere
FILES = sorted(
    path.relative_to(SOURCE)
    for path in (SOURCE / "firstlight").rglob("*.py")
    if "project-template" not in path.parts and path.parent / path.stem not in PUBLIC
)


def layer(module):
    """Return the number of a module's layer."""
    name = module.removeprefix("firstlight.")
    own = [number for number, prefix in enumerate(LAYERS) if f"{name}.".startswith(f"{prefix}.")]
    return max(own, default=0)


def mentioned(file):
    """Return the modules of firstlight that a file imports, or names in a string other than a docstring."""
    nodes = list(ast.walk(ast.parse((SOURCE / file).read_text())))
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield from re.findall(r"firstlight(?:\.\w+)+", node.value)


def higher(file):
    """Return the modules of a higher layer that a file mentions."""
    own = layer(".".join(file.with_suffix("").parts))
    return {name for name in mentioned(file) if name.startswith("firstlight.") and layer(name) > own}


def test_no_file_mentions_a_module_of_a_higher_layer():
    assert {str(file): found for file in FILES if (found := higher(file))} == {}
