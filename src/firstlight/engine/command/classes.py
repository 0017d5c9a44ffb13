"""The classes that a config can name, the packages that they may come from, and how values are written."""

import inspect
import warnings
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from importlib import import_module
from typing import Any

import jsonargparse
import torch
import yaml
from jsonargparse.typing import register_type
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from firstlight.engine import packages
from firstlight.engine.command.failures import own_line
from firstlight.engine.program import PACKAGES
from firstlight.errors import UsageError

BASES: dict[str, type] = {
    "model": LightningModule,
    "data": LightningDataModule,
    "optimizer": Optimizer,
    "lr_scheduler": LRScheduler,
    "trainer.callbacks": Callback,
    "trainer.logger": Logger,
}
"""Keys whose value is a class, each with the base of the classes that it takes."""
UNSERIALIZED = "Unable to serialize instance "
"""What jsonargparse writes before a value that may be a callable, and has no import path."""
ALLOWED = ("firstlight", "lightning.pytorch", "torch.optim", "torch.nn")


def choices(key: str) -> list[type]:
    """Return the classes that a key takes, of all modules that are imported; none for a key that takes no class."""
    return [kind for kind in _subclasses(key) if not inspect.isabstract(kind) and not kind.__name__.startswith("_")]


def find_class(key: str, name: str) -> type | None:
    """Return the class of a name, with or without its module, among those below a key's base; None if there is none."""
    return next((kind for kind in _subclasses(key) if kind.__name__ == name.rpartition(".")[2]), None)


def _subclasses(key: str) -> Iterator[type]:
    bases = [BASES[key]] if key in BASES else []
    while bases:
        kinds: list[type] = bases.pop().__subclasses__()
        yield from kinds
        bases += kinds


def allow_imports() -> None:
    """Let configs name classes of Lightning, torch and firstlight, and of packages that a user added.

    A config cannot add a package: importing a module runs it.

    Raises:
        UsageError: If a package that was added cannot be imported.
    """
    # else a run's config.yaml holds no device that can be read again
    register_type(torch.device, deserializer_exceptions=(RuntimeError, TypeError))
    jsonargparse.set_dumper("yaml", _dump)
    warnings.filterwarnings("ignore", f"\\s*{UNSERIALIZED}")
    added = import_packages()
    jsonargparse.set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, *added])


def import_packages() -> list[str]:
    """Import firstlight and the packages that a user added, and return the names of the latter.

    Classes in a package, in its ``models`` and in its ``data`` can then be named without their module.

    Raises:
        UsageError: If such a package cannot be imported.
    """
    added = sorted(packages.added_packages())
    import_module("firstlight.engine.sharding")  # it gives the Trainer a strategy by name
    for package in ("firstlight", *added):
        if not all(map(str.isidentifier, package.split("."))):
            raise UsageError(f"{PACKAGES} has {package!r}: expected names of packages, like my_research")
        for name in (package, f"{package}.models", f"{package}.data"):
            try:
                import_module(name)
            except Exception as error:  # a module of the user's own may raise anything
                is_missing = isinstance(error, ModuleNotFoundError) and error.name == name
                if is_missing and name != package:
                    continue  # not every package has models and data
                line = own_line(error)
                hint = "\nFIRSTLIGHT_DEBUG=1 shows the traceback" if line else ""
                if is_missing:
                    hint = "\nset PYTHONPATH to the folder that it is in"
                raise UsageError(f"{name} cannot be imported: {getattr(error, 'msg', error)}{line}{hint}") from error
    return added


class _Dumper(yaml.SafeDumper):
    """Write values that are not of the plain type that is annotated, such as ``interval: str = Interval.step``."""


_Dumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))
_Dumper.add_multi_representer(timedelta, lambda dumper, duration: dumper.represent_data(str(duration)))
# a PositiveFloat stays one where another model takes its place, whose argument is a float
_Dumper.add_multi_representer(float, lambda dumper, number: dumper.represent_float(float(number)))
_Dumper.add_multi_representer(int, lambda dumper, number: dumper.represent_int(int(number)))
_Dumper.add_representer(str, lambda dumper, text: dumper.represent_str(_as_it_was(text)))


def _as_it_was(text: str) -> str:
    """Return a string as it was before jsonargparse took it for a callable, as which it has no import path."""
    original = text.removeprefix(UNSERIALIZED)
    return text if original.startswith("<") else original


def _dump(data: Any) -> str:
    return str(yaml.dump(data, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False))
