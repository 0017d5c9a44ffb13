"""What happens around training: checkpoints, signals, progress, predictions."""

from firstlight.callbacks.checkpoints import Checkpoints
from firstlight.callbacks.optimizer import PlateauSchedules, TypedOptimizer
from firstlight.callbacks.predictions import Predictions
from firstlight.callbacks.progress import EpochLines, progress_bar
from firstlight.callbacks.steps import StepLoss, StepSeeds
from firstlight.callbacks.stopping import Stopped, StopSignals
from firstlight.callbacks.updates import SeveralUpdates

__all__ = [
    "Checkpoints",
    "EpochLines",
    "PlateauSchedules",
    "Predictions",
    "SeveralUpdates",
    "StepLoss",
    "StepSeeds",
    "StopSignals",
    "Stopped",
    "TypedOptimizer",
    "progress_bar",
]
