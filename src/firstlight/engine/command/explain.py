"""What a parser says in sixty lines, said in one: the culprit, its place, what was expected, the nearest valid name."""

import difflib
import inspect
import re
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule, LightningModule, callbacks, loggers

from firstlight.engine.command.configs import PACKAGE
from firstlight.engine.command.settings import LAYERS, Setting
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import CheckpointError, DataError, FirstlightError, UsageError, suggestion

__all__ = ["classes", "explain", "explain_failure", "not_logged", "too_few_steps"]

RANGES = {
    "PositiveInt": "a whole number above 0",
    "NonNegativeInt": "a whole number, 0 or more",
    "PositiveFloat": "a number above 0",
    "NonNegativeFloat": "a number, 0 or more",
    "ClosedUnitInterval": "a number from 0 to 1",
    "OpenUnitInterval": "a number between 0 and 1",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "dict": "a mapping",
}

UNFIT = {
    "shapes cannot be multiplied|(Target|index) -?\\d+ is out of bounds|The size of tensor a": (
        "set sizes in --model or --data"
    ),
    "Using a target size": "outputs and targets are to be of one shape: (batch, 1) for a number each",
    "target tensor expected|expected target dtype": "class numbers are whole (torch.long), of shape (batch,)",
    "must have the same dtype": "inputs are to be floating-point, as weights are",
}
"""What torch says where model and data do not fit, and what to do."""


def explain(message: str, parser: ArgumentParser, settings: Sequence[Setting]) -> str:  # noqa: PLR0911
    """Return what a parser's message comes down to, in at most three lines.

    Args:
        message: The parser's own.
        parser: The parser of the verb, which knows all keys.
        settings: What was typed and written, to find the culprit's place.
    """
    keys = re.findall(r'Parser key "([^"]+)"', message)[:2]  # the second is a setting of the first's class
    key = ".".join(keys)
    if found := re.search(r"(?:does not accept option|unrecognized arguments:) '?(?:--)?([\w.]+)", message):
        return _unknown_key(found[1], parser, settings)
    if found := re.search(r"Option '([\w.]+)' is not accepted", message):
        return _unknown_key(f"{key}.{found[1]}", parser, settings)
    if found := re.search(r"the following arguments are required: (.+)", message):
        name = found[1].partition(".")[2] or found[1]
        if not key:
            return f"no {name} is named: choose a config with --config NAME, or name it with --{name}"
        return f"{key}{_place(_culprit(key, settings))} needs a value for {name}"
    culprit = _culprit(key, settings)
    if found := re.search(r"instantiatable class, but (\w+) is abstract", message):
        return f"{key}{_place(culprit)}: {found[1]} is abstract: {_lacking(_class_of(key, settings))}"
    if found := re.search(r"Multiple subclasses with name (\w+).*avoid ambiguity: (.+)\.", message):
        return f"{key}{_place(culprit)}: more than one class is called {found[1]!r}: name it as one of {found[2]}"
    names = re.search(r"(?:Expected a dot import path string: |Problem with given class_path ')([\w.]+)", message)
    if "is not allowed" in message or (names and len(keys) < 2 and "Not of type" not in message):
        return _unknown_class(key, names[1] if names else "", message, culprit)
    expected = _expected(message)
    if key and expected:
        value = culprit.value if culprit else _given(message)
        choices = re.findall(r"'([^']+)'", " ".join(re.findall(r"typing\.Literal\[(.+?)\]", message)))
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"{key} is {value!r}{_place(culprit)}: expected {expected}{hint}"
    return "\n".join(line.strip() for line in message.strip().splitlines()[:3])


def explain_failure(error: BaseException, checkpoint: Path | None) -> FirstlightError | None:
    """Return what a complaint of torch or Lightning means to a user, or None if it is none that a user can mend."""
    message = str(error)
    if message.startswith("Error(s) in loading state_dict for"):
        reason = " ".join(message.split()[:30])
        return CheckpointError(f"checkpoint {checkpoint} does not fit the model: {reason} ...")
    if re.search(r"`(train|val|test|predict)_dataloader` must be implemented", message):
        return UsageError("no data is named: choose a config with --config NAME, or name it with --data")
    found = re.search(r"'(\w+)' object has no attribute '(train|val|test)'$", message)
    if found and found[1] in {kind.__name__ for kind in classes("data")}:
        return DataError(f"{found[1]} has no {found[2]}: setup is to fill train, val and test")
    for complaint, advice in UNFIT.items():
        if re.search(complaint, message):
            first = message.partition("\n")[0].partition(". ")[0]
            return UsageError(f"model and data do not fit each other: {first}{_own_line(error)}\n{advice}")
    return _refused_setting(message)


