"""``fit``, ``validate``, ``test`` and ``predict``: LightningCLI, with a run's folder and its checkpoints."""

import json
import logging
import os
import secrets
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import jsonargparse
from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from firstlight import runs
from firstlight.callbacks import Checkpoints, Predictions, progress_bar
from firstlight.checkpoints import LocalCheckpoints, load_checkpoint
from firstlight.cli.arguments import Request
from firstlight.cli.explain import explain
from firstlight.cli.settings import Setting
from firstlight.errors import UsageError
from firstlight.runs import Run

__all__ = ["run"]

RUN_FOLDER = "FIRSTLIGHT_RUN_FOLDER"  # tells the processes that the first one starts which folder it claimed


def run(verb: str, typed: list[str]) -> None:
    """Do what was typed.

    Args:
        verb: ``fit``, ``validate``, ``test`` or ``predict``.
        typed: What stands after it.
    """
    _quiet()
    _allow_imports()
    Command(Request.read(verb, typed))


class Parser(LightningArgumentParser):
    """A parser that raises what it has to say."""

    settings: ClassVar[list[Setting]] = []  # of the command line that is being parsed

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise the message in a line or two; LightningCLI would print sixty."""
        if not self.exit_on_error:  # a parser inside the parser, for one class's arguments
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        raise UsageError(explain(message, parser, self.settings)) from ex


class SaveConfig(SaveConfigCallback):
    """Write ``config.yaml`` into the run's folder, wherever the logger writes."""

    def __init__(self, parser: LightningArgumentParser, config: Namespace, path: Path | None) -> None:
        super().__init__(parser, config, save_to_log_dir=False)
        self.path = path

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file; Lightning calls this in the first process only."""
        if self.path:
            self.parser.save(self.config, self.path, skip_none=False, overwrite=True, multifile=False)


class Command(LightningCLI):
    """LightningCLI for one request.

    Args:
        request: What was typed.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.run_folder: Run | None = None
        super().__init__(
            save_config_callback=SaveConfig,
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"allow_abbrev": False},
            args=request.args,
            load_from_checkpoint_support=False,  # models are built from plain hyperparameters
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Name the verbs, and the arguments of the Trainer's methods that this command line sets itself."""
        mine = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders", "weights_only"}
        return {
            "fit": mine,
            "validate": mine | {"verbose"},
            "test": mine | {"verbose"},
            "predict": mine | {"return_predictions"},
        }

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the seed."""
        parser.add_argument(
            "--seed_everything",
            type=bool | NonNegativeInt,
            default=0,
            help="Seed of all random numbers but the data's own; true draws one.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what a run is called, which one is meant, and how its checkpoints are kept."""
        parser.add_argument("--name", type=str | None, help="Name of a new run; by default that of the first config.")
        parser.add_argument(
            "--resume",
            type=str | None,
            nargs="?",
            help="fit: go on in the folder of a run (NAME, NAME/version_N or a folder; by default the latest).",
        )
        parser.add_argument(
            "--run",
            type=str | None,
            help="validate, test, predict: the run to take the best checkpoint of (by default the latest that matches).",
        )
        parser.add_class_arguments(Checkpoints, "checkpoint", skip={"folder"})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and leave out of the config what concerns this call alone."""
        Parser.settings = self.request.settings
        self.config = parser.parse_args(args)
        settings = self.config[self.config.subcommand]
        settings.name = settings.resume = settings.run = settings.ckpt_path = None
        if settings.seed_everything is True:
            settings.seed_everything = secrets.randbelow(2**32)

    def _parse_ckpt_path(self) -> None:
        """Leave the config as it was typed; Lightning would let the checkpoint's hyperparameters win over it."""

    def before_instantiate_classes(self) -> None:
        """Choose the run's folder, and hand models hyperparameters that any checkpoint reader understands."""
        settings = self.config[self.config.subcommand]
        if not settings.trainer.fast_dev_run:
            self.run_folder = self.request.run or _claimed(self.request)
        self.save_config_kwargs = {"path": self.run_folder.config if self.run_folder and self._fitting else None}
        for kind in (LightningModule, LightningDataModule):
            self.parser.add_instantiator(_instantiate_plainly, kind, subclasses=True)

    @property
    def _fitting(self) -> bool:
        return self.request.verb == "fit"

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer with the run's logger and callbacks."""
        settings = self.config_init[self.request.verb]
        callbacks = settings.trainer.callbacks or []
        callbacks = list(callbacks) if isinstance(callbacks, list) else [callbacks]
        callbacks += self._callbacks(settings, callbacks)
        logger = settings.trainer.logger
        if logger in (None, True):
            logger = self._logger() if self._fitting else False
        plugins = settings.trainer.plugins or []
        plugins = [*(plugins if isinstance(plugins, list) else [plugins]), LocalCheckpoints()]
        try:
            trainer = super().instantiate_trainer(callbacks=callbacks, logger=logger, plugins=plugins, **kwargs)
        except (MisconfigurationException, RuntimeError, TypeError, ValueError) as error:
            # the Trainer's constructor does nothing but check what was asked for
            raise UsageError(f"trainer: {_first_line(error)}") from error
        cores = max(os.cpu_count() or 1, 2)
        if trainer.num_devices > cores and isinstance(trainer.accelerator, CPUAccelerator):
            raise UsageError(f"trainer.devices is {trainer.num_devices}: this machine has {cores} processor cores")
        if settings.trainer.limit_train_batches == 0 and self._fitting:
            raise UsageError("trainer.limit_train_batches is 0: there is nothing to train on")
        return trainer

    def _callbacks(self, settings: Namespace, given: list[Callback]) -> list[Callback]:
        callbacks: list[Callback] = []
        if settings.trainer.enable_progress_bar is not False and not any(isinstance(c, ProgressBar) for c in given):
            callbacks.append(progress_bar())
        if self.run_folder is None:
            return callbacks
        if self._fitting and settings.trainer.enable_checkpointing is not False:
            settings.checkpoint.folder = self.run_folder.checkpoints
            callbacks.append(settings.checkpoint)
        if self.request.verb == "predict":
            callbacks.append(Predictions(self.run_folder.folder / "predictions.csv"))
        return callbacks

    def _logger(self) -> TensorBoardLogger | bool:
        if self.run_folder is None:
            return False
        folder = self.run_folder.folder
        return TensorBoardLogger(
            folder.parents[1], name=folder.parent.name, version=folder.name, default_hp_metric=False
        )

    def after_instantiate_classes(self) -> None:
        """Start from the chosen checkpoint, and say what is going to happen."""
        checkpoint = self.request.checkpoint
        self.config_init[self.request.verb].ckpt_path = str(checkpoint) if checkpoint else None
        if not self.trainer.is_global_zero:
            return
        if self._fitting:
            count = sum(parameter.numel() for parameter in self.model.parameters())
            where = f" in {self.run_folder}" if self.run_folder else ""
            print(f"{type(self.model).__name__}, {count:,} parameters, on {self.trainer.accelerator.name()}{where}")
        elif checkpoint is None:
            print("weights: untrained, as asked for (--ckpt_path none)")
        else:
            epoch = load_checkpoint(checkpoint)["epoch"] + 1
            print(f"weights: {_short(checkpoint)}, after epoch {epoch}")

    @staticmethod
    def configure_optimizers(lightning_module: LightningModule, optimizer: Any, lr_scheduler: Any = None) -> Any:
        """Step a schedule as it is meant: one that is laid out in steps after each step, any other after each epoch."""
        if isinstance(lr_scheduler, OneCycleLR | CyclicLR):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": lr_scheduler, "interval": "step"}}
        return LightningCLI.configure_optimizers(lightning_module, optimizer, lr_scheduler)

    def after_fit(self) -> None:
        """Say what came out, where it is, and what to do next."""
        if not self.trainer.is_global_zero:
            return
        if self.run_folder is None:
            print("every stage ran on a few batches; nothing was saved (trainer.fast_dev_run)")
            return
        for callback in self.trainer.callbacks:
            if isinstance(callback, Checkpoints) and callback.best_score is not None:
                epoch = (callback.best_epoch or 0) + 1
                print(
                    f"best {callback.monitor} {callback.best_score:.5g} after epoch {epoch}: {_short(self.run_folder.best)}"
                )
        print(f"run:     {self.run_folder}")
        print(f"curves:  firstlight tensorboard --logdir {_short(self.run_folder.folder.parents[1])}")
        print(f"next:    firstlight test --run {self.run_folder.name}")

    def validate(self, **kwargs: Any) -> None:
        """Score the validation data."""
        self._report(self.trainer.validate(verbose=False, **kwargs)[0])

    def test(self, **kwargs: Any) -> None:
        """Score the test data."""
        self._report(self.trainer.test(verbose=False, **kwargs)[0])

    def _report(self, scores: Mapping[str, float]) -> None:
        """Print the scores, and leave them in the run's folder."""
        if not self.trainer.is_global_zero:
            return
        print("  ".join(f"{name} {value:.5g}" for name, value in sorted(scores.items())))
        if self.run_folder:
            checkpoint = str(self.request.checkpoint) if self.request.checkpoint else None
            file = self.run_folder.folder / f"{self.request.verb}.json"
            file.write_text(json.dumps({"checkpoint": checkpoint, **scores}, indent=2) + "\n")

    def predict(self, **kwargs: Any) -> None:
        """Write predictions for the test data."""
        self.trainer.predict(return_predictions=False, **kwargs)
        if self.run_folder and self.trainer.is_global_zero:
            print(f"predictions: {_short(self.run_folder.folder / 'predictions.csv')}")


