"""Where the curves of a run go: into its folder, or to a service that shows many runs."""

import importlib
import inspect
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from firstlight.engine import processes
from firstlight.engine.command.request import Request
from firstlight.engine.csv_logger import ResumableCSVLogger
from firstlight.engine.documents import read_json
from firstlight.engine.files import write_atomically
from firstlight.engine.program import program
from firstlight.engine.runs.folders import Run, relative_to_cwd
from firstlight.errors import UsageError


class Curves(TensorBoardLogger):
    """Lightning's logger, but without the curve ``epoch``."""

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write a point of each curve."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)


LOGGERS: dict[str, type[Logger]] = {
    "tensorboard": Curves,
    "csv": ResumableCSVLogger,
    "wandb": WandbLogger,
    "mlflow": MLFlowLogger,
}
"""What ``--logger`` takes, besides ``none``."""
IDS = "loggers.json"
"""File in a run's folder: by which id a service knows the run."""


@dataclass(frozen=True)
class Place:
    """Where the loggers of a command write."""

    request: Request
    run: Run | None
    """None in all processes but the first, which log nothing."""
    start_step: int | None
    """The step that the run goes on from, if it does."""

    def choose(self, given: list[Logger] | Logger | bool | None, name: str) -> list[Logger] | Logger | bool:
        """Return the loggers of a command, from what ``trainer.logger`` was built to and what ``logger`` says.

        Evaluation has none but those that are typed: its scores are files.

        Raises:
            UsageError: If both are given, or a package is not installed.
        """
        is_fit = self.request.stage == "fit"
        if not is_fit and "trainer.logger" not in self.request.typed:
            return False
        if given not in (None, True):
            if "logger" in self.request.typed:
                raise UsageError("--logger and --trainer.logger both say where curves go: use one of them")
            return given
        if not is_fit or name == "none":
            return False
        # a process that logs nothing must not open the database of a service either
        kind = LOGGERS[name] if self.run or processes.is_first_process() else Curves
        try:
            return kind(**self._missing(kind, {}))
        except ModuleNotFoundError as error:
            raise UsageError(f"--logger {name} needs the package {name}: pip install {name}") from error

    def fill(self, config: Namespace) -> Namespace:
        """Return a config with what the classes in ``trainer.logger`` were not told: where to write, and which run."""
        filled = config.clone()
        loggers = config.trainer.logger
        filled.trainer.logger = [*map(self._filled, loggers)] if isinstance(loggers, list) else self._filled(loggers)
        return filled

    def _filled(self, logger: Any) -> Any:
        if not isinstance(logger, Namespace):
            return logger
        module, _, name = logger.class_path.rpartition(".")
        kind = getattr(importlib.import_module(module), name)
        kind = {CSVLogger: ResumableCSVLogger, TensorBoardLogger: Curves}.get(kind, kind)
        given = logger.as_dict().get("init_args", {})
        filled = logger.clone()
        filled.class_path = f"{kind.__module__}.{kind.__qualname__}"
        for name, value in self._missing(kind, given).items():
            filled[f"init_args.{name}"] = value
        return filled

    def _missing(self, kind: type[Logger], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that say where a logger writes, but for those that were given."""
        request = self.request
        folder = self.run.folder if self.run else request.root / "lightning_logs" / request.name / "new"
        runs, version = folder.parents[1], folder.name if self.run else None
        arguments: dict[str, Any] = {"save_dir": folder, "name": str(self.run.name if self.run else request.name)}
        if issubclass(kind, TensorBoardLogger | CSVLogger):
            # a killed run's curve may be ahead of its checkpoint: what comes again replaces it
            purge_step = self.start_step if request.run and request.stage == "fit" else None
            arguments = {"save_dir": runs, "name": folder.parent.name, "version": version, "purge_step": purge_step}
            arguments["default_hp_metric"] = False
        elif issubclass(kind, MLFlowLogger):
            arguments = {"run_name": arguments["name"]}
            if server := os.environ.get("MLFLOW_TRACKING_URI"):  # Lightning knows only what it was at import
                arguments["tracking_uri"] = server
            elif given.get("save_dir") in (None, "./mlruns"):
                # one store for all runs, to compare them; recent releases of MLflow refuse a folder
                arguments["tracking_uri"] = f"sqlite:///{runs / 'mlflow.db'}"
                arguments["artifact_location"] = runs / "mlartifacts"
        ids = read_json(folder / IDS) if (folder / IDS).is_file() else {}
        arguments |= dict.fromkeys(("id", "run_id", "experiment_key"), ids.get(kind.__name__))
        taken = inspect.signature(kind).parameters
        return {
            name: str(value) if isinstance(value, Path) else value
            for name, value in arguments.items()
            if (name in taken or (name == "purge_step" and issubclass(kind, TensorBoardLogger)))
            and given.get(name) in (None, taken[name].default if name in taken else None)
        }


def keep_ids(run: Run, loggers: Iterable[Logger]) -> None:
    """Write into a run's folder by which ids services know the run, for its resume."""
    ids = {type(each).__name__: each.version for each in loggers if not isinstance(each, TensorBoardLogger | CSVLogger)}
    if ids := {name: str(version) for name, version in ids.items() if version is not None}:
        write_atomically(run.folder / IDS, json.dumps(ids, indent=2).encode() + b"\n")


def where_to_look(loggers: Iterable[Logger]) -> Iterator[str]:
    """Yield, for each logger of a run that has ended, what to type or where to look."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            yield f"{program()} tensorboard --logdir {shlex.quote(str(relative_to_cwd(Path(logger.save_dir))))}"
        elif isinstance(logger, CSVLogger):
            yield str(relative_to_cwd(Path(logger.log_dir, "metrics.csv")))
        elif isinstance(logger, WandbLogger):
            run = logger.experiment
            parts = sorted(Path(run.dir).parents[1].glob(f"offline-run-*-{run.id}"))
            paths = [str(relative_to_cwd(part)) for part in parts]  # each resume leaves one
            yield f"wandb sync {shlex.join(paths)}" if run.offline else str(run.url)
        elif isinstance(logger, MLFlowLogger):
            store = logger.experiment.tracking_uri
            yield store if store.startswith("http") else f"mlflow ui --backend-store-uri {shlex.quote(store)}"
        else:
            yield f"{type(logger).__name__}, run {logger.version}"
