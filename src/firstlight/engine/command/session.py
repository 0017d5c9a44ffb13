"""What holds for the whole of one command: which modules a config may import, and which messages are no news."""

import logging
import warnings
from importlib import import_module
from typing import Any

import jsonargparse
import torch
from jsonargparse.typing import register_type

from firstlight.engine import packages
from firstlight.errors import UsageError

__all__ = ["allow_imports", "import_packages", "instantiate_plainly", "quiet"]

ALLOWED = ("firstlight", "lightning.pytorch", "torch.optim", "torch.nn")


def allow_imports() -> None:
    """Let a config name classes of Lightning, torch and firstlight, and of packages that their owner added.

    A config cannot add one: importing a module runs it.

    Raises:
        UsageError: If a package that was added cannot be imported.
    """
    # else a run's config.yaml holds no device that can be read again
    register_type(torch.device, deserializer_exceptions=(RuntimeError, TypeError))
    own = import_packages()
    jsonargparse.set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*ALLOWED, *own])


def import_packages() -> list[str]:
    """Import the packages whose classes can be named without their module, and return those that are not ours.

    Classes in a package, in its ``models`` and in its ``data`` can be named without their module.

    Raises:
        UsageError: If such a package cannot be imported.
    """
    own = packages.own()
    import_module("firstlight.engine.sharding")  # it gives the Trainer a strategy by name
    for package in ("firstlight", *sorted(own)):
        for name in (package, f"{package}.models", f"{package}.data"):
            try:
                import_module(name)
            except (ImportError, SyntaxError) as error:
                if not (isinstance(error, ModuleNotFoundError) and error.name == name != package):
                    raise UsageError(f"{name} cannot be imported: {error}") from error
    return sorted(own)


def quiet() -> None:
    """Silence what is no news: Lightning's greetings, and warnings that are wrong here, each by its text.

    One warning is of a mistake, and ends a run.
    """
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
        # Lightning 2.6's own use of jsonargparse (which is held below 5) and torch
        r"(?s).*was deprecated in v4\.49\.0 and will be removed in v5\.0\.0",
        r"(?s).*By default only one JsonargparseDeprecationWarning",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message)
    # torch would go on, with the difference of every output and every target
    warnings.filterwarnings("error", "Using a target size")


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
