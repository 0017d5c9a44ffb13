"""Pictures, in TensorBoard, W&B or MLflow, of what a model has learned, at the end of a run and a few times before."""

import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.stopping import Stopped
from firstlight.gallery import Moment, Picture, suitable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Pictures", "tensorboard_loggers"]

MAX_SHARE = 0.05
"""Share of a run's time that drawing may take; the last pictures are always drawn."""
FIRST_ESTIMATE = 0.15
"""Seconds that a picture takes, as long as none has been drawn."""


def tensorboard_loggers(trainer: Trainer) -> list[TensorBoardLogger]:
    """Return the TensorBoard loggers in the first process, and none in the others."""
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero]


def _picture_loggers(trainer: Trainer) -> list[Logger]:
    """Return the loggers that show pictures, in the first process, and none in the others."""
    kinds = TensorBoardLogger | WandbLogger | MLFlowLogger
    return [logger for logger in trainer.loggers if isinstance(logger, kinds) and trainer.is_global_zero]


def _log_picture(logger: Logger, tag: str, figure: "Figure", step: int) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image(tag, [figure], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_figure(logger.run_id, figure, f"{tag}/step_{step}.png")
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(tag, figure, step, close=False)


class Pictures(Callback):
    """Draw the pictures that :mod:`firstlight.gallery` lists for a model and its data.

    Pictures are drawn when training ends or a signal stops it, and after epochs 1, 2, 4, 8, ... as long as drawing
    takes less than a twentieth of the run's time: a run of seconds has pictures only at its end. Drawing does not
    change weights or random numbers. If a picture fails, a warning says so and the run goes on without it.

    Data must be in memory, and the first process must have all weights; otherwise nothing is drawn.
    """

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.notes: dict[str, dict[int, Tensor]] = {}
        self._handles: list[RemovableHandle] = []
        self._start_time = self._drawing_time = self._estimate = 0.0  # seconds

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the pictures, and note the state that the model starts in."""
        self._start_time, self._drawing_time = time.perf_counter(), 0.0
        data = internals.datamodule_of(trainer)
        has_all_weights = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        self.pictures = suitable(pl_module, data) if _picture_loggers(trainer) and has_all_weights else []
        self.notes = {picture.tag: {} for picture in self.pictures}
        self._estimate = FIRST_ESTIMATE * len(self.pictures)
        self._handles = [
            self._follow(trainer, pl_module, picture.follow, self.notes[picture.tag])
            for picture in self.pictures
            if picture.follow
        ]
        self._update_pictures(trainer, pl_module, "", draw=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw after epochs 1, 2, 4, 8, ...; the pictures after a run's last epoch are drawn at its end."""
        epochs = trainer.current_epoch
        if self.pictures and epochs and epochs & (epochs - 1) == 0:
            time_left = MAX_SHARE * (time.perf_counter() - self._start_time) - self._drawing_time
            is_time = 2 * self._estimate < time_left  # now, and once more at the end
            self._update_pictures(trainer, pl_module, _when(trainer, epochs), draw=is_time)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the trained model."""
        self._update_pictures(trainer, pl_module, _when(trainer, trainer.current_epoch), draw=True)
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw the model of a run that a signal stopped, for it may never be resumed; its checkpoint is written."""
        if isinstance(exception, Stopped | KeyboardInterrupt):
            self._update_pictures(trainer, pl_module, f"stopped at step {trainer.global_step:,}", draw=True)
        self._release()

    def _release(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.pictures, self.notes, self._handles = [], {}, []

    def _update_pictures(self, trainer: Trainer, pl_module: LightningModule, when: str, *, draw: bool) -> None:
        """Note what the pictures need of the model as it is now, and draw them if asked to."""
        start = time.perf_counter()
        moment = Moment(trainer, pl_module, internals.datamodule_of(trainer), when, self.notes)
        with isolate_rng(include_cuda=pl_module.device.type == "cuda"):
            for picture in list(self.pictures):
                try:
                    self._update_picture(picture, moment, draw=draw)
                except OSError:
                    raise  # the disk is full, which ends the run
                except Exception as error:  # a picture must not end a run of hours
                    self.pictures.remove(picture)
                    reason = f"{type(error).__name__}: {error}"
                    warnings.warn(f"the picture {picture.tag!r} is left out from now on: {reason}", stacklevel=1)
        took = time.perf_counter() - start
        self._drawing_time += took
        self._estimate = took if draw else self._estimate

    def _update_picture(self, picture: Picture, moment: Moment, *, draw: bool) -> None:
        notes, step = self.notes[picture.tag], moment.trainer.global_step
        if picture.note:
            notes[step] = picture.note(moment)
        if picture.follow:
            notes[step] = _copy(picture.follow(moment.model))
        figure = picture.draw(moment) if draw else None
        for logger in _picture_loggers(moment.trainer):
            if figure:
                _log_picture(logger, picture.tag, figure, max(step - 1, 0))  # steps count from 0, as the curves' do

    def _follow(
        self, trainer: Trainer, pl_module: LightningModule, follow: Callable[[Any], Tensor], notes: dict[int, Tensor]
    ) -> RemovableHandle:
        """Note weights after optimizer steps, at growing intervals.

        It hooks into the optimizer: a callback's hook for each step would turn ``SeveralUpdates`` off.
        """
        step = due = trainer.global_step

        def after_step(*_: Any) -> None:
            nonlocal step, due
            step += 1
            if step >= due:
                notes[step] = _copy(follow(pl_module))
                due = max(step + 1, step * 11 // 10)

        return trainer.optimizers[0].register_step_post_hook(after_step)


def _when(trainer: Trainer, epochs: int) -> str:
    return f"epoch {epochs:,}, step {trainer.global_step:,}"


def _copy(weights: Tensor) -> Tensor:
    return weights.detach().to("cpu", torch.float, copy=True)
