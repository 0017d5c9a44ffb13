"""The parser of ``fit``, ``validate``, ``test`` and ``predict``: LightningCLI's arguments, and those of a run."""

import inspect
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Literal

from jsonargparse import ArgumentError, Namespace
from jsonargparse.typing import PositiveInt, restricted_number_type
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import StrategyRegistry
from torch.optim.lr_scheduler import LRScheduler

from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.command.classes import UNSERIALIZED
from firstlight.engine.command.explain import Mistake
from firstlight.engine.command.failures import own_line
from firstlight.engine.command.optimizers import lengths
from firstlight.engine.command.own_flags import OWN_FLAGS
from firstlight.engine.command.refusals import refused_value
from firstlight.engine.command.request import Request
from firstlight.engine.command.settings import Setting
from firstlight.engine.program import expand_home, program
from firstlight.errors import FirstlightError, UsageError


class _Parser(LightningArgumentParser):
    """LightningCLI's parser, but for what the run knows: the lengths of schedules, and where a logger writes.

    Both may be left out; lengths may also be shares of the run.
    """

    def add_class_arguments(self, class_type: type, *args: Any, **kwargs: Any) -> list[str]:
        own = lengths(class_type) if issubclass(class_type, LRScheduler) else {}
        if issubclass(class_type, Logger) and "save_dir" in inspect.signature(class_type).parameters:
            own["save_dir"] = {"type": str | None, "default": None, "help": "By default the folder of the run."}
        kwargs["skip"] = {*(kwargs.get("skip") or ()), *own}
        added = super().add_class_arguments(class_type, *args, **kwargs)
        prefix = f"{args[0]}." if args and args[0] else ""
        for name, about in own.items():
            self.add_argument(f"--{prefix}{name}", **about)
        return [*added, *(prefix + name for name in own)]


BAREBONES = {"enable_checkpointing": False, "enable_progress_bar": False, "log_every_n_steps": 0, "logger": False}
"""What ``trainer.barebones`` turns off, unless it is typed too, which the Trainer refuses."""
XLA_PROFILERS = ("xla", "lightning.pytorch.profilers.XLAProfiler")
CHOICES: dict[str, Any] = {
    "logger": Literal["tensorboard", "csv", "wandb", "mlflow", "none"],
    "pictures": Literal["none", "few", "all"],
}
"""Types of flags with few values."""
Seed = restricted_number_type("Seed", int, [(">=", 0), ("<", 2**32)])  # NumPy takes no larger one


