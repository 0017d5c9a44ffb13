"""Training scores in checkpoints: a run resumed in mid-epoch scores the whole epoch."""

from typing import Any

from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.tasks import Task

__all__ = ["TrainingScores"]


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
