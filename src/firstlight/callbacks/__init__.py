"""What happens around training: checkpoints, progress, predictions."""

from firstlight.callbacks.checkpoints import Checkpoints
from firstlight.callbacks.predictions import Predictions
from firstlight.callbacks.progress import EpochLines, progress_bar

__all__ = ["Checkpoints", "EpochLines", "Predictions", "progress_bar"]
