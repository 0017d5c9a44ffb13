"""Callbacks: checkpoints, signals, progress, predictions, TensorBoard."""

from firstlight.engine.callbacks.averages import BegunAverages
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.data_fingerprint import DataFingerprint
from firstlight.engine.callbacks.loaders import ResumableLoaders
from firstlight.engine.callbacks.optimizer import PlateauSchedules, TypedOptimizer
from firstlight.engine.callbacks.overfit import OverfitVerdict
from firstlight.engine.callbacks.predictions import Predictions
from firstlight.engine.callbacks.progress import EpochLines, progress_bar
from firstlight.engine.callbacks.reports import Report
from firstlight.engine.callbacks.resumes import ResumedCallbacks, not_resumable, refuse_no_step
from firstlight.engine.callbacks.scores import ResumedScores, SharedScores
from firstlight.engine.callbacks.steps import StepLoss, StepSeeds
from firstlight.engine.callbacks.stopping import Ended, Stopped, StopSignals
from firstlight.engine.callbacks.tensorboard.dashboard import (
    Dashboard,
    Details,
    tensorboard_callbacks,
    write_test_score,
)
from firstlight.engine.callbacks.tensorboard.pictures import Pictures
from firstlight.engine.callbacks.updates import SeveralUpdates
from firstlight.engine.callbacks.workers import LoaderWorkers
