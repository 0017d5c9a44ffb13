"""The sweep file: what is searched, and how often each configuration is run. Nothing here needs torch."""

import contextlib
import itertools
import json
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from firstlight.engine.command.configs import read_config
from firstlight.engine.command.own_flags import NO_SETTINGS
from firstlight.engine.command.settings import Setting, short_key
from firstlight.errors import UsageError, suggestion

DEFAULTS = {"trials": None, "search": None, "repeats": None, "pruner": "median", "seed": None}
PRUNERS = ("median", "none")
SEARCH_SYNTAX = "expected {low: 0.01, high: 1.0}, with log: true if wanted, or {choices: [A, B]}"


@dataclass(frozen=True)
class Plan:
    """The content of a sweep file.

    Args:
        search: What is searched, by dotted key; choices are texts, as one types them after a flag.
        repeats: Values by dotted key, for each run of a configuration.
        trials: How many configurations are tried, if there are as many.
        pruner: ``median`` prunes trials that are worse than the median of the others, ``none`` no trial.
        seed: Seed of the sampler; None takes that of the config.
        settings: The first value of each key, with its place in the file for error messages.
    """

    search: dict[str, BaseDistribution]
    repeats: list[dict[str, str]]
    trials: int
    pruner: str = "median"
    seed: int | None = None
    settings: list[Setting] = field(default_factory=list)

    @property
    def grid(self) -> list[dict[str, Any]] | None:
        """All configurations, if there are no more of them than trials: then each is tried once."""
        values = [_all_values(distribution) for distribution in self.search.values()]
        if not self.search or not all(values) or math.prod(map(len, values)) > self.trials:
            return None
        return [dict(zip(self.search, combination, strict=True)) for combination in itertools.product(*values)]

    @property
    def ends(self) -> list[list[Setting]]:
        """The first values of all keys, and the last of those that are searched."""
        last = {key: _ends(distribution)[1] for key, distribution in self.search.items()}
        return [self.settings, [replace(each, value=last.get(each.key, each.value)) for each in self.settings]]

    @property
    def identity(self) -> dict[str, Any]:
        """The part of the plan in which all workers of a sweep must agree, as plain values."""
        search = {key: [*axis_of(distribution).values()] for key, distribution in self.search.items()}
        return {"search": search, "repeats": self.repeats}


def trial_count(number: int) -> str:
    """Return ``1 trial`` or ``3 trials``."""
    return f"{number} trial{'s' * (number != 1)}"


def axis_of(distribution: BaseDistribution) -> dict[str, Any]:
    """Return ``low``, ``high`` and ``log`` of a range, or the ``values`` of choices."""
    if isinstance(distribution, FloatDistribution | IntDistribution):
        return {"low": distribution.low, "high": distribution.high, "log": distribution.log}
    return {"values": list(cast("CategoricalDistribution", distribution).choices)}


def to_flags(values: Mapping[str, Any]) -> list[str]:
    """Return values by dotted key as flags of ``fit``."""
    return [f"--{key}={_flag_value(value)}" for key, value in values.items()]


def read_plan(path: Path, trials: int | None, typed: Collection[str]) -> Plan:
    """Read a sweep file; keys that were typed as flags must not be in it, and ``--trials`` wins over it.

    Raises:
        UsageError: If the file is not valid YAML, or has a wrong key or value.
    """
    file = _SweepFile(path)
    searched, repeated = file.section("search"), file.section("repeats")
    for key, entry in {**searched, **repeated}.items():
        if key in searched and key in repeated:
            raise entry.error("it is searched too, but repeats are runs of the same configuration")
        if key in NO_SETTINGS:
            raise entry.error("this is a flag of one command, not a setting of a run")
        if key == "trainer.default_root_dir":
            raise entry.error("this says where runs go, which is one folder for all trials")
        if key in typed:
            raise entry.error(f"--{key} is typed too: leave one of them out")
    if not searched and not repeated:
        raise UsageError(f"{path} has neither search nor repeats: there is nothing to run more than once")
    search = {key: _distribution(entry) for key, entry in searched.items()}
    repeats = {key: entry.flag_values() for key, entry in repeated.items()}
    combined = [dict(zip(repeats, values, strict=True)) for values in itertools.product(*repeats.values())]
    settings = [Setting(key, _ends(search[key])[0], entry.place) for key, entry in searched.items()]
    settings += [Setting(key, repeats[key][0], entry.place) for key, entry in repeated.items()]
    entry = file.entry("trials") if trials is None else _Entry("trials", trials, "--trials")
    number = entry.whole_number(minimum=1) or (20 if search else 1)
    if number > 1 and not search:
        raise entry.error(f"nothing is searched, so all {number} trials would be the same")
    pruner, seed = file.entry("pruner"), file.entry("seed")
    if pruner.value not in PRUNERS:
        raise pruner.error(f"no such pruner: {pruner.value!r}{suggestion(str(pruner.value), PRUNERS, 'pruners')}")
    return Plan(search, combined, number, pruner.value, seed.whole_number(minimum=0), settings)


