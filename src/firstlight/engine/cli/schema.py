"""A JSON Schema of configs, for editors, made from the parser itself."""

import json
from typing import Any

from jsonargparse.typing import register_type
from lightning.pytorch.cli import LightningArgumentParser
from torch import nn

from firstlight.engine.command.classes import import_packages
from firstlight.engine.command.parser import make_parser
from firstlight.engine.quiet import silence_lightning


def print_schema() -> None:
    """Print a JSON Schema of what ``fit --config`` takes.

    It holds the classes of firstlight, Lightning and torch, and of packages that their owner added. A config
    may be one of several, so the schema requires nothing: it only knows what there is.
    """
    register_type(nn.Module, dict)  # a network inside of something else is any mapping: there are hundreds of classes
    print(json.dumps(_tidy(json.loads(fit_parser().get_completion_script("jsonschema")))))


def fit_parser() -> LightningArgumentParser:
    """Return the parser of ``fit``; no imports are denied, as nothing that a user wrote is going to be parsed."""
    silence_lightning()
    import_packages()
    return make_parser("fit")


def _tidy(schema: Any) -> Any:
    """Return a schema for configs as they are written here: in parts, and with classes by their short names too."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    path = schema.get("const")
    if isinstance(path, str):  # jsonargparse writes a class's path as a constant
        return {"enum": [path.rpartition(".")[2], path]}
    tidy = {key: _tidy(value) for key, value in schema.items() if not (key == "required" and isinstance(value, list))}
    if isinstance(properties := tidy.get("properties"), dict):
        properties |= {f"{name}+": kind for name, kind in properties.items() if _is_list(kind)}  # adds to the list
    return tidy


def _is_list(kind: Any) -> bool:
    return isinstance(kind, dict) and (kind.get("type") == "array" or any(map(_is_list, kind.get("anyOf", []))))
