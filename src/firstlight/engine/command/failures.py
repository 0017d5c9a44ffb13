"""What a complaint of torch or Lightning means to a user, where a user can mend it."""

import re
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from torch import nn

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.configs import PACKAGE
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.engine.texts import in_short, printable
from firstlight.errors import CheckpointError, DataError, FirstlightError, UsageError
from firstlight.tasks import Classification

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
SPLITS = ("train", "val", "test")
SIZES = "set sizes in --model or --data"
LABELS = (
    "class numbers need the type torch.long and the shape (batch,); Table makes classes of numbers by --data.kind class"
)
CONTENT_ERRORS = (AttributeError, LookupError, NotImplementedError, TypeError, ValueError)
"""What code raises that is given other content than it is written for."""
MISMATCHES = {
    "shapes cannot be multiplied": SIZES,
    "is out of bounds": SIZES,
    "The size of tensor a": SIZES,
    "channels, but got": SIZES,
    "running_mean should contain": SIZES,
    "Given normalized_shape": SIZES,
    "index out of range in self": SIZES,
    "Using a target size": "outputs and targets need the same shape: (batch, 1) for one number each",
    "target tensor expected": LABELS,
    "expected target dtype": LABELS,
    "expected scalar type Long": LABELS,  # torch 2.11
    "target with class probabilities": "forward needs to return a number for each class: (batch, num_classes)",
    "have the same dtype": "inputs need a floating-point type, as weights have",
}
"""What torch says where model and data do not fit, and what to do."""


def first_failure(error: BaseException) -> BaseException:
    """Return the error to report: after one in a loader's ``__iter__``, Lightning's teardown raises another."""
    hides = str(error).startswith("Please call `iter(combined_loader)` first")
    return error.__context__ if hides and error.__context__ else error


def explain_failure(error: BaseException, checkpoint: Path | None) -> FirstlightError | None:
    """Return the error to show in place of one that torch or Lightning raised, or None if a user cannot mend it."""
    message = str(error)
    if message.startswith("Error(s) in loading state_dict for"):
        return CheckpointError(f"checkpoint {checkpoint} does not fit the model: {in_short(error)} ...")
    if checkpoint and not isinstance(error, FirstlightError) and _is_raised_in_restoring(error):
        reason = f"{type(error).__name__}: {printable(message)[:200]}{own_line(error)}"
        return CheckpointError(f"checkpoint {relative_to_cwd(checkpoint)} cannot be restored: {reason}")
    for complaint, advice in MISMATCHES.items():
        if complaint in message and isinstance(error, IndexError | RuntimeError | UserWarning | ValueError):
            first = message.partition("\n")[0].partition(". ")[0]
            if widths := re.search(r"shapes cannot be multiplied \(\d+x(\d+) and (\d+)x", message):
                first = f"an example has {widths[1]} numbers where a layer takes {widths[2]}"
            model, layer = _model_and_layer(error)
            if (number := re.match(r"Target (\d+) is out of bounds", message)) and isinstance(model, Classification):
                first = f"class {number[1]}, but num_classes is {model.num_classes}"
            return UsageError(f"model and data do not fit each other: {first}{layer}{own_line(error)}\n{advice}")
    return _missing_part(error, message) or _refused_setting(message)


def _missing_part(error: BaseException, message: str) -> FirstlightError | None:
    """Return the error about what a model or a data module of the user's own lacks."""
    if found := re.match(r"No `(\w+)\(\)` method defined", message):
        return UsageError(f"the model has no {found[1]}")
    if found := re.match(r"`(\w+_dataloader)` must be implemented", message):
        selves = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
        if named := [type(each).__name__ for each in selves if isinstance(each, LightningDataModule)]:
            return UsageError(f"{named[0]} has no {found[1]}")
        return UsageError("no data is named: choose a config with --config NAME, or name it with --data")
    if isinstance(error, AttributeError) and isinstance(error.obj, LightningDataModule) and error.name in SPLITS:
        kind = type(error.obj).__name__
        return DataError(f"{kind} has no {error.name}: its setup() must set train, val and test")
    if _is_raised_in_default_predict_step(error):
        first = printable(message.partition("\n")[0])
        what = "the model has no predict_step, and its forward does not take a batch as it is"
        return UsageError(f"{what}: {first}{own_line(error)}")
    return None