@dataclass(frozen=True)
class _Entry:
    """A key of a sweep file, with its value and, for error messages, its place."""

    key: str
    value: Any
    place: str

    def error(self, problem: str) -> UsageError:
        return UsageError(f"{self.key} ({self.place}): {problem}")

    def whole_number(self, minimum: int) -> int | None:
        if self.value is not None and (type(self.value) is not int or not minimum <= self.value < 2**32):
            raise self.error(f"expected a whole number from {minimum} to {2**32 - 1}, got {self.value!r}")
        return self.value

    def flag_values(self) -> list[str]:
        """Return a list of values as they are typed after a flag."""
        if not isinstance(self.value, list) or not self.value:
            raise self.error(f"expected a list of values, like [0, 1, 2], got {self.value!r}")
        values = [_flag_value(value) for value in self.value]
        if repeated := [value for value in values if values.count(value) > 1]:
            raise self.error(f"{repeated[0]} is there more than once")
        return values


class _SweepFile:
    """The content of a sweep file, with the line of each key."""

    def __init__(self, path: Path) -> None:
        config = read_config(path)
        self._places = {setting.key: setting.place for setting in config.settings}
        self._content = config.content
        for key in map(str, self._content):
            if key not in DEFAULTS:
                hint = "; put what is searched below search:" if "." in key else suggestion(key, DEFAULTS, "keys")
                raise self.entry(key).error(f"a sweep file has no such key{hint}")

    def entry(self, key: str) -> _Entry:
        return _Entry(key, self._content.get(key, DEFAULTS.get(key)), self._places.get(key, ""))

    def section(self, key: str) -> dict[str, _Entry]:
        """Return the entries below ``search`` or ``repeats`` by their dotted keys."""
        whole = self.entry(key)
        if not isinstance(whole.value or {}, dict):
            raise whole.error(f"expected dotted keys of a config with what to try, got {whole.value!r}")
        return {
            short_key(str(name)): _Entry(name, value, self._places.get(f"{key}.{name}", whole.place))
            for name, value in (whole.value or {}).items()
        }


def _distribution(entry: _Entry) -> BaseDistribution:
    space = entry.value if isinstance(entry.value, dict) else {}
    if [*space] == ["choices"]:
        return CategoricalDistribution(replace(entry, value=space["choices"]).flag_values())
    low, high, log = _number(space.get("low")), _number(space.get("high")), space.get("log", False)
    if low is None or high is None or not isinstance(log, bool) or not space.keys() <= {"low", "high", "log"}:
        raise entry.error(f"got {entry.value!r}\n{SEARCH_SYNTAX}")
    if not low < high:
        raise entry.error(f"low is {low}, which is not below high, {high}")
    try:
        if not high - low < (sys.maxsize if isinstance(high, int) else math.inf):
            raise OverflowError("the range is too wide")
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=log)
        return FloatDistribution(low, high, log=log)
    except (OverflowError, ValueError) as error:  # on a log scale, low must be above 0
        raise entry.error(str(error)) from error


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)  # to YAML, 1e-3 is text and 1.0e-3 a number
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _all_values(distribution: BaseDistribution) -> Sequence[Any]:
    """Return all values of a distribution, or none if they cannot be counted."""
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1)
    return distribution.choices if isinstance(distribution, CategoricalDistribution) else ()


def _ends(distribution: BaseDistribution) -> tuple[str, str]:
    axis = axis_of(distribution)
    values = axis.get("values") or [axis["low"], axis["high"]]
    return _flag_value(values[0]), _flag_value(values[-1])


def _flag_value(value: Any) -> str:
    """Return a value as it is typed after a flag."""
    return value if isinstance(value, str) else json.dumps(value)
