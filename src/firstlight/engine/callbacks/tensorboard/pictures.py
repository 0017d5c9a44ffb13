"""Pictures, in TensorBoard, W&B or MLflow, of what a model has learned: at the start, at the end, and between."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from firstlight.data.data_module import DataModule
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.callbacks.stopping import Stopped
from firstlight.engine.quiet import quiet_trainer
from firstlight.engine.runs.checkpoint_checks import refuse_weights_alone
from firstlight.engine.runs.checkpoint_files import CheckpointFile
from firstlight.engine.runs.loading import Trained, load_run_checkpoint
from firstlight.gallery import Moment, Picture, copied, stage_of, suitable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KEY = "pictures"
"""Where a checkpoint has what was noted for pictures, and the scores."""
POWERS_OF_FOUR = {4**power for power in range(16)}
GROWTH = 1.001
"""How much steps have to grow until scores are noted again: each of the first 1,000 epochs is, then fewer are."""


def tensorboard_loggers(trainer: Trainer) -> list[TensorBoardLogger]:
    """Return the TensorBoard loggers in the first process, and none in the others."""
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero]


def _log_picture(logger: Logger, tag: str, figure: "Figure", step: int) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image(tag, [figure], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_figure(logger.run_id, figure, f"{tag}/step_{step}.png")
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(tag, figure, step, close=False)


class Pictures(Callback):
    """Draw the pictures that :mod:`firstlight.gallery` lists for a model and its data.

    They are drawn before the first step, after epochs 1, 4, 16, 64, ... of the first half of a run, and when training
    ends or a signal stops it: the same run has the same pictures. Drawing does not change weights or random numbers. If
    a picture fails, a warning says so and the run goes on without it. Checkpoints keep what earlier moments left.

    The first process draws. Data must be in splits, and the process must have all weights; otherwise only the learning
    curves are drawn.
    """

    is_drawn = True
    """Whether to draw; otherwise only what ``firstlight pictures`` needs is noted."""

    def __init__(self) -> None:
        self.pictures: list[Picture] = []
        self.notes: dict[str, dict[int, Tensor]] = {}
        self.scores: dict[str, dict[int, float]] = {}
        self._restored: dict[str, Any] = {}
        self._handles: list[RemovableHandle] = []

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save what was noted."""
        if internals.is_epoch_ending(trainer):
            self._note_scores(trainer, "train")
        checkpoint[KEY] = {"notes": self.notes, "scores": self.scores}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read what was noted before."""
        self._restored = checkpoint.get(KEY, {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the pictures, and draw the state that the model starts in."""
        data = internals.typed(trainer).datamodule
        has_all_weights = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)
        self.pictures = suitable(pl_module, data if has_all_weights else None) if trainer.is_global_zero else []
        restored, self._restored = self._restored, {}
        self.scores = restored.get("scores", {})
        notes = restored.get("notes", {})
        self.notes = {picture.tag: notes.get(picture.tag, {}) for picture in self.pictures}
        self._handles = [
            self._follow(trainer, pl_module, picture.follow, self.notes[picture.tag])
            for picture in self.pictures
            if picture.follow
        ]
        step = trainer.global_step
        if not (restored and step):
            self._update_pictures(trainer, pl_module, f"step {step:,}" if step else "before training")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the scores."""
        if self.pictures and not trainer.sanity_checking:
            self._note_scores(trainer, "val")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the scores of the epoch before, and draw after epochs 1, 4, 16, ... of the first half of the run."""
        epochs = trainer.current_epoch
        if self.pictures and epochs:
            self._note_scores(trainer, "train")
            if epochs in POWERS_OF_FOUR and 2 * epochs <= (internals.planned_length(trainer, "epoch") or math.inf):
                self._update_pictures(trainer, pl_module, _when(trainer.global_step, epochs))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the trained model."""
        self._note_scores(trainer, "train")
        self._update_pictures(trainer, pl_module, _when(trainer.global_step, trainer.current_epoch))
        self._release()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Draw the model of a run that a signal stopped, for it may never be resumed; its checkpoint is written."""
        if isinstance(exception, Stopped | KeyboardInterrupt):
            self._update_pictures(trainer, pl_module, f"stopped at step {trainer.global_step:,}")
        self._release()

    def _release(self) -> None:
        for handle in self._handles:
            handle.remove()
        self.pictures, self.notes, self.scores, self._handles = [], {}, {}, []

    def _note_scores(self, trainer: Trainer, stage: str) -> None:
        """Note the scores of a stage as they are now; those of other stages are of another step."""
        for name, value in trainer.callback_metrics.items() if self.pictures else ():
            if (found := stage_of(name)) and found[1] == stage:
                values = self.scores.setdefault(name, {})
                if trainer.global_step >= GROWTH * next(reversed(values), 0):
                    values[trainer.global_step] = float(value)

    def _update_pictures(self, trainer: Trainer, pl_module: LightningModule, when: str) -> None:
        """Note what the pictures need of the model as it is now, and draw them if there is a logger to show them."""
        moment = Moment(trainer, pl_module, internals.typed(trainer).datamodule, when, self.notes, self.scores)
        is_drawn, kinds = self.is_drawn and trainer.is_global_zero, TensorBoardLogger | WandbLogger | MLFlowLogger
        loggers = [logger for logger in trainer.loggers if is_drawn and isinstance(logger, kinds)]
        with isolate_rng(include_cuda=pl_module.device.type == "cuda"):
            for picture in list(self.pictures):
                try:
                    picture.take_note(moment, trainer.global_step)
                    figure = picture.draw(moment) if loggers else None
                    for logger in loggers:
                        # steps count from 0, as the curves' do
                        if figure:
                            _log_picture(logger, picture.tag, figure, max(trainer.global_step - 1, 0))
                except OSError:
                    raise  # the disk is full, which ends the run
                except Exception as error:  # a picture must not end a run of hours
                    self.pictures.remove(picture)
                    reason = f"{type(error).__name__}: {error}"
                    warnings.warn(f"the picture {picture.tag!r} is left out from now on: {reason}", stacklevel=1)

    def _follow(
        self, trainer: Trainer, pl_module: LightningModule, follow: Callable[[Any], Tensor], notes: dict[int, Tensor]
    ) -> RemovableHandle:
        """Note weights after optimizer steps, at growing intervals.

        It hooks into the optimizer: a callback's hook for each step would turn ``SeveralUpdates`` off.
        """
        step = trainer.global_step
        due = _next_step(next(reversed(notes), 0))

        def after_step(*_: Any) -> None:
            nonlocal step, due
            step += 1
            if step >= due:
                notes[step] = copied(follow(pl_module))
                due = _next_step(step)

        return trainer.optimizers[0].register_step_post_hook(after_step)


def _when(step: int, epochs: int) -> str:
    return f"epoch {epochs:,}, step {step:,}"


def _next_step(step: int) -> int:
    return max(step + 1, step * 11 // 10)


def run_pictures(trained: Trained) -> "Iterator[tuple[str, Figure]]":
    """Yield the pictures of a run that was loaded with its last weights, each with its tag.

    Raises:
        CheckpointError: If the file holds weights alone.
    """
    checkpoint, trainer, data = load_run_checkpoint(trained.checkpoint), quiet_trainer(), trained.data
    refuse_weights_alone(CheckpointFile(trained.checkpoint, checkpoint))
    if isinstance(data, DataModule):
        data.prepare_data()
        data.setup("fit")
    step, epochs, noted = checkpoint["global_step"], checkpoint["epoch"] + 1, checkpoint.get(KEY, {})
    moment = Moment(trainer, trained.model, data, _when(step, epochs), noted.get("notes", {}), noted.get("scores", {}))
    for picture in suitable(trained.model, data):
        moment.notes.setdefault(picture.tag, {})
        picture.take_note(moment, step)
        if figure := picture.draw(moment):
            yield picture.tag, figure
