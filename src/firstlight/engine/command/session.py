"""Which packages a config may import from."""

from importlib import import_module

import jsonargparse
import torch
from jsonargparse.typing import register_type

from firstlight.engine import packages
from firstlight.errors import UsageError

__all__ = ["allow_imports", "import_packages"]

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
