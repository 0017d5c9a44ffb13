"""Which packages a config or a checkpoint may import from: importing a module runs it, so a file must not choose."""

import os
import sys
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import TypeVar

from firstlight.engine.program import PACKAGES
from firstlight.engine.texts import in_short
from firstlight.errors import CheckpointError, FirstlightError, suggestion

Kind = TypeVar("Kind")


def added_packages() -> set[str]:
    """Return the packages that a user added to firstlight.

    They are those in the environment variable FIRSTLIGHT_PACKAGES (names separated by commas); if it is not set, all
    that were installed with an entry point in the group ``firstlight.packages``.
    """
    if PACKAGES in os.environ:
        return {name.strip() for name in os.environ[PACKAGES].split(",") if name.strip()}
    return {entry.value for entry in entry_points(group="firstlight.packages")}


def import_class(name: str, base: type[Kind], file: str) -> type[Kind]:
    """Return the class that a file names: of firstlight, of an added package, or of a module already imported.

    Raises:
        CheckpointError: If its module must not be imported, or there is no such class.
    """
    module_name, _, class_name = name.rpartition(".")
    package = module_name.partition(".")[0]
    module = sys.modules.get(module_name)
    if module is None:
        if not any(f"{module_name}.".startswith(f"{trusted}.") for trusted in ("firstlight", *added_packages())):
            raise CheckpointError(
                f"{file} is of the class {name!r}, which is not imported because a file says so\n"
                f"import {module_name} first, or add your package with {PACKAGES}={package}"
            )
        try:
            module = import_module(module_name)
        except Exception as error:  # a module of the user's own may raise anything
            hint = "" if isinstance(error, ModuleNotFoundError) else "\nFIRSTLIGHT_DEBUG=1 shows the traceback"
            reason = f"which cannot be imported: {in_short(error)}{hint}"
            raise CheckpointError(f"{file} is of the class {name!r}, {reason}") from error
    kind = getattr(module, class_name, None)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
        hint = suggestion(class_name, known, f"classes in {module_name}")
        raise CheckpointError(f"{file} is of the class {name!r}: there is no such {base.__name__}{hint}")
    return kind


def require(purpose: str, *names: str, extra: str = "export") -> None:
    """Raise if a package is not installed that an extra of firstlight installs."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise FirstlightError(f'{purpose} needs {", ".join(missing)}: pip install "firstlight[{extra}]"')
