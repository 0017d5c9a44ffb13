"""What fills TensorBoard besides curves and pictures: its tabs Custom Scalars and HParams, graphs, histograms."""

import contextlib
import io
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.tensorboard.pictures import Pictures, tensorboard_loggers
from firstlight.engine.files import remove_leftovers, write_atomically
from firstlight.gallery import Moment, evaluating, stage_of

SCORES = "scores"
"""Folder in a run's, of its row in the tab HParams: the tab shows the scalars there, not every curve of the run."""
NOT_HYPERPARAMETERS = ("root", "device_resident")  # where the data is makes no difference to the scores


def tensorboard_callbacks(seed: int, pictures: Literal["none", "few", "all"], configs: str = "") -> list[Callback]:
    """Return the callbacks that fill TensorBoard besides the curves.

    The pictures are those of the gallery (``few``), or these and the details (``all``).
    """
    kinds: dict[str, list[type[Callback]]] = {"none": [], "few": [Pictures], "all": [Pictures, Details]}
    return [Dashboard(seed, configs), *(kind() for kind in kinds[pictures])]


class Dashboard(Callback):
    """Fill TensorBoard's tabs Custom Scalars and HParams.

    Custom Scalars: one chart a score, with its curves of training and of validation. The x axis is the optimizer
    step, as in all curves and pictures.

    HParams: one row a run, written at its first step, so it is there however the run ends. Next to the
    hyperparameters are ``best``, the validation score of the best checkpoint, and ``test``, which the command adds.
    These names are the same for all models, and so are those of columns that begin with a capital, which TensorBoard
    lists first: its parallel coordinates show no run that lacks a column.

    A ``TensorBoardLogger`` of your own needs ``default_hp_metric=False``: with the default, Lightning adds an entry
    ``hp_metric`` to the same tab, and TensorBoard shows no other columns.
    """

    def __init__(self, seed: int, configs: str = "") -> None:
        self.seed, self.configs = seed, configs
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

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write the best score so far; what failed may have been the disk."""
        with contextlib.suppress(OSError):
            self._write_rows(trainer, ended=False)

    def _write_charts(self, trainer: Trainer) -> None:
        charts, loggers = _charts(trainer.callback_metrics), tensorboard_loggers(trainer)
        if self._has_charts or not (charts and loggers):
            return
        self._has_charts = True
        for logger in loggers:
            logger.experiment.add_custom_scalars({"training and validation": charts})

    def _write_rows(self, trainer: Trainer, *, ended: bool) -> None:
        from torch.utils.tensorboard.summary import hparams  # noqa: PLC0415  # slow to import

        row, best = hyperparameters(trainer) | {"seed_everything": self.seed, "Configs": self.configs}, None
        for checkpoints in internals.callbacks_of(trainer, Checkpoints):
            best, row["Score"] = checkpoints.best_score, str(checkpoints.monitor)
        # the first part lists the columns of all runs, and TensorBoard would take those of any one run
        _, start, end = hparams(row, {})
        for logger in tensorboard_loggers(trainer):
            folder = Path(logger.log_dir, SCORES)
            _write_events(folder, "hparams", [start, *[end] * ended], trainer.global_step, best=best)


def write_test_score(folder: Path, score: float, step: int) -> None:
    """Add the test score of the weights after that many steps to the row of a run, if it has one.

    Raises:
        OSError: If it cannot be written.
    """
    if (folder / SCORES).is_dir():
        _write_events(folder / SCORES, "test", [], step, test=score)


def hyperparameters(trainer: Trainer) -> dict[str, float | str]:
    """Return the hyperparameters of a run: numbers as numbers, everything else as text."""
    found: dict[str, Any] = {}
    for kind, part in (("Data", internals.typed(trainer).datamodule), ("Model", trainer.lightning_module)):
        if part is not None:
            found |= {**part.hparams, kind: type(part).__name__}
    for optimizer in trainer.optimizers[:1]:
        # the model's hyperparameters do not know of --optimizer; settings that are off are left out
        used = {name: value for name, value in optimizer.defaults.items() if value and not isinstance(value, bool)}
        found |= {**used, "Optimizer": type(optimizer).__name__}
    schedules = [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs]
    found["Schedule"] = schedules[0] if schedules else "none"
    found["max_epochs"] = trainer.max_epochs
    if found.get("fold") is None:
        found.pop("num_folds", None)  # unused
    named = {name: "none" if value is None else value for name, value in sorted(found.items())}
    return {
        name: value if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
        for name, value in named.items()
        if not name.startswith("_") and name not in NOT_HYPERPARAMETERS
    }


def _charts(names: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return a chart for each score logged in training or validation, as ``loss/val`` or ``val_loss``."""
    charts: dict[str, list[Any]] = {}
    for name in sorted(names):
        if found := stage_of(name):
            charts.setdefault(found[0], ["Multiline", []])[1].append(re.escape(name) + "$")
    return charts


def _write_events(folder: Path, kind: str, summaries: list[Any], step: int, **scores: float | None) -> None:
    """Write an event file in place of that of the same kind, under a later name: TensorBoard reads no file again."""
    from tensorboard.compat.proto.event_pb2 import Event  # noqa: PLC0415  # slow to import
    from tensorboard.summary.writer.record_writer import RecordWriter  # noqa: PLC0415
    from torch.utils.tensorboard.summary import scalar  # noqa: PLC0415

    summaries += [scalar(name, score) for name, score in scores.items() if score is not None]
    file = io.BytesIO()
    records = RecordWriter(file)
    records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
    for summary in summaries:
        records.write(Event(wall_time=time.time(), step=step, summary=summary).SerializeToString())
    folder.mkdir(exist_ok=True)  # a run's folder that was moved away must not get another one in its place
    remove_leftovers(folder, f"*.{kind}")
    before = [*folder.glob(f"*.{kind}")]
    write_atomically(folder / f"events.out.tfevents.{time.time_ns()}.{kind}", file.getvalue())
    for path in before:
        path.unlink(missing_ok=True)


class Details(Callback):
    """Log the model's graph, and for each epoch's last step the learning rate, weights and gradients."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Trace one validation example through the model, and log the graph."""
        data = internals.typed(trainer).datamodule
        if not isinstance(data, DataModule):
            return
        for logger in tensorboard_loggers(trainer):
            inputs = next(Moment(trainer, pl_module, data, "start").batches(data.val))[0][:1]
            with isolate_rng(include_cuda=inputs.is_cuda):
                try:
                    with evaluating(trainer, pl_module), warnings.catch_warnings():
                        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of what a trace may miss
                        logger.experiment.add_graph(pl_module, inputs)
                except Exception as error:  # not every model can be traced
                    warnings.warn(f"the model's graph is left out: {type(error).__name__}: {error}", stacklevel=1)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Log the last step of an epoch, before the validation drops its gradients."""
        if not trainer.is_last_batch:
            return
        step = max(trainer.global_step - 1, 0)
        rates = [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]
        for logger in tensorboard_loggers(trainer):
            logger.log_metrics({f"lr/group_{number}": float(rate) for number, rate in enumerate(rates)}, step)
            for name, weights in pl_module.named_parameters():
                logger.experiment.add_histogram(f"weights/{name}", weights, step)
                if weights.grad is not None:
                    logger.experiment.add_histogram(f"gradients/{name}", weights.grad, step)