def _own_line(error: BaseException) -> str:
    """Return the last line of code below the current folder, firstlight's own aside, that an error came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        installed = "site-packages" in path.parts or path.is_relative_to(PACKAGE)
        if path.is_relative_to(Path.cwd()) and not installed:
            return f" ({relative_to_cwd(path)}, line {frame.lineno})"
    return ""


def _refused_setting(message: str) -> UsageError | None:
    """Return what a constructor, a callback or a schedule says of a setting that only it can judge."""
    found = re.match(r"(?s)Does not validate against any of the Union.*?Errors:\n  - (.*?)\n  - ", message)
    if found and (kind := re.search(r"class_path='([\w.]+)'", message)):
        reason = re.sub(r"(?s)^Problem with given class_path '.*?':\s*", "", found[1]).partition("\n")[0]
        return UsageError(f"{kind[1].rpartition('.')[2]}: {reason}")
    if found := re.match(r"Early stopping conditioned on metric `(.+?)` which is not available.*?: (.*)", message):
        return not_logged("trainer.callbacks: EarlyStopping.monitor", found[1], re.findall(r"`(.+?)`", found[2]))
    if found := re.match(r"ReduceLROnPlateau conditioned on metric (.+) which .+ are: (\[.*\])", message):
        return not_logged("lr_scheduler.monitor", found[1], re.findall(r"'(.+?)'", found[2]))
    if found := re.match(r"Tried to step \d+ times. The specified number of total steps is (\d+)", message):
        return too_few_steps(int(found[1]))
    return None


def not_logged(setting: str, score: str, logged: Iterable[str]) -> UsageError:
    """Return the error about a score that is waited for in vain."""
    return UsageError(f"{setting} is {score!r}, but the model logs {', '.join(logged) or 'nothing'}")


def too_few_steps(total: int, steps: int | None = None) -> UsageError:
    """Return the error about a schedule that ends before its run."""
    run = "goes on" if steps is None else f"takes {steps}"
    return UsageError(f"lr_scheduler.total_steps is {total}, but the run {run}: raise it, or end the run earlier")


def _unknown_key(key: str, parser: ArgumentParser, settings: Sequence[Setting]) -> str:
    """Say that there is no such key, and which is nearest."""
    key = ".".join(part for part in key.split(".") if part not in (*LAYERS, "class_path"))
    group, _, name = key.rpartition(".")
    known = {action.dest for action in parser._actions if action.dest != "help"}
    siblings = {dest.rpartition(".")[2] for dest in known if dest.rpartition(".")[0] == group}
    kind = _class_of(group, settings)
    if kind:
        siblings = set(inspect.signature(kind).parameters)
    place = _place(_culprit(key, settings))
    owner = f"{group} ({kind.__name__})" if kind else group
    if siblings:
        hint = suggestion(name, sorted(siblings), "settings")
        if group and "did you mean" in hint:
            hint = hint.replace("did you mean '", f"did you mean '{group}.")
        return f"{key}{place}: {owner or 'this verb'} has no setting {name!r}{hint}"
    return f"{key}{place}: there is no such setting{suggestion(key, sorted(known), 'settings')[:200]}"


def _unknown_class(key: str, name: str, message: str, culprit: Setting | None) -> str:
    """Say that there is no such class, and which is nearest."""
    known = sorted(kind.__name__ for kind in classes(key))
    place = _place(culprit)
    short = name.rpartition(".")[2]
    if denied := re.search(r"Importing '([\w.]+)' is not allowed", message):
        name = denied[1]
        return (
            f"{key}{place}: {name!r} is not imported: configs may name classes of firstlight, lightning.pytorch, "
            f"torch.optim and torch.nn\nadd your own package with FIRSTLIGHT_PACKAGES={name.partition('.')[0]}"
        )
    return f"{key}{place}: there is no class {name!r}{suggestion(short, known, 'classes')}"


def _lacking(kind: type | None) -> str:
    """Return what an abstract class lacks."""
    methods = sorted(getattr(kind, "__abstractmethods__", ()))
    return f"it has no {', '.join(methods)}" if methods else "choose a class below it"


def classes(key: str) -> Iterable[type]:
    """Return the classes that a key takes."""
    bases: dict[str, Any] = {
        "model": LightningModule,
        "data": LightningDataModule,
        "optimizer": torch.optim.Optimizer,
        "lr_scheduler": torch.optim.lr_scheduler.LRScheduler,
        "trainer.callbacks": callbacks.Callback,
        "trainer.logger": loggers.Logger,
    }
    for kind in _subclasses(bases[key]) if key in bases else ():
        if not inspect.isabstract(kind) and not kind.__name__.startswith("_"):
            yield kind


def _subclasses(base: type) -> Iterable[type]:
    kinds: list[type] = base.__subclasses__()
    for kind in kinds:
        yield kind
        yield from _subclasses(kind)


def _class_of(key: str, settings: Sequence[Setting]) -> type | None:
    """Return the class that a key was last given, if it is one that is known."""
    names = [str(setting.value).rpartition(".")[2] for setting in settings if setting.key == key]
    modules: dict[str, type] = {
        "model": LightningModule,
        "data": LightningDataModule,
        "optimizer": torch.optim.Optimizer,
    }
    modules["lr_scheduler"] = torch.optim.lr_scheduler.LRScheduler
    if key == "trainer.callbacks":
        modules[key] = callbacks.Callback
    if key not in modules:
        return None
    kinds = {kind.__name__: kind for kind in _subclasses(modules[key])}
    return next((kinds[name] for name in reversed(names) if name in kinds), None)


def _culprit(key: str, settings: Sequence[Setting]) -> Setting | None:
    """Return the last setting of a key, or of anything below it."""
    exact = [setting for setting in settings if setting.key == key]
    below = [setting for setting in settings if setting.key.startswith(f"{key}.")]
    return exact[-1] if exact else below[-1] if below else None


def _place(culprit: Setting | None) -> str:
    return f" ({culprit.place})" if culprit and culprit.place else ""


def _expected(message: str) -> str:
    """Return what kind of value would have been accepted."""
    kinds: list[str] = []
    for name in re.findall(r"Not of type (\w+)|Expected a <class '(?:[\w.]+\.)?(\w+)'>", message):
        kind = RANGES.get(name[0] or name[1])
        if kind and kind not in kinds:
            kinds.append(kind)
    choices = re.findall(r"'([^']+)'", " ".join(re.findall(r"Expected a typing\.Literal\[(.+?)\]", message)))
    if choices:
        kinds = ["one of " + ", ".join(dict.fromkeys(choices))]
    return " or ".join(kinds)


def _given(message: str) -> str:
    found = re.search(r"Given value: (?:NestedArg\(key='\w+', val=)?(.+?)\)?$", message, re.MULTILINE)
    return found[1].strip("'") if found else "?"
