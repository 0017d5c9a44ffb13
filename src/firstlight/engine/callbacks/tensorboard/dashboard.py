"""TensorBoard's overview: each score of training and validation in one chart, and a table of runs to sort."""

import io
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks.tensorboard.details import Details
from firstlight.engine.callbacks.tensorboard.pictures import Pictures, boards
from firstlight.engine.files import write_atomically

__all__ = ["Dashboard", "hyperparameters", "tensorboard"]

# read before the loggers' own files, whose names go on with a time: TensorBoard never turns back to an earlier one
TABLE = "events.out.tfevents.0.hparams"
PLACES = ("root", "device_resident")  # hyperparameters of data that say where it lies, and nothing of the outcome


def tensorboard(seed: int, pictures: Literal["none", "few", "all"]) -> list[Callback]:
    """Return what fills TensorBoard besides the curves; ``pictures`` says how much is drawn."""
    callbacks: list[Callback] = [Dashboard(seed)]
    if pictures != "none":
        callbacks.append(Pictures())
    if pictures == "all":
        callbacks.append(Details())
    return callbacks


class Dashboard(Callback):
    """Lay out TensorBoard's Custom Scalars and HParams tabs.

    Custom Scalars: one chart a score, with its curves of training and of validation. The x axis is the optimizer
    step, as everywhere: it is what the documents count, what ``loss/step`` and the pictures share, and what a
    resumed run goes on from. The scalar ``epoch`` says where the epochs are.

    HParams: a row a run, from its first step on, so it is there however the run ends. Beside the hyperparameters
    stand the run's scores; ``Checkpoints`` logs the best of them.

    Args:
        seed: Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._laid_out = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep Lightning from an entry of its own, whose score is -1."""
        for board in boards(trainer):
            board._default_hp_metric = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Enter the run."""
        self._laid_out = False
        self._enter(trainer, ended=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lay out the charts, once there are scores."""
        self._lay_out(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Complete the run's row."""
        self._lay_out(trainer)
        self._enter(trainer, ended=True)

    def _lay_out(self, trainer: Trainer) -> None:
        charts = dict(_charts(trainer.callback_metrics))
        if self._laid_out or not charts:
            return
        self._laid_out = True
        for board in boards(trainer):
            board.experiment.add_custom_scalars({"training and validation": charts})

    def _enter(self, trainer: Trainer, *, ended: bool) -> None:
        row = hyperparameters(trainer) | {"seed_everything": self.seed}
        for board in boards(trainer):
            _write_row(Path(board.log_dir, TABLE), row, ended=ended)


def hyperparameters(trainer: Trainer) -> dict[str, float | str]:
    """Return what a run was made with, flat: numbers as numbers, everything else as it is written."""
    found: dict[str, Any] = {}
    for kind, part in (("data", trainer.datamodule), ("model", trainer.lightning_module)):  # type: ignore[attr-defined]
        if part is not None:
            found |= {**part.hparams, kind: type(part).__name__}
    for optimizer in trainer.optimizers[:1]:
        # the step size in use, which --optimizer sets past the model; momentum and the like where there is any
        used = {name: value for name, value in optimizer.defaults.items() if value and not isinstance(value, bool)}
        found |= {**used, "optimizer": type(optimizer).__name__}
    for schedule in trainer.lr_scheduler_configs[:1]:
        found["lr_scheduler"] = type(schedule.scheduler).__name__
    found["max_epochs"] = trainer.max_epochs
    if found.get("fold") is None:
        found.pop("num_folds", None)  # of no meaning
    return {
        name: value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        for name, value in sorted(found.items())
        if value is not None and not name.startswith("_") and name not in PLACES
    }


def _charts(names: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Return a chart for each score that names end or begin with a stage of: ``loss/val``, ``val_loss``."""
    curves: dict[str, list[str]] = {}
    for name in sorted(names):
        if match := re.fullmatch(r"(?:(.+)[/_])?(?:train|val)(?:[/_](.+))?", name):
            curves.setdefault("_".join(filter(None, match.groups())), []).append(re.escape(name) + "$")
    for score, tags in curves.items():
        yield score, ["Multiline", tags]


def _write_row(path: Path, row: dict[str, float | str], *, ended: bool) -> None:
    """Write a run's row into a file of its own, over the one from before: what was written first would stay."""
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415  # slow to import
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415
    from torch.utils.tensorboard.summary import hparams  # noqa: PLC0415

    # the first would hold columns for all runs, and TensorBoard takes any run's
    _, start, end = hparams(row, {})  # type: ignore[no-untyped-call]
    file = io.BytesIO()
    records = RecordWriter(file)
    records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    for summary in (start, end) if ended else (start,):
        records.write(Event(wall_time=time.time(), summary=summary).SerializeToString())
    write_atomically(path, file.getvalue())
