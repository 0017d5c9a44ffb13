"""What holds for the whole of one command: which modules a config may import, and which messages are no news."""

import logging
import os
import warnings
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import jsonargparse
import torch
from jsonargparse.typing import register_type

from firstlight.errors import UsageError

__all__ = ["allow_imports", "import_packages", "instantiate_plainly", "quiet"]

ALLOWED = ("firstlight", "lightning.pytorch", "torch.optim", "torch.nn")
VARIABLE = "FIRSTLIGHT_PACKAGES"


def allow_imports() -> None:
    """Let a config name classes of Lightning, torch and firstlight, and of packages that their owner added.

    A config cannot add one: importing a module runs it.

    Raises:
        UsageError: If a package that was added cannot be found.
    """
    # else a run's config.yaml holds no device that can be read again
    register_type(torch.device, deserializer_exceptions=(RuntimeError, TypeError))
    own = import_packages()
    jsonargparse.set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, *own])


def import_packages() -> list[str]:
    """Import the packages whose classes can be named without their module, and return those that are not ours.

    A package of one's own is added by installing it with an entry point in the group
    ``firstlight.packages``, or by the environment variable FIRSTLIGHT_PACKAGES (names, with commas
    between).

    Raises:
        UsageError: If such a package cannot be found.
    """
    own = {entry.value for entry in entry_points(group="firstlight.packages")}
    own |= {name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip()}
    for name in ("firstlight.models", "firstlight.data", *sorted(own)):
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise UsageError(f"{VARIABLE} names {name!r}, which cannot be imported: {error}") from error
    return sorted(own)


def quiet() -> None:
    """Silence what is no news: Lightning's greetings, and warnings that are wrong here, each by its text."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.callbacks.model_summary").setLevel(logging.INFO)  # off unless asked for
    for message in (
        # scores are logged once an epoch, not every log_every_n_steps
        r"The number of training batches \(\d+\) is smaller than the logging interval",
        # a config says so where a GPU would only wait
        r"GPU available but not used",
        # that is what --optimizer is for
        r".*`\w+\.configure_optimizers` will be overridden by `\w+\.configure_optimizers`",
        # a run that is only tested needs none of the callbacks that it was trained with
        r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided",
        r"You're loading a checkpoint outside the .fit. stage|.*loading a checkpoint outside the .fit. stage",
        # Lightning 2.6's own use of jsonargparse and torch
        r"\s*``?instantiate_classes",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message)


def instantiate_plainly(kind: type, *args: Any, **kwargs: Any) -> Any:
    """Build a model or data module from numbers that are nothing but numbers.

    A ``PositiveInt`` that jsonargparse parsed is a class of its own, which no checkpoint may hold.
    """
    return kind(*args, **{name: _plain(value) for name, value in kwargs.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value
