"""What Lightning and torch refuse when a run begins or goes on, though it was only configured: which setting it is."""

import contextlib
import math
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Timer

from firstlight.engine.command.failures import own_line
from firstlight.engine.command.settings import Setting
from firstlight.errors import UsageError

TORCH, LIGHTNING = Path(torch.__file__).parent, Path(lightning.__file__).parent
PARTS = {
    TORCH / "optim" / "lr_scheduler.py": "lr_scheduler",
    TORCH / "optim": "optimizer",
    LIGHTNING / "pytorch" / "callbacks": "trainer.callbacks",
    LIGHTNING / "pytorch" / "tuner": "trainer.callbacks",
    LIGHTNING / "pytorch" / "loggers": "trainer.logger",
    LIGHTNING / "pytorch" / "profilers": "trainer.profiler",
    LIGHTNING: "trainer",
}
"""Code that judges settings only when it is used, and the part of a config that sets it."""
ONLY_CHECKS = ("optimizer", "lr_scheduler", "trainer.callbacks", "trainer.profiler")
"""Parts whose code has nothing to do with the user's own: whatever it raises, it was configured so."""
OUT_OF_MEMORY = r"(?i)can't allocate memory|not enough memory|out of memory"
LONGEST = 300
LIMITS = {
    "fit": ("limit_train_batches", "train on"),
    "validate": ("limit_val_batches", "score"),
    "test": ("limit_test_batches", "score"),
    "predict": ("limit_predict_batches", "predict"),
}
"""The setting that leaves a stage nothing to do if it is zero."""
LOWEST = {
    "accumulate_grad_batches": (1, "1 or more"),
    "check_val_every_n_epoch": (1, "1 or more, or null"),
    "gradient_clip_val": (0, "0 or more"),
    "log_every_n_steps": (0, "0 or more"),
    "min_epochs": (0, "0 or more"),
    "min_steps": (0, "0 or more"),
    "num_sanity_val_steps": (-1, "0 or more, or -1 for all"),
}
"""Lowest values of settings of the Trainer, and what to say of them."""
TIME = "a time above 0: DD:HH:MM:SS, or a mapping such as {hours: 2}"


def refused_by_library(error: BaseException, settings: Sequence[Setting]) -> UsageError | None:
    """Return the error about a setting that a library judged late; None if it is no such error."""
    if mended := _out_of_memory(error, settings):
        return mended
    frames = traceback.extract_tb(error.__traceback__)
    paths = [Path(frame.filename) for frame in frames]
    while paths and paths[-1].is_relative_to(TORCH) and not paths[-1].is_relative_to(TORCH / "optim"):
        paths.pop()  # a function of torch that somebody called
    part = next((part for folder, part in PARTS.items() if paths and paths[-1].is_relative_to(folder)), None)
    if part is None or not isinstance(error, Exception) or isinstance(error, OSError):
        return None
    is_check = len(paths) == len(frames) and (frames[-1].line or "").startswith("raise")
    if not (
        isinstance(error, MisconfigurationException)
        or part in ONLY_CHECKS
        or (not own_line(error) and (is_check or isinstance(error, ZeroDivisionError)))
    ):
        return None
    return refused_setting(error, part, settings)


def refused_setting(error: BaseException, part: str, settings: Sequence[Setting]) -> UsageError:
    """Return an error that names the setting which a message is about, its place, and what the message says."""
    reason = _reason(error)
    single = [setting for setting in settings if not isinstance(setting.value, dict)]
    below = [setting for setting in single if f"{setting.key}.".startswith(f"{part}.")]
    model = [setting for setting in single if setting.key.startswith("model.")] if part == "optimizer" else []
    for candidates in (below, model):
        if setting := _meant(candidates, error):
            return UsageError(f"{_shown(setting)}: {reason}")
    classes = {setting.value: setting for setting in settings if setting.key == part and isinstance(setting.value, str)}
    named = " ".join([part, *(f"{name}{_of(setting)}" for name, setting in classes.items() if len(classes) == 1)])
    return UsageError(f"{named}: {reason}{own_line(error)}")


def _reason(error: BaseException) -> str:
    lines = [frame.line or "" for frame in traceback.extract_tb(error.__traceback__)]
    reason = str(error).strip().partition("\n")[0] or f"{type(error).__name__}: {''.join(lines[-1:])}"
    return re.split(r"(?<=[\w)\]!])[.] (?=[A-Z])", reason)[0][:LONGEST]


