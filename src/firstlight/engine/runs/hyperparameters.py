"""Hyperparameters in checkpoints: plain values, as a config has them, turned back by the annotations of a class."""

import collections.abc
import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from firstlight.engine.packages import import_class
from firstlight.errors import CheckpointError, UsageError
from firstlight.tasks import Task

PLAIN = (types.NoneType, bool, str, bytes, complex, Tensor, torch.dtype, torch.device, torch.Size)
OBJECTS = (nn.Module, Optimizer, LRScheduler)
"""Classes of which a file may name a subclass, with its arguments."""
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"


def plain_hyperparameters(
    part_class: type, hparams: Mapping[str, Any], written: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the hyperparameters of a model or a data module as a checkpoint holds them.

    An enum becomes its name, a path becomes text, a dataclass or a named tuple becomes a mapping; any other object,
    such as a layer or an optimizer's class, becomes what the config says in its place. Lightning's own keys are added
    where its ``load_from_checkpoint`` has to turn them back too, as in the checkpoints of its command line.

    Raises:
        UsageError: If one is an object that the config does not describe.
    """
    plain: dict[str, Any] = {}
    for name, value in hparams.items():
        try:
            plain[name] = _to_plain(value)
        except TypeError:
            if name not in (arguments := written()):
                raise UsageError(
                    f"{part_class.__name__}: the hyperparameter {name!r} is of the class {type(value).__name__}, "
                    f"which no checkpoint can hold\nleave it out: self.save_hyperparameters(ignore=[{name!r}])"
                ) from None
            plain[name] = arguments[name]
    if repr(plain) == repr(dict(hparams)) and issubclass(part_class, Task | LightningDataModule):
        return plain
    own = inspect.signature(part_class).parameters
    inherited = {name for base in part_class.__mro__[1:] for name in inspect.signature(base).parameters} - own.keys()
    plain = {name: value for name, value in plain.items() if name not in inherited}  # the class passes them on
    class_path = f"{part_class.__module__}.{part_class.__qualname__}"
    return {**plain, "_class_path": class_path, "_instantiator": INSTANTIATOR}


def _to_plain(value: Any) -> Any:
    """Return a value that torch loads with ``weights_only``; raise a ``TypeError`` for an object of another kind."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "_asdict"):  # a named tuple
        value = value._asdict()
    for kind, plain in AS_PLAIN.items():
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(type(value).__name__)


AS_PLAIN: dict[type | tuple[type, ...], Callable[[Any], Any]] = {
    Enum: lambda value: value.name,
    PurePath: str,
    PLAIN: lambda value: value,
    int: int,
    float: float,
    Mapping: lambda value: {_to_plain(key): _to_plain(item) for key, item in value.items()},
    list: lambda value: [*map(_to_plain, value)],
    tuple: lambda value: (*map(_to_plain, value),),
    set: lambda value: {*map(_to_plain, value)},
}
"""How a value of a class becomes plain; the first that fits. An ``IntEnum`` is an integer too, ``True`` is one."""


def from_plain(part_class: type, arguments: Mapping[str, Any], file: str) -> dict[str, Any]:
    """Return arguments of a class as its annotations say: the opposite of :func:`plain_hyperparameters`.

    Raises:
        CheckpointError: If one names a class that must not be imported, or that there is not.
    """
    hints = _hints(part_class)
    return {name: _convert(value, hints.get(name, Any), file) for name, value in arguments.items()}


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind if hasattr(kind, "_asdict") else kind.__init__)  # type: ignore[misc]  # that class's own
    except (NameError, TypeError):  # annotations of names that are imported for a type checker only
        return {}


def _convert(value: Any, hint: Any, file: str) -> Any:
    """Convert a value to its annotated type; one that needs no conversion is returned as it is."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        results = (_convert(value, each, file) for each in inner)
        return next((result for result in results if result is not value), value)
    if isinstance(hint, type) and origin is None:
        return _convert_to_class(value, hint, file)
    if isinstance(value, str | dict) and origin in (type, collections.abc.Callable):
        return _convert_to_callable(value, hint, file)
    if isinstance(value, list | tuple) and origin in (list, tuple):
        kinds = inner if origin is tuple and inner[-1:] != (...,) else inner[:1] * len(value)
        return origin(_convert(item, kind, file) for item, kind in zip(value, kinds, strict=False))
    if isinstance(value, dict) and origin is dict:
        return {_convert(key, inner[0], file): _convert(item, inner[1], file) for key, item in value.items()}
    return value


def _convert_to_callable(value: str | dict[str, Any], hint: Any, file: str) -> Any:
    """Return a class, or a function that makes an object of it, such as Lightning's ``OptimizerCallable``."""
    made = (kind for each in typing.get_args(hint)[-1:] for kind in (*typing.get_args(each), each))
    base = next((kind for kind in made if isinstance(kind, type) and issubclass(kind, OBJECTS)), None)
    if base is None:
        raise CheckpointError(f"{file} has an argument of the kind {hint}, which no file may choose")
    kind, arguments = _class_and_arguments(value, base, file)
    return kind if typing.get_origin(hint) is type else functools.partial(kind, **arguments)


def _convert_to_class(value: Any, hint: type, file: str) -> Any:
    if isinstance(value, str) and issubclass(hint, Enum):
        return hint.__members__.get(value, value)
    if isinstance(value, str) and issubclass(hint, PurePath):
        return Path(value)
    if isinstance(value, list) and hint is tuple:
        return tuple(value)
    if isinstance(value, dict) and (dataclasses.is_dataclass(hint) or hasattr(hint, "_asdict")):
        return hint(**from_plain(hint, value, file))
    if isinstance(value, dict | str) and issubclass(hint, OBJECTS):
        kind, arguments = _class_and_arguments(value, hint, file)
        return kind(**arguments)
    return value


def _class_and_arguments(value: str | dict[str, Any], base: type, file: str) -> tuple[type, dict[str, Any]]:
    """Return a class below another, and its arguments, from what a config has in their place."""
    described: dict[str, Any] = {"class_path": value} if isinstance(value, str) else value
    kind: type = import_class(str(described.get("class_path")), base, file)
    return kind, from_plain(kind, described.get("init_args") or {}, file)
