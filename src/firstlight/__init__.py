"""Ten documented PyTorch models, each a LightningModule paired with a LightningDataModule.

The public names below are imported when they are first asked for, so ``import firstlight`` costs
nothing and changes nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firstlight.data import Batches, FashionMNIST, Houses, InMemory, PlantedNeuron, Sine
    from firstlight.engine.cli import main
    from firstlight.engine.runs.loading import load
    from firstlight.models import (
        MLP,
        AutogradCubic,
        DynamicPolynomial,
        LegendreCubic,
        LinearRegression,
        ManualCubic,
        NeuralNetwork,
        Neuron,
        SineEnsemble,
        SoftmaxRegression,
        TwoLayerNetwork,
    )
    from firstlight.tasks import Classification, Regression, Task

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "AutogradCubic",
    "Batches",
    "Classification",
    "DynamicPolynomial",
    "FashionMNIST",
    "Houses",
    "InMemory",
    "LegendreCubic",
    "LinearRegression",
    "ManualCubic",
    "NeuralNetwork",
    "Neuron",
    "PlantedNeuron",
    "Regression",
    "Sine",
    "SineEnsemble",
    "SoftmaxRegression",
    "Task",
    "TwoLayerNetwork",
    "__version__",
    "load",
    "main",
]


def __getattr__(name: str) -> object:
    """Import a public name from the part of the package that defines it."""
    if name in __all__:
        for part in ("engine.cli",) if name == "main" else ("models", "data", "tasks", "engine.runs.loading"):
            module = import_module(f"firstlight.{part}")
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