def _out_of_memory(error: BaseException, settings: Sequence[Setting]) -> UsageError | None:
    """Return the error about sizes that do not fit into memory; None if it is another error."""
    if not (
        isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and re.search(OUT_OF_MEMORY, str(error)))
    ):
        return None
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
    first = f"out of memory{f': {asked[1]} were asked for at once' if asked else ''}{own_line(error)}"
    sizes = {s.key: s for s in settings if re.match(r"(data|model)\.", s.key) and isinstance(_number(s.value), float)}
    largest = max(sizes.values(), key=lambda size: float(size.value), default=None)
    which = f"; the largest is {largest.key}, {largest.value}{_of(largest)}" if largest else ""
    return UsageError(f"{first}\nset smaller sizes in --data or --model{which}")


def refuse_nonsense(arguments: Mapping[str, Any], stage: str, settings: Sequence[Setting]) -> None:
    """Raise a ``UsageError`` for numbers and times that the Trainer takes, only to divide by them or to do nothing."""
    for name, (lowest, expected) in LOWEST.items():
        if arguments[name] is not None and not arguments[name] >= lowest:  # NaN is not
            raise refused_value(name, arguments[name], f"expected {expected}", settings)
    for name in ("max_time", "val_check_interval"):
        if arguments[name] is not None and not _as_number(arguments[name]) > 0:
            number = "" if name == "max_time" else " a number above 0, or"
            raise refused_value(name, arguments[name], f"expected{number} {TIME}", settings)
    limit, purpose = LIMITS[stage]
    for name in (limit, "max_epochs", "max_steps") if stage == "fit" else (limit,):
        if arguments[name] == 0:
            raise refused_value(name, 0, f"there is nothing to {purpose}", settings)


def refused_by_trainer(error: Exception, arguments: Mapping[str, Any], settings: Sequence[Setting]) -> UsageError:
    """Return the error about the setting without which a Trainer can be built; the strongest of them."""
    for setting in reversed(settings):
        name = setting.key.removeprefix("trainer.")
        if name != setting.key and name in arguments:
            with contextlib.suppress(Exception):
                Trainer(**{key: value for key, value in arguments.items() if key != name})
                return UsageError(f"{_shown(setting)}: {_reason(error)}")
    return refused_setting(error, "trainer", settings)


def refused_value(name: str, value: Any, rule: str, settings: Sequence[Setting]) -> UsageError:
    """Return the error that a setting of the Trainer has a value against a rule."""
    key = f"trainer.{name}"
    given = next((setting for setting in reversed(settings) if setting.key == key), Setting(key, value))
    return UsageError(f"{_shown(given)}: {rule}")


def _as_number(time: Any) -> float:
    """Return a number as it is, and a time as its seconds; NaN if it is none."""
    if isinstance(time, int | float):
        return time
    try:
        return Timer(time).time_remaining() or 0.0
    except (MisconfigurationException, OverflowError, TypeError):
        return math.nan


def _meant(settings: Sequence[Setting], error: BaseException) -> Setting | None:
    """Return the setting whose name a message has, or else whose value; the strongest of them."""
    message = str(error)
    words = re.sub(r"[\W_]+", " ", message).lower()
    strongest = {setting.key: setting for setting in settings}
    names = {key: " ".join(key.rpartition(".")[2].lower().split("_")) for key in strongest}
    named = [key for key, name in names.items() if len(name) > 1 and re.search(rf"\b{re.escape(name)}\b", words)]
    numbers = (
        [0.0] if isinstance(error, ZeroDivisionError) else map(float, re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", message))
    )
    found = {*numbers, *(["null"] if "NoneType" in message else [])}
    numbered = [key for key, setting in strongest.items() if _number(setting.value) in found]
    quoted = [key for key, setting in strongest.items() if f"'{setting.value}'" in message]
    chosen = [key for key in named if key in numbered] or named or numbered or quoted
    return strongest[chosen[-1]] if chosen else None


def _number(value: object) -> float | str | None:
    if value in (None, "null"):
        return "null"
    try:
        return float(str(value))
    except ValueError:
        return None


def _shown(setting: Setting) -> str:
    value = "null" if setting.value is None else "''" if setting.value == "" else setting.value
    return f"{setting.key} is {value}{_of(setting)}"


def _of(setting: Setting) -> str:
    return f" ({setting.place})" if setting.place else ""
