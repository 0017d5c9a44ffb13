"""Functions that turn tensors into matplotlib figures; they know nothing of models, runs or loggers."""

from firstlight.plots.curves import activations, curve_fit, learning_curves, weight_paths
from firstlight.plots.images import mistakes, weight_images
from firstlight.plots.predictions import confusion_matrix, decision_boundary, predictions_over_truth

__all__ = [
    "activations",
    "confusion_matrix",
    "curve_fit",
    "decision_boundary",
    "learning_curves",
    "mistakes",
    "predictions_over_truth",
    "weight_images",
    "weight_paths",
]
