"""Scores of all examples: those from before a resume and those of all processes are not left out."""

from functools import wraps
from typing import Any

from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.tasks import Task

__all__ = ["RunScores", "SharedScores", "TrainingScores"]


class SharedScores(Callback):
    """Average what a model logs in evaluation over all processes, each of which has seen a share of the examples.

    A call of ``self.log`` that says how to do that, or that only the first process logs, is left as it is.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put another default in the place of that of ``self.log``."""
        if trainer.world_size == 1:
            return
        log = pl_module.log

        @wraps(log)
        def shared_log(*args: Any, **options: Any) -> None:
            if not (trainer.training or options.get("rank_zero_only")):
                options.setdefault("sync_dist", True)
            log(*args, **options)

        pl_module.log = shared_log  # type: ignore[method-assign]

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the model as it was."""
        vars(pl_module).pop("log", None)


class RunScores(Callback):
    """Save the last score of each name, and restore them.

    Callbacks and schedules that watch a score, the receipt and the progress then see the last validation's, even if it
    came before the checkpoint and the resumed run ends without another one.
    """

    def __init__(self) -> None:
        self.restored: dict[str, Any] = {}
        """The scores of the checkpoint that the run is resumed from."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the scores."""
        checkpoint["scores"] = move_data_to_device(dict(trainer.callback_metrics), "cpu")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Read the scores."""
        self.restored = checkpoint.get("scores", {})

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the scores, now that Lightning has reset its own."""
        trainer.callback_metrics.update(move_data_to_device(self.restored, pl_module.device))


class TrainingScores(Callback):
    """Save what the training scores have added up so far in an epoch, over all processes, and restore it."""

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the state of each score; after an epoch's last batch there is none, as the next epoch starts anew."""
        checkpoint["train_scores"] = states = {}
        if not isinstance(pl_module, Task) or trainer.is_last_batch:
            return
        for name, score in pl_module.train_scores.items():
            with score.sync_context():
                states[name] = score.metric_state

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the scores in the first process: their state is that of all processes together."""
        if isinstance(pl_module, Task) and trainer.is_global_zero:
            for name, state in checkpoint.get("train_scores", {}).items():
                if name in pl_module.train_scores:
                    score = pl_module.train_scores[name]
                    score.load_state_dict(move_data_to_device(state, score.device))
