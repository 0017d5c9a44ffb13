"""Pictures in TensorBoard of what a model has learned: at the end, and at a handful of moments before."""

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from firstlight.engine.callbacks.stopping import Stopped
from firstlight.gallery import Moment, Picture, suitable

__all__ = ["Pictures", "boards"]

SHARE = 0.05
"""Share of a run's time that drawing may take, but for the last pictures, which are always drawn."""
FIRST_GUESS = 0.15
"""Seconds that a picture takes, before one was drawn."""


def boards(trainer: Trainer) -> list[TensorBoardLogger]:
    """Return the loggers that show pictures, in the process that writes."""
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero]


class Pictures(Callback):
    """Draw what suits a model and its data, without a line in either; :mod:`firstlight.gallery` says what.

    Pictures are drawn when training ends or a signal stops it, and after epochs 1, 2, 4, 8, ... as long as all
    drawing keeps below a twentieth of the run's time: a run of seconds has those at its end only. Drawing
    leaves weights and random numbers as they are. A picture that fails is left out with a warning.

    Data must be in memory, and the weights whole in the first process; otherwise nothing is drawn.
    """

    def __init__(self) -> None:
        self.gallery: list[Picture] = []
        self.notes: dict[str, dict[int, Tensor]] = {}
        self._handles: list[RemovableHandle] = []
        self._begin = self._spent = self._price = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the pictures, and note the model that the run begins with."""
        self._begin, self._spent = time.perf_counter(), 0.0
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        self.gallery = suitable(pl_module, trainer.datamodule) if boards(trainer) and whole else []  # type: ignore[attr-defined]
        self.notes = {picture.tag: {} for picture in self.gallery}
        self._price = FIRST_GUESS * len(self.gallery)
        self._handles = [
            self._follow(trainer, pl_module, picture.follow, self.notes[picture.tag])
            for picture in self.gallery
            if picture.follow
        ]
        self._look(trainer, pl_module, "", draw=False)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the model after epochs 1, 2, 4, 8, ...; the last of a run has no epoch after it."""
        epochs = trainer.current_epoch
        if self.gallery and epochs and epochs & (epochs - 1) == 0:
            budget = SHARE * (time.perf_counter() - self._begin)
            # the last pictures are still to come
            self._look(trainer, pl_module, _when(trainer, epochs), draw=self._spent + 2 * self._price < budget)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw what came out."""
        self._look(trainer, pl_module, _when(trainer, trainer.current_epoch), draw=True)
        self._forget()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw how far a run came that a signal stopped: its checkpoint is written, and it may never go on."""
        if isinstance(exception, Stopped | KeyboardInterrupt):
            self._look(trainer, pl_module, f"stopped at step {trainer.global_step:,}", draw=True)
        self._forget()

    def _forget(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.gallery, self.notes, self._handles = [], {}, []

    def _look(self, trainer: Trainer, pl_module: LightningModule, when: str, *, draw: bool) -> None:
        """Note what pictures need of this moment, and draw them if it is time."""
        begin = time.perf_counter()
        moment = Moment(trainer, pl_module, trainer.datamodule, when, self.notes)  # type: ignore[attr-defined]
        with isolate_rng(include_cuda=pl_module.device.type == "cuda"):
            for picture in list(self.gallery):
                try:
                    self._look_for(picture, moment, draw=draw)
                except Exception as error:  # whatever it is: a run of hours is worth more
                    self.gallery.remove(picture)
                    reason = f"{type(error).__name__}: {error}"
                    warnings.warn(f"the picture {picture.tag!r} is left out from now on: {reason}", stacklevel=1)
        took = time.perf_counter() - begin
        self._spent += took
        self._price = took if draw else self._price

    def _look_for(self, picture: Picture, moment: Moment, *, draw: bool) -> None:
        notes, step = self.notes[picture.tag], moment.trainer.global_step
        if picture.note:
            notes[step] = picture.note(moment)
        if picture.follow:
            notes[step] = _copy(picture.follow(moment.model))
        figure = picture.draw(moment) if draw else None
        for board in boards(moment.trainer) if figure else []:
            board.experiment.add_figure(picture.tag, figure, max(step - 1, 0))  # steps count from 0, as the curves' do

    def _follow(
        self, trainer: Trainer, pl_module: LightningModule, follow: Callable[[Any], Tensor], notes: dict[int, Tensor]
    ) -> RemovableHandle:
        """Note something of the model after steps, ever fewer of them; a hook of Lightning's would slow all down."""
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
