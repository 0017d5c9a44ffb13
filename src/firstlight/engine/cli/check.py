"""``firstlight check``: build configs and run a batch of each stage, without training, writing or downloading."""

import contextlib
import io
import logging
import math
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.optim.lr_scheduler import OneCycleLR

from firstlight.data import Batches, InMemory
from firstlight.engine.cli.schema import print_schema
from firstlight.engine.cli.verbs import Parser
from firstlight.engine.command.command import Command, run
from firstlight.engine.command.configs import known
from firstlight.engine.command.explain import not_logged, too_few_steps
from firstlight.engine.runs.folders import relative_to_cwd
from firstlight.errors import DataError, FirstlightError, UsageError

__all__ = ["check"]

SCHEMA = (
    "print a JSON Schema of a config; keep it in a file, and an editor with yaml-language-server completes and checks "
    "configs that begin with: # yaml-language-server: $schema=FILE"
)
BASE = "linear_regression"  # what presets are checked on: it is small, and its data are computed


def check(args: list[str]) -> None:
    """Say of each config, in a line, whether it runs; end with 2 if one does not."""
    parser = Parser("check", "Build configs and run a batch of each stage. Nothing is written or downloaded.")
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="names or files; by default all of: configs")
    parser.add_argument("--schema", action="store_true", help=SCHEMA)
    options = parser.parse_args(args)
    if options.schema:
        print_schema()
        return
    verdicts = []
    for name in options.configs or known():
        verdict, reason = _try(name)
        verdicts.append(verdict)
        print(f"{verdict:9}{name}" + (f": {reason}" if reason else "").replace("\n", "\n" + 9 * " "), flush=True)
    if "error:" in verdicts:
        sys.exit(2)


def _try(name: str) -> tuple[str, str]:
    """Return ``ok``, ``skipped`` or ``error:``, and why."""
    configs = [BASE, name] if Path(name).parent.name == "presets" else [name]
    flags = [*(f"--config={config}" for config in configs), "--trainer.fast_dev_run=true"]
    with _silence():
        try:
            trial = cast("Trial", run("fit", flags, Trial))
        except DataError as error:
            missing = isinstance(error.__cause__, FileNotFoundError)
            return "skipped" if missing else "error:", str(error)
        except FirstlightError as error:
            return "error:", str(error)
        except Exception as error:  # a class of the user's own may raise anything
            if os.environ.get("FIRSTLIGHT_DEBUG"):
                traceback.print_exc(file=sys.__stderr__)
            where = traceback.extract_tb(error.__traceback__)[-1]
            return "error:", f"{repr(error)[:200]} in {relative_to_cwd(Path(where.filename))}, line {where.lineno}"
    return "ok", trial.remark


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let nothing be printed, by whatever way."""
    logging.disable()
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        logging.disable(logging.NOTSET)


class Trial(Command):
    """A batch of each stage on the CPU, with data that are there already."""

    remark = ""

    def before_instantiate_classes(self) -> None:
        """Ask for an end of training."""
        trainer = self.config["fit"].trainer
        if trainer.max_epochs is None and trainer.max_steps == -1 and trainer.max_time is None:
            raise UsageError("trainer.max_epochs is not set, nor max_steps or max_time: Lightning trains 1000 epochs")
        super().before_instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the Trainer as it is configured, to see that it can be, and another to work with."""
        here = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto", **kwargs}
        try:
            self.planned = super().instantiate_trainer(fast_dev_run=False, **kwargs)
        except UsageError as error:
            if not re.search(r"No supported gpu backend found|can not run on your system", str(error)):
                raise
            self.remark = f"on the CPU ({error})"
            self.planned = super().instantiate_trainer(fast_dev_run=False, **here)
        return super().instantiate_trainer(**here)

    def after_instantiate_classes(self) -> None:
        """Keep the data module from downloading."""
        super().after_instantiate_classes()
        if self.datamodule:
            self.datamodule.prepare_data = lambda: None

    def fit(self, **kwargs: Any) -> None:
        """Run every stage that there is, and look for what only shows later in a run."""
        super().fit(**kwargs)
        self._check_monitors()
        self._check_sizes()
        source = self.datamodule or self.model
        for stage, call in (("validation", "validate"), ("test", "test"), ("predict", "predict")):
            loader = f"{stage.removesuffix('idation')}_dataloader"
            if is_overridden(loader, source) and is_overridden(f"{stage}_step", self.model):
                getattr(self.trainer, call)(self.model, datamodule=self.datamodule)

    def _check_monitors(self) -> None:
        """Look for scores that callbacks wait for in vain; with fast_dev_run they do not look themselves."""
        logged = self.trainer.callback_metrics
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, EarlyStopping | ModelCheckpoint) and callback.monitor not in (None, *logged):
                raise not_logged(f"trainer.callbacks: {type(callback).__name__}.monitor", str(callback.monitor), logged)

    def _check_sizes(self) -> None:
        """Compare batches with the data, and the schedule with the steps of the whole run."""
        data = self.datamodule
        if isinstance(data, InMemory) and (data.batch_size or 0) > len(data.train[0]):
            raise UsageError(f"data.batch_size is {data.batch_size}, more than the {len(data.train[0])} to train on")
        steps = self._steps()
        for schedule in (config.scheduler for config in self.trainer.lr_scheduler_configs):
            if isinstance(schedule, OneCycleLR) and schedule.total_steps < steps:
                raise too_few_steps(schedule.total_steps, steps)

    def _steps(self) -> int:
        """Return the optimizer steps of the whole run; 0 if they cannot be known."""
        planned, loader = self.planned, self.trainer.train_dataloader
        if not isinstance(loader, Batches) or planned.max_epochs in (None, -1):
            return max(planned.max_steps, 0)
        batches, limit = len(loader), planned.limit_train_batches
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = planned.max_epochs * math.ceil(batches / planned.accumulate_grad_batches)
        return steps if planned.max_steps == -1 else min(steps, planned.max_steps)