def _claimed(request: Request) -> Run:
    """Return the folder of the new run: made by the first process, told to those that it starts."""
    if int(os.environ.get("LOCAL_RANK", "0")) > 0 and RUN_FOLDER in os.environ:
        return Run(Path(os.environ[RUN_FOLDER]))
    claimed = runs.claim(request.root, request.name)
    os.environ[RUN_FOLDER] = str(claimed.folder.absolute())
    return claimed


def _instantiate_plainly(kind: type, *args: Any, **kwargs: Any) -> Any:
    """Build a model or data module from numbers that are nothing but numbers.

    A ``PositiveInt`` that jsonargparse parsed is a class of its own, which no checkpoint may hold.
    """
    return kind(*args, **{name: _plain(value) for name, value in kwargs.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    for kind in (int, float):
        if isinstance(value, kind) and not isinstance(value, bool):
            return kind(value)
    return value


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _short(path: Path) -> Path:
    """Return a path relative to the current folder, where that is shorter."""
    relative = Path(os.path.relpath(path))
    return path if ".." in relative.parts else relative


def _allow_imports() -> None:
    """Let a config name classes of Lightning, torch and firstlight, and of packages that their owner added.

    A package of one's own is added by installing it with an entry point in the group
    ``firstlight.packages``, or by the environment variable FIRSTLIGHT_PACKAGES (names, with commas
    between), never by a config: importing a module runs it.
    """
    own = {entry.value for entry in entry_points(group="firstlight.packages")}
    own |= {name.strip() for name in os.environ.get("FIRSTLIGHT_PACKAGES", "").split(",") if name.strip()}
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=["firstlight", "lightning.pytorch", "torch.optim", "torch.nn", *own],
    )
    for name in ("firstlight.models", "firstlight.data", *sorted(own)):
        import_module(name)  # classes can then be named without their module


def _quiet() -> None:
    """Silence what is no news: Lightning's greetings, and warnings that are wrong here, each by its text."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        # scores are logged once an epoch, not every log_every_n_steps
        r"The number of training batches \(\d+\) is smaller than the logging interval",
        # that is what --optimizer is for
        r".*`\w+\.configure_optimizers` will be overridden by `Command\.configure_optimizers`",
        # Lightning 2.6's own use of jsonargparse and torch
        r"\s*``?instantiate_classes",
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    ):
        warnings.filterwarnings("ignore", message)
