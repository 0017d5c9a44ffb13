"""Callbacks: checkpoints, signals, progress, predictions, TensorBoard."""

from firstlight.engine.callbacks.averages import *
from firstlight.engine.callbacks.checkpoints import *
from firstlight.engine.callbacks.data_fingerprint import *
from firstlight.engine.callbacks.loaders import *
from firstlight.engine.callbacks.monitors import *
from firstlight.engine.callbacks.optimizer import *
from firstlight.engine.callbacks.overfit import *
from firstlight.engine.callbacks.predictions import *
from firstlight.engine.callbacks.progress import *
from firstlight.engine.callbacks.pruning import *
from firstlight.engine.callbacks.reports import *
from firstlight.engine.callbacks.resumes import *
from firstlight.engine.callbacks.scores import *
from firstlight.engine.callbacks.steps import *
from firstlight.engine.callbacks.stopping import *
from firstlight.engine.callbacks.tensorboard.dashboard import *
from firstlight.engine.callbacks.tensorboard.details import *
from firstlight.engine.callbacks.tensorboard.pictures import *
from firstlight.engine.callbacks.updates import *
from firstlight.engine.callbacks.workers import *
