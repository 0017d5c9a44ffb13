"""What holds for a whole process: which packages a config may import from, and which warnings are silenced."""

import logging
import warnings
from importlib import import_module

import jsonargparse
import torch
from jsonargparse.typing import register_type

from firstlight.engine import packages
from firstlight.errors import UsageError

__all__ = ["allow_imports", "import_packages", "quiet"]

ALLOWED = ("firstlight", "lightning.pytorch", "torch.optim", "torch.nn")


def allow_imports() -> None:
    """Let configs name classes of Lightning, torch and firstlight, and of packages that a user added.

    A config cannot add a package: importing a module runs it.

    Raises:
        UsageError: If a package that was added cannot be imported.
    """
    # else a run's config.yaml holds no device that can be read again
    register_type(torch.device, deserializer_exceptions=(RuntimeError, TypeError))
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
        for name in (package, f"{package}.models", f"{package}.data"):
            try:
                import_module(name)
            except (ImportError, SyntaxError) as error:
                if not (isinstance(error, ModuleNotFoundError) and error.name == name != package):
                    raise UsageError(f"{name} cannot be imported: {error}") from error
    return added


def quiet() -> None:
    """Silence what Lightning logs when it starts, and warnings that do not apply here, each by its text.

    One warning becomes an error: targets that do not have the shape of the outputs.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.callbacks.model_summary").setLevel(logging.INFO)  # off unless asked for
    for message in (
        # scores are logged once an epoch, not every log_every_n_steps
        r"The number of training batches \(\d+\) is smaller than the logging interval",
        # a config says so where a GPU would only wait
        r"GPU available but not used",
        # a run that is only tested needs none of the callbacks that it was trained with
        r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint need to be provided",
        r"You're loading a checkpoint outside the .fit. stage|.*loading a checkpoint outside the .fit. stage",
        # Lightning 2.6's own use of torch
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message)
    # torch would go on, with the difference of every output and every target
    warnings.filterwarnings("error", "Using a target size")
