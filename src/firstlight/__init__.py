"""Ten documented PyTorch models, each a LightningModule paired with a LightningDataModule.

The public names are those of the parts in ``CLASSES``, and the functions ``load``, ``main`` and ``quiet_trainer``. They
are imported when they are first used, so ``import firstlight`` is quick and does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

CLASSES = ("models", "data", "tasks", "schedules", "learning_curves")
FUNCTIONS = {"load": "engine.runs.loading", "main": "engine.cli.main", "quiet_trainer": "engine.quiet"}

if TYPE_CHECKING:
    from firstlight.data import *
    from firstlight.engine.cli.main import main as main
    from firstlight.engine.quiet import quiet_trainer as quiet_trainer
    from firstlight.engine.runs.loading import load as load
    from firstlight.learning_curves import *
    from firstlight.models import *
    from firstlight.schedules import *
    from firstlight.tasks import *
else:

    def __getattr__(name):
        """Import a public name from the part of the package that defines it."""
        if name in FUNCTIONS:
            return getattr(import_module(f"firstlight.{FUNCTIONS[name]}"), name)
        if name == "__all__" or name[:1].isupper():  # a class; nothing else that is asked for may import torch
            parts = [import_module(f"firstlight.{part}") for part in CLASSES]
            classes = {each: getattr(part, each) for part in parts for each in part.__all__}
            if name in classes:
                return classes[name]
            if name == "__all__":
                return sorted([*classes, *FUNCTIONS, "__version__"])
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return __getattr__("__all__")
