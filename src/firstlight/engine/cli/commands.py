"""The commands: what each does, in a line, and an example. Help, completion and messages take their words from here."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple


class About(NamedTuple):
    """What a command does."""

    summary: str
    """What it does, as the end of a sentence that begins with the program's name."""
    example: str = ""
    """What to type after the program's name, where the command alone does not say it."""


STAGES = {
    "fit": About("train a model", "fit --config mlp"),
    "validate": About("score validation data", "validate --config mlp"),
    "test": About("score test data", "test --run mlp/version_0"),
    "predict": About("write predictions for the test data, or for files", "predict --config mlp"),
}
"""The commands that train and evaluate; they share their flags."""

COMMANDS = {
    **STAGES,
    "runs": About("list, group, compare, archive or remove runs", "runs diff A B"),
    "sweep": About("search hyperparameters, on any number of machines", "sweep --config mlp --sweep mlp"),
    "reproduce": About("run a run again and check that its scores are bit-identical", "reproduce mlp/version_0"),
    "export": About("write a trained model as a file for other programs", "export mlp --format onnx"),
    "pictures": About("write a run's pictures as files", "pictures mlp --format svg"),
    "tensorboard": About("show the curves of all runs in a browser"),
    "configs": About("list the configs and presets that --config takes by name"),
    "new": About("start a project of your own: a model, data, a config, tests", "new my-research"),
    "check": About("check configs with a batch of each stage, without writing", "check my.yaml"),
    "describe": About("print a model's formula, layers, first values and arguments", "describe mlp"),
    "completion": About("print a script that completes commands with the TAB key", "completion bash"),
}


def function_of(command: str) -> Callable[[list[str]], dict[str, Any] | None]:
    """Return the function of a command, which takes the words after it; only its own module is imported."""
    module = "firstlight.engine.command.stages" if command in STAGES else f"firstlight.engine.cli.{command}"
    function: Callable[[list[str]], dict[str, Any] | None] = getattr(import_module(module), command)
    return function
