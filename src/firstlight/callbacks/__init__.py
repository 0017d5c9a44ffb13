"""What happens around training: checkpoints, signals, progress, predictions, TensorBoard."""

from firstlight.callbacks.checkpoints import Checkpoints
from firstlight.callbacks.dashboard import Dashboard, tensorboard
from firstlight.callbacks.details import Details
from firstlight.callbacks.optimizer import PlateauSchedules, TypedOptimizer
from firstlight.callbacks.pictures import Pictures
from firstlight.callbacks.predictions import Predictions
from firstlight.callbacks.progress import EpochLines, progress_bar
from firstlight.callbacks.pruning import Pruned, Pruning
from firstlight.callbacks.steps import StepLoss, StepSeeds
from firstlight.callbacks.stopping import Ended, Stopped, StopSignals
from firstlight.callbacks.updates import SeveralUpdates

__all__ = [
    "Checkpoints",
    "Dashboard",
    "Details",
    "Ended",
    "EpochLines",
    "Pictures",
    "PlateauSchedules",
    "Predictions",
    "Pruned",
    "Pruning",
    "SeveralUpdates",
    "StepLoss",
    "StepSeeds",
    "StopSignals",
    "Stopped",
    "TypedOptimizer",
    "progress_bar",
    "tensorboard",
]