@cache
def make_parser(stage: str) -> LightningArgumentParser:
    """Return the parser of a stage, made once in a process; it raises ``ArgumentError`` for a mistake."""
    parser = _Parser(
        prog=f"{program()} {stage}",
        description=f"All settings of {stage}; those of a class: --model.help MLP.",
        dump_header=[f"lightning.pytorch=={version('lightning')}"],
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("-c", "--config", action="config", help="A config, by name or file.")
    parser.add_argument(
        "--seed_everything",
        type=bool | Seed,
        default=0,
        help="Seed of all random numbers but the data's own; true draws one.",
    )
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.set_defaults({"trainer.enable_model_summary": False})
    parser.add_lightning_class_args(LightningModule, "model", subclass_mode=True)
    parser.add_lightning_class_args(LightningDataModule, "data", subclass_mode=True, required=False)
    _add_run_arguments(parser)
    parser.add_optimizer_args()
    parser.add_lr_scheduler_args()
    return parser


def _add_run_arguments(parser: LightningArgumentParser) -> None:
    """Add what is about the run: which one, how it is trained, its pictures, its checkpoints."""
    for flag, text in OWN_FLAGS.items():  # a request has read them; here they are for the help, and in old configs
        parser.add_argument(f"--{flag}", type=str | None, help=text)
    parser.add_argument(
        "--updates_per_batch",
        type=PositiveInt,
        default=1,
        help="fit: optimizer updates in one step of the Trainer, for speed; the result is bit-identical. Always one at "
        "a time where a setting, a schedule or a callback looks at single batches or updates.",
    )
    parser.add_argument(
        "--logger",
        type=CHOICES["logger"],
        default="tensorboard",
        help="fit: where the curves go; wandb and mlflow need their packages. A logger with settings of its own, or "
        "several: --trainer.logger.",
    )
    parser.add_argument(
        "--pictures",
        type=CHOICES["pictures"],
        default="few",
        help="fit: what a logger shows besides curves: pictures of what was learned; or, in "
        "TensorBoard, also the model's graph, its learning rate, and histograms of weights and gradients.",
    )
    parser.add_class_arguments(Checkpoints, "checkpoint", skip={"folder", "signals"})


def parse(
    parser: LightningArgumentParser, request: Request, saved: Mapping[str, Any] | None, more: Sequence[Setting] = ()
) -> Namespace:
    """Return the configuration that a request asks for, with what was saved in its checkpoint below it.

    Raises:
        UsageError: If a setting is unknown, missing or wrong.
        CheckpointError: If the checkpoint is another model's.
    """
    try:
        config = parser.parse_args(request.arguments(saved))
        parser.validate(config, skip_unset=False)  # parse_args does not look at what a file says is null
    except (ArgumentError, TypeError) as error:
        raise UsageError(Mistake(str(error), parser, [*request.settings, *more]).explain()) from error
    for key, value in config.items():
        config[key] = expand_home(value)
    for flag in OWN_FLAGS:
        config[flag] = None  # they concern this command, not the run
    profiler = config.trainer.profiler  # Lightning's, once it is half built, ends with a traceback
    if getattr(profiler, "class_path", profiler) in XLA_PROFILERS and find_spec("torch_xla") is None:
        raise refused_value("profiler", profiler, "it needs the package torch_xla", request.settings)
    if config.trainer.barebones:
        for name in [name for name in BAREBONES if f"trainer.{name}" not in request.typed]:
            config.trainer[name] = BAREBONES[name]
    kinds = {name: entry["strategy"].__name__ for name, entry in StrategyRegistry.items()}
    if names := [name for name, kind in kinds.items() if kind == config.trainer.strategy]:
        config.trainer.strategy = min(names, key=len)  # DDPStrategy is ddp
    if config.seed_everything is True:
        config.seed_everything = secrets.randbelow(2**32)
    if config.optimizer and "model.lr" in request.typed:
        raise UsageError("model.lr has no effect, as --optimizer has a learning rate of its own: set --optimizer.lr")
    return config


def dump(parser: LightningArgumentParser, config: Namespace) -> str:
    """Return a configuration as the text of a config; raise a ``UsageError`` if it could not be read again."""
    text: str = parser.dump(config, skip_unset=False, skip_validation=True)
    for line in text.splitlines():
        if UNSERIALIZED in line:
            what = line.strip().replace(UNSERIALIZED, "")
            raise UsageError(f"{what}: no config can hold this default; set it to something with an import path")
    return text


def instantiate(parser: LightningArgumentParser, config: Namespace, settings: Sequence[Setting]) -> Namespace:
    """Return a configuration with objects in place of classes; raise a ``UsageError`` if one refuses its arguments."""
    refused: list[FirstlightError] = []

    def construct(kind: type, /, *args: Any, **kwargs: Any) -> Any:
        try:
            return _construct(kind, settings, *args, **kwargs)
        except FirstlightError as error:
            refused.append(error)
            raise

    try:
        built: Namespace = parser.instantiate(config, instantiators=[(construct, object, True)])
    except ValueError:  # what jsonargparse makes of any other
        if refused:
            raise refused[-1] from None
        raise
    return built


def _construct(kind: type, settings: Sequence[Setting], /, *args: Any, **kwargs: Any) -> Any:
    """Build an object; models and data modules from plain numbers, as they are saved in checkpoints.

    A ``PositiveInt`` that jsonargparse parsed is a class of its own, which no checkpoint may hold.
    """
    if issubclass(kind, LightningModule | LightningDataModule):
        kwargs = {name: _plain_numbers(value) for name, value in kwargs.items()}
    try:
        return kind(*args, **kwargs)
    except FirstlightError:
        raise
    except Exception as error:
        says_why = isinstance(error, MisconfigurationException | TypeError | ValueError) and str(error)
        first = ("" if says_why else f"{type(error).__name__}: ") + str(error).partition("\n")[0]
        line = own_line(error)
        named = (setting.place for setting in reversed(settings) if str(setting.value).endswith(kind.__name__))
        place = next(filter(None, named), "")
        hint = "\nFIRSTLIGHT_DEBUG=1 shows the traceback" if line else ""
        raise UsageError(f"{kind.__name__}{f' ({place})' if place else ''}: {first}{line}{hint}") from error


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(_plain_numbers, value))
    for kind in (int, float):
        if isinstance(value, kind) and any(base.__module__ == PositiveInt.__module__ for base in type(value).__mro__):
            return kind(value)
    return value