def _refused_setting(message: str) -> UsageError | None:
    """Return the error about a setting that only a callback or a schedule can judge."""
    if found := re.search(r"conditioned on metric `?([^`]*?)`? which is not available.*?: ([^]\n]*)", message):
        owner = "trainer.callbacks: EarlyStopping" if message.startswith("Early") else "lr_scheduler"
        return _not_logged(f"{owner}.monitor", found[1], re.findall(r"[`'](.+?)[`']", found[2]))
    if found := re.match(r"`ModelCheckpoint\(monitor='(.*)'\)` could not find .* metrics: \[(.*)\]", message):
        logged = [name for name in re.findall(r"'(.+?)'", found[2]) if name not in ("epoch", "step")]
        return _not_logged("trainer.callbacks: ModelCheckpoint.monitor", found[1], logged)
    if "parameters that were not used in producing the loss" in message:
        strategy = "ddp_find_unused_parameters_true"
        return UsageError(f"trainer.strategy: a step leaves out some parameters, so it has to be {strategy}")
    if "uninitialized parameters can't be used with `DistributedDataParallel`" in message:
        way = "give them their sizes, or let them see an example in __init__"
        return UsageError(f"trainer.devices: several processes cannot train lazy layers: {way}")
    if found := re.match(r"Tried to step \d+ times. The specified number of total steps is (\d+)", message):
        total = f"lr_scheduler.total_steps is {found[1]}"
        return UsageError(f"{total}, but the run goes on: raise it, or end the run earlier")
    return None


def refuse_unlogged(trainer: Trainer, logged: Iterable[str]) -> None:
    """Raise a ``UsageError`` for a score that is watched and not logged."""
    watched = [
        (f"trainer.callbacks: {type(each).__name__}.monitor", each.monitor)
        for each in internals.callbacks_of(trainer, Callback)
        if isinstance(each, EarlyStopping | ModelCheckpoint) and getattr(each, "strict", True)  # else it may wait
    ]
    schedules = [config for config in trainer.lr_scheduler_configs if config.reduce_on_plateau and config.strict]
    watched += [("lr_scheduler.monitor", config.monitor) for config in schedules]
    for setting, score in watched:
        if score is not None and score not in logged:
            raise _not_logged(setting, score, logged)


def _not_logged(setting: str, score: str, logged: Iterable[str]) -> UsageError:
    return UsageError(f"{setting} is {score!r}, but the model logs {', '.join(logged) or 'nothing'}")


def _is_raised_in_restoring(error: BaseException) -> bool:
    """Return whether Lightning, or a hook of the user's own, failed as it restored the content of a checkpoint."""
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    return isinstance(error, CONTENT_ERRORS) and any("checkpoint_connector" in file for file in files)


def _is_raised_in_default_predict_step(error: BaseException) -> bool:
    """Return whether ``forward`` failed in Lightning's own ``predict_step``, which gives it a batch as it is."""
    code = LightningModule.predict_step.__code__
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, CONTENT_ERRORS) and any(frame.f_code is code for frame in frames)


def _model_and_layer(error: BaseException) -> tuple[LightningModule | None, str]:
    """Return the model that an error came through, and words for the layer of it that raised the error, if one did."""
    selves = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [each for each in selves if isinstance(each, nn.Module)]
    model = next((each for each in modules if isinstance(each, LightningModule)), None)
    names = [name for name, module in model.named_modules() if module is modules[-1] and name] if model else []
    return model, f", in {names[0]}, {modules[-1]}" if names and not [*modules[-1].children()] else ""


def own_line(error: BaseException) -> str:
    """Return the last line of the user's own code that an error came through: neither installed nor Python's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({relative_to_cwd(Path(error.filename))}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        installed = "site-packages" in path.parts or any(map(path.is_relative_to, (PACKAGE, STANDARD_LIBRARY)))
        if path.is_absolute() and not installed:
            return f" ({relative_to_cwd(path)}, line {frame.lineno})"
    return ""
