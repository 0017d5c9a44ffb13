"""What must be true of a checkpoint before a model is built from it; each check needs no more memory than the file."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from firstlight.engine.runs.checkpoint_files import CheckpointFile
from firstlight.engine.texts import printable
from firstlight.errors import CheckpointError

TRAINING_STATE = ("epoch", "global_step", "loops", "optimizer_states", "lr_schedulers", "callbacks")


def refuse_untrained(checkpoint: CheckpointFile) -> None:
    """Raise a ``CheckpointError`` for the checkpoint that a run writes before its first step, if it knows its step."""
    if checkpoint.content.get("global_step") == 0:
        raise CheckpointError(
            f"checkpoint {checkpoint.path} was written before the first step: its weights are untrained"
        )


def refuse_weights_alone(checkpoint: CheckpointFile) -> None:
    """Raise a ``CheckpointError`` for weights alone: to go on, training needs optimizers, loops and callbacks too."""
    if missing := [key for key in TRAINING_STATE if key not in checkpoint.content]:
        what = f"holds weights alone (it has no {', '.join(missing)}): it can be tested, but training cannot go on"
        raise CheckpointError(f"checkpoint {checkpoint.path} {what}")


def accepted_arguments(part_class: type, arguments: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the hyperparameters that a class takes; those that it passes to a base class itself are left out.

    Raises:
        CheckpointError: If there are others: without them it may compute another function.
    """
    parameters = inspect.signature(part_class).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(arguments)
    inherited = {name for base in part_class.__mro__ for name in inspect.signature(base).parameters}
    for name in arguments:
        if name not in inherited:
            shown = printable(str(name))
            raise CheckpointError(
                f"checkpoint {path} has the hyperparameter {shown!r}, which {part_class.__name__} does not take"
            )
    return {name: value for name, value in arguments.items() if name in parameters}


def refuse_other_shapes(model_class: type, arguments: Mapping[str, Any], checkpoint: CheckpointFile) -> None:
    """Compare the weights of a file with those of the model that its hyperparameters describe.

    The model is built without memory for its weights (``torch.device("meta")``): a file may ask for any size.

    Raises:
        CheckpointError: If a weight has another shape.
    """
    try:
        with torch.device("meta"):
            expected = model_class(**arguments).state_dict()
    except Exception:  # not every constructor runs without memory, and if it is wrong the real one says how
        return
    for name, weight in checkpoint.content["state_dict"].items():
        if name in expected and not is_lazy(expected[name]) and getattr(weight, "shape", None) != expected[name].shape:
            found, wanted = (tuple(getattr(value, "shape", ())) for value in (weight, expected[name]))
            raise CheckpointError(
                f"checkpoint {checkpoint.path} does not fit its hyperparameters: "
                f"{printable(name)} is of shape {found}, and they make {model_class.__name__} have one of {wanted}"
            )
