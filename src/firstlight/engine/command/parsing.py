"""The arguments of ``fit``, ``validate``, ``test`` and ``predict``: LightningCLI's, and what a run adds to them."""

import secrets
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback, instantiate_class
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, OneCycleLR

from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.command.explain import explain
from firstlight.engine.command.request import Request
from firstlight.engine.command.settings import Setting
from firstlight.engine.files import write_atomically
from firstlight.engine.runs.loading import load_run_checkpoint
from firstlight.errors import UsageError

__all__ = ["Arguments"]


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

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Wait: a run that is refused leaves the config of the run it was to go on with as it is."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file, from the first process."""
        if trainer.is_global_zero:
            self.save_config(trainer, pl_module, "fit")

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write the file."""
        if self.path:
            write_atomically(self.path, self.parser.dump(self.config, skip_none=False).encode())


class Arguments(LightningCLI):
    """LightningCLI for one request, up to the parsed configuration.

    Args:
        request: What was typed.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.checkpoint = load_run_checkpoint(request.checkpoint) if request.checkpoint else None
        super().__init__(
            save_config_callback=SaveConfig,
            trainer_defaults={"enable_model_summary": False},
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={"allow_abbrev": False},
            load_from_checkpoint_support=False,  # models are built from plain hyperparameters
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # the parsers of other verbs take time
        """Name the verb, and the arguments of the Trainer's method that this command line sets itself."""
        mine = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders", "weights_only"}
        return {self.request.verb: mine | {"verbose", "return_predictions"}}

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
            help="validate, test, predict: the run whose best checkpoint to take (by default the latest that matches).",
        )
        parser.add_argument(
            "--updates_per_batch",
            type=PositiveInt,
            default=1,
            help="fit: updates in one step of the Trainer, for speed: the result is the same to the bit. Always one at "
            "a time where a setting, a schedule or a callback looks at single batches or updates.",
        )
        parser.add_argument(
            "--pictures",
            type=Literal["none", "few", "all"],
            default="few",
            help="fit: what TensorBoard shows besides curves: pictures of what was learned; or also the model's graph, "
            "its step size, and histograms of weights and gradients.",
        )
        parser.add_class_arguments(Checkpoints, "checkpoint", skip={"folder", "signals"})

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what was typed, over what the checkpoint says of its model; keep what concerns this call out of it."""
        request = self.request
        Parser.settings = request.settings
        self.config = parser.parse_args(request.arguments(self.checkpoint))
        settings = self.config[request.verb]
        settings.name = settings.resume = settings.run = settings.ckpt_path = None
        if settings.seed_everything is True:
            settings.seed_everything = secrets.randbelow(2**32)
        if settings.optimizer and any(s.key == "model.lr" and not s.place for s in request.settings):
            raise UsageError("model.lr has no effect beside an optimizer of its own step size: set --optimizer.lr")

    def _parse_ckpt_path(self) -> None:
        """Leave the config as it was typed; Lightning would let the checkpoint's hyperparameters win over it."""

    @staticmethod
    def configure_optimizers(lightning_module: LightningModule, optimizer: Any, lr_scheduler: Any = None) -> Any:
        """Step a schedule as it is meant: one that is laid out in steps after each step, any other after each epoch."""
        for group in optimizer.param_groups:  # one; a strategy may have put others in place of its parameters
            group["params"] = list(lightning_module.parameters())
        if isinstance(lr_scheduler, OneCycleLR | CyclicLR):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": lr_scheduler, "interval": "step"}}
        return LightningCLI.configure_optimizers(lightning_module, optimizer, lr_scheduler)

    def schedule_own_optimizer(self, schedule: Namespace) -> None:
        """Put a schedule on the model's own optimizer; LightningCLI would leave it out without a word."""
        own = self.model.configure_optimizers

        def configure_optimizers() -> Any:
            optimizer = own()
            if not isinstance(optimizer, Optimizer):
                raise UsageError(
                    f"lr_scheduler: {type(self.model).__name__} has a schedule of its own; set --optimizer too"
                )
            return self.configure_optimizers(self.model, optimizer, instantiate_class(optimizer, schedule.as_dict()))

        self.model.configure_optimizers = configure_optimizers
