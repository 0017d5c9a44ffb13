"""The sweep file: what is searched, and how often each configuration is run. Nothing here needs torch or Optuna."""

import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from firstlight.engine.command.settings import LAYERS, Setting, read_settings
from firstlight.errors import UsageError, suggestion

__all__ = ["Choices", "Plan", "Range", "counted", "flags_of"]

KEYS = ("trials", "search", "repeats", "pruner", "seed")
PRUNERS = ("median", "none")
FORM = "expected {low: 0.01, high: 1.0}, with log: true if wanted, or {choices: [A, B]}"


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole numbers where both ends are written as such.

    Args:
        low: The smallest.
        high: The largest.
        log: Whether each factor of ten gets as many trials as the next.
    """

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def every(self) -> Sequence[int] | None:
        """All values, if they can be counted."""
        return range(int(self.low), int(self.high) + 1) if self.whole else None


@dataclass(frozen=True)
class Choices:
    """Some values of any kind.

    Args:
        values: Each as one would type it after the flag.
    """

    values: tuple[str, ...]

    @property
    def every(self) -> Sequence[str]:
        """All values."""
        return self.values


@dataclass(frozen=True)
class Plan:
    """What a sweep file says.

    Args:
        search: What is searched, by dotted key.
        repeats: Values by dotted key, for each run of a configuration.
        trials: How many configurations are tried; no more than there are.
        pruner: Whether trials that do worse than the ``median`` are ended early, or ``none``.
        seed: Seed of the choice of values; None takes that of the config.
        settings: The first value of each key, with its place in the file, for messages.
    """

    search: dict[str, Range | Choices]
    repeats: list[dict[str, str]]
    trials: int
    pruner: str = "median"
    seed: int | None = None
    settings: list[Setting] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, trials: int | None, typed: Iterable[str]) -> "Plan":
        """Read a sweep file.

        Args:
            path: The file.
            trials: How many, if that was typed.
            typed: The keys that were typed as flags: they cannot be searched too.

        Raises:
            UsageError: If the file is no YAML, or a key or a value in it is none that a sweep file may have.
        """
        places = {setting.key: setting.place for setting in read_settings([path], [])}
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key in content:
            if key not in KEYS:
                hint = "; what is searched stands below search:" if "." in str(key) else suggestion(key, KEYS, "keys")
                raise UsageError(f"{key} ({places[str(key)]}): a sweep file has no such key{hint}")
        search = {
            _plain(key): _searched(key, value, _place(f"search.{key}", places))
            for key, value in _mapping("search", content, places).items()
        }
        repeated = {
            _plain(key): _texts(key, value, _place(f"repeats.{key}", places))
            for key, value in _mapping("repeats", content, places).items()
        }
        settings = [Setting(key, _first(values), _place(f"search.{key}", places)) for key, values in search.items()]
        settings += [Setting(key, values[0], _place(f"repeats.{key}", places)) for key, values in repeated.items()]
        for key in search:
            if key in repeated:
                place = _place(f"repeats.{key}", places)
                raise UsageError(f"{key} ({place}) is searched too: a configuration is repeated with other values")
        for key in {*typed} & {*search, *repeated}:
            place = next(setting.place for setting in settings if setting.key == key)
            raise UsageError(f"--{key} is typed, and the sweep file sets it too ({place}): leave one of them out")
        if not search and not repeated:
            raise UsageError(f"{path} has neither search nor repeats: there is nothing to run more than once")
        where = "" if trials is not None else f" ({places.get('trials')})"
        trials = content.get("trials", 20 if search else 1) if trials is None else trials
        if type(trials) is not int or trials < 1:
            raise UsageError(f"trials is {trials!r}{where}: expected a whole number above 0")
        if not search and trials > 1:
            raise UsageError(f"trials is {trials}, but nothing is searched ({path}): all would be the same")
        pruner, seed = content.get("pruner", "median"), content.get("seed")
        if pruner not in PRUNERS:
            raise UsageError(f"pruner is {pruner!r} ({places['pruner']}): expected one of {', '.join(PRUNERS)}")
        if seed is not None and (type(seed) is not int or seed < 0):
            raise UsageError(f"seed is {seed!r} ({places['seed']}): expected a whole number, 0 or more")
        combined = itertools.product(*repeated.values())
        repeats = [dict(zip(repeated, values, strict=True)) for values in combined]
        return cls(search, repeats, trials, pruner, seed, settings)

    @property
    def everything(self) -> list[dict[str, Any]] | None:
        """All configurations, if there are no more than trials: then each is tried once."""
        every = [values.every for values in self.search.values()]
        if not self.search or None in every or math.prod(map(len, every)) > self.trials:  # type: ignore[arg-type]
            return None
        combined = itertools.product(*every)  # type: ignore[arg-type]
        return [dict(zip(self.search, values, strict=True)) for values in combined]

    @property
    def described(self) -> dict[str, Any]:
        """What trials must have in common to be compared, as plain values."""
        search = {key: [*vars(values).values()] for key, values in self.search.items()}
        return {"search": json.loads(json.dumps(search)), "repeats": self.repeats}


def counted(trials: int) -> str:
    """Return a number of trials as one says it."""
    return f"{trials} trial{'s' * (trials != 1)}"


def flags_of(values: Mapping[str, Any]) -> list[str]:
    """Return values by dotted key as one would type them."""
    return [f"--{key}={typed(value)}" for key, value in values.items()]


def typed(value: Any) -> str:
    """Return a value as one would type it after a flag."""
    return value if isinstance(value, str) else json.dumps(value)


def _mapping(key: str, content: Mapping[str, Any], places: Mapping[str, str]) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise UsageError(f"{key} ({places[key]}): expected dotted keys of a config with what to try, got {value!r}")
    return value


def _searched(key: str, value: Any, place: str) -> Range | Choices:
    """Return what a key is searched over."""
    if not isinstance(value, dict) or not value:
        raise UsageError(f"{key} is {value!r} ({place})\n{FORM}")
    for name in value:
        if name not in ("low", "high", "log", "choices"):
            known = suggestion(str(name), ("low", "high", "log", "choices"), "what a search may have")
            raise UsageError(f"{key} ({place}) has no {name!r}{known}\n{FORM}")
    if "choices" in value:
        if len(value) > 1:
            raise UsageError(f"{key} ({place}) has choices and a range: leave one of them out")
        return Choices(tuple(_texts(key, value["choices"], place)))
    low, high, log = _number(value.get("low")), _number(value.get("high")), value.get("log", False)
    if low is None or high is None:
        raise UsageError(f"{key} ({place}): low and high are to be numbers, got {value}\n{FORM}")
    if not low < high:
        raise UsageError(f"{key} ({place}): low is {low}, which is not below high, {high}")
    if not isinstance(log, bool):
        raise UsageError(f"{key} ({place}): log is {log!r}: expected true or false")
    if log and low <= 0:
        raise UsageError(f"{key} ({place}): low is {low}: on a log scale it has to be above 0")
    return Range(low, high, log)


def _texts(key: str, values: Any, place: str) -> list[str]:
    """Return a list of values as one would type them, each once."""
    if not isinstance(values, list) or not values:
        raise UsageError(f"{key} ({place}): expected a list of values, like [0, 1, 2], got {values!r}")
    texts = [typed(value) for value in values]
    for text in texts:
        if texts.count(text) > 1:
            raise UsageError(f"{key} ({place}): {text} is there more than once")
    return texts


def _number(value: Any) -> float | None:
    if isinstance(value, str):  # in YAML 1e-3 is text, 1.0e-3 a number
        try:
            return float(value)
        except ValueError:
            return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _first(values: Range | Choices) -> str:
    return values.values[0] if isinstance(values, Choices) else typed(values.low)


def _plain(key: Any) -> str:
    """Return a key as errors and flags have it: without the nesting that LightningCLI lets one leave out."""
    return ".".join(part for part in str(key).split(".") if part not in (*LAYERS, "class_path"))


def _place(key: str, places: Mapping[str, str]) -> str:
    return places.get(key) or places.get(key.partition(".")[0], "")
