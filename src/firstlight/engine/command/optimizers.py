"""An optimizer and a schedule that a config sets, in place of the model's own."""

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jsonargparse import Namespace
from jsonargparse.typing import OpenUnitInterval, PositiveInt
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import ReduceLROnPlateau, instantiate_class
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, CyclicLR, OneCycleLR, PolynomialLR

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.optimizer import LENGTHS
from firstlight.engine.command.classes import find_class
from firstlight.engine.command.refusals import refused_setting
from firstlight.engine.command.settings import Setting
from firstlight.errors import UsageError
from firstlight.schedules import WarmupCosineLR

STEPWISE = (CyclicLR, OneCycleLR, WarmupCosineLR)
"""Schedules that count steps; all others count epochs."""
ENDS = {
    CosineAnnealingLR: "T_max",
    OneCycleLR: "total_steps",
    PolynomialLR: "total_iters",
    WarmupCosineLR: "total_steps",
}
"""Schedules that end with their run, each with the argument that says when."""
WHOLE_RUN = {"T_max", "total_iters", "total_steps"}
"""Lengths that mean the whole run where they are null."""
ANY_LENGTH = 1000
"""Length of a ``fast_dev_run``: the run that it stands for has no known length."""


def lengths(schedule: type) -> dict[str, dict[str, Any]]:
    """Return what a parser has to know of the arguments of a schedule that count steps or epochs.

    Each may also be a share of the run, and be left out if it says when the schedule ends.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, parameter in inspect.signature(schedule).parameters.items():
        if name not in LENGTHS:
            continue
        is_end = ENDS.get(schedule) == name
        kind: Any = PositiveInt if name == "total_steps" else int | OpenUnitInterval  # | PositiveInt: 0.5 is saved as 0
        kind = list[kind] if name == "milestones" else kind
        about = "in steps" if name == "total_steps" else "in epochs or steps, or a share of the run"
        found[name] = {
            "type": kind | None if name in WHOLE_RUN or parameter.default is None else kind,
            "help": f"{name}, {about}; null: the whole run" if name in WHOLE_RUN else f"{name}, {about}",
        }
        if is_end or parameter.default is not parameter.empty:
            found[name]["default"] = None if is_end else parameter.default
        else:
            found[name]["required"] = True
    return found


def set_optimizer(
    model: LightningModule, optimizer: Namespace | None, schedule: Namespace | None, settings: Sequence[Setting] = ()
) -> None:
    """Have a model train with an optimizer, a schedule, or both, that a config names; None keeps the model's own.

    They are made when training begins, from the parameters that the model then has: a strategy may have put others
    in place of those that it was built with. By then the run's length is known, too. The settings are for messages.
    Wrong ones raise a ``UsageError`` then.
    """
    own = model.configure_optimizers

    def make(part: str, first: Any, class_path: str, init_args: Any = None) -> Any:
        try:
            for name, value in (init_args or {}).items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise ValueError(f"{name} has to be finite")
            return instantiate_class(first, {"class_path": class_path, "init_args": init_args or {}})
        except Exception as error:  # whatever a constructor refuses, it was configured so
            raise refused_setting(error, part, settings) from error

    def configure_optimizers() -> Any:
        made = make("optimizer", model.parameters(), **optimizer.as_dict()) if optimizer else own()
        if not schedule:
            return made
        if not isinstance(made, Optimizer):
            raise UsageError(f"lr_scheduler: {type(model).__name__} has a schedule of its own; set --optimizer too")
        kind = find_class("lr_scheduler", schedule.class_path) or object
        interval = "step" if issubclass(kind, STEPWISE) else "epoch"
        arguments = _lay_out(kind, schedule.as_dict().get("init_args", {}), interval, model.trainer)
        scheduler = make("lr_scheduler", made, schedule.class_path, arguments)
        monitor = {"monitor": scheduler.monitor} if isinstance(scheduler, ReduceLROnPlateau) else {}
        return {"optimizer": made, "lr_scheduler": {"scheduler": scheduler, "interval": interval, **monitor}}

    if optimizer or schedule:
        vars(model)["configure_optimizers"] = configure_optimizers


def _lay_out(kind: type, arguments: Mapping[str, Any], interval: str, trainer: Trainer) -> dict[str, Any]:
    """Return a schedule's arguments with plain numbers for shares of the run, and for lengths that are null."""
    laid_out, end = dict(arguments), ENDS.get(kind, "")
    pair = [arguments.get(name) for name in ("epochs", "steps_per_epoch")]
    if kind is OneCycleLR and any(pair) and not arguments.get(end):  # torch's other way to say how long it is
        if not all(pair):
            raise UsageError("lr_scheduler: OneCycleLR takes epochs and steps_per_epoch together")
        laid_out[end] = math.prod(pair)
    is_rehearsal = bool(internals.typed(trainer).fast_dev_run)

    @cache
    def run_length() -> int | None:
        return ANY_LENGTH if is_rehearsal else internals.planned_length(trainer, interval)

    def count(name: str, value: float | None) -> int:
        if value is not None and value >= 1:
            return int(value)  # what a parser makes of it is a class of its own, which no checkpoint may hold
        if value is not None and value <= 0:
            raise UsageError(f"lr_scheduler.{name} is {value}: expected a number above 0")
        if (length := run_length()) is None:
            how = "not set" if value is None else value
            raise UsageError(f"lr_scheduler.{name} is {how}, but nothing says how many {interval}s the run takes")
        return length if value is None else max(1, round(value * length))

    written = laid_out.get(end) or 0
    for name in LENGTHS & laid_out.keys():
        value = laid_out[name]
        if isinstance(value, list):
            laid_out[name] = [count(name, each) for each in value]
        elif value is not None or name in WHOLE_RUN:
            laid_out[name] = count(name, value)
    if written >= 1 and not is_rehearsal and (length := run_length()):
        left_over = length % written if kind is CosineAnnealingLR else length - written  # cosines can follow each other
        if left_over:
            why = f"but the run takes {length} {interval}s: leave it out, and it is the run's"
            raise UsageError(f"lr_scheduler.{end} is {written}, {why}")
    return laid_out
