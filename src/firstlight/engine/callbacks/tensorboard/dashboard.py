"""TensorBoard's tabs Custom Scalars and HParams: training and validation in one chart, and a table of runs."""

import io
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.tensorboard.details import Details
from firstlight.engine.callbacks.tensorboard.pictures import Pictures, tensorboard_loggers
from firstlight.engine.files import write_atomically
from firstlight.gallery import stage_of

__all__ = ["Dashboard", "hyperparameters", "tensorboard_callbacks"]

HPARAMS_FILE = "events.out.tfevents.0.hparams"
"""TensorBoard reads files by name, and never an earlier one again: this name sorts before those of the loggers."""
NOT_HYPERPARAMETERS = ("root", "device_resident")  # where the data is makes no difference to the scores


def tensorboard_callbacks(seed: int, pictures: Literal["none", "few", "all"]) -> list[Callback]:
    """Return the callbacks that fill TensorBoard besides the curves.

    Args:
        seed: Seed of the run.
        pictures: How much is drawn: ``few`` are the pictures of the gallery, ``all`` adds the details.
    """
    callbacks: list[Callback] = [Dashboard(seed)]
    if pictures != "none":
        callbacks.append(Pictures())
    if pictures == "all":
        callbacks.append(Details())
    return callbacks


class Dashboard(Callback):
    """Fill TensorBoard's tabs Custom Scalars and HParams.

    Custom Scalars: one chart a score, with its curves of training and of validation. The x axis is the optimizer
    step, as in all curves and pictures; the scalar ``epoch`` tells which step ends which epoch.

    HParams: one row a run, written at its first step, so it is there however the run ends. Next to the
    hyperparameters TensorBoard shows the run's scores; ``Checkpoints`` logs the best one.

    A ``TensorBoardLogger`` of your own needs ``default_hp_metric=False``: with the default, Lightning adds an entry
    ``hp_metric`` to the same tab, and TensorBoard shows no other columns.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._has_charts = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the run's row."""
        self._has_charts = False
        self._write_rows(trainer, ended=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the charts as soon as there are scores."""
        self._write_charts(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the run's row again: it has ended."""
        self._write_charts(trainer)
        self._write_rows(trainer, ended=True)

    def _write_charts(self, trainer: Trainer) -> None:
        charts = dict(_charts(trainer.callback_metrics))
        if self._has_charts or not charts:
            return
        self._has_charts = True
        for logger in tensorboard_loggers(trainer):
            logger.experiment.add_custom_scalars({"training and validation": charts})

    def _write_rows(self, trainer: Trainer, *, ended: bool) -> None:
        row = hyperparameters(trainer) | {"seed_everything": self.seed}
        for logger in tensorboard_loggers(trainer):
            _write_row(Path(logger.log_dir, HPARAMS_FILE), row, ended=ended)


def hyperparameters(trainer: Trainer) -> dict[str, float | str]:
    """Return the hyperparameters of a run: numbers as numbers, everything else as text."""
    found: dict[str, Any] = {}
    for kind, part in (("data", internals.datamodule_of(trainer)), ("model", trainer.lightning_module)):
        if part is not None:
            found |= {**part.hparams, kind: type(part).__name__}
    for optimizer in trainer.optimizers[:1]:
        # the model's hyperparameters do not know of --optimizer; settings that are off are left out
        used = {name: value for name, value in optimizer.defaults.items() if value and not isinstance(value, bool)}
        found |= {**used, "optimizer": type(optimizer).__name__}
    for schedule in trainer.lr_scheduler_configs[:1]:
        found["lr_scheduler"] = type(schedule.scheduler).__name__
    found["max_epochs"] = trainer.max_epochs
    if found.get("fold") is None:
        found.pop("num_folds", None)  # unused
    return {
        name: value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        for name, value in sorted(found.items())
        if value is not None and not name.startswith("_") and name not in NOT_HYPERPARAMETERS
    }


def _charts(names: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield a chart for each score logged in training or validation, as ``loss/val`` or ``val_loss``."""
    curves: dict[str, list[str]] = {}
    for name in sorted(names):
        if found := stage_of(name):
            curves.setdefault(found[0], []).append(re.escape(name) + "$")
    for score, tags in curves.items():
        yield score, ["Multiline", tags]


def _write_row(path: Path, row: dict[str, float | str], *, ended: bool) -> None:
    """Write a run's row to a file of its own, in place of the row before: TensorBoard keeps the first that it reads."""
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415  # slow to import
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415
    from torch.utils.tensorboard.summary import hparams  # noqa: PLC0415

    # the first part lists the columns of all runs, and TensorBoard would take those of any one run
    _, start, end = hparams(row, {})  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    records = RecordWriter(file)
    records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    for summary in (start, end) if ended else (start,):
        records.write(Event(wall_time=time.time(), summary=summary).SerializeToString())
    write_atomically(path, file.getvalue())
