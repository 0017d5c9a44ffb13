"""The classes that a config can name."""

import inspect
from collections.abc import Iterator

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

BASES: dict[str, type] = {
    "model": LightningModule,
    "data": LightningDataModule,
    "optimizer": Optimizer,
    "lr_scheduler": LRScheduler,
    "trainer.callbacks": Callback,
    "trainer.logger": Logger,
}
"""Keys whose value is a class, each with the base of the classes that it takes."""


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
