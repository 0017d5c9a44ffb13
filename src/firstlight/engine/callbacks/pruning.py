"""Pruning: a sweep ends a run early whose scores are worse than those of others."""

from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.stopping import Ended


class Pruned(Ended):
    """The sweep pruned the run."""

    status = "pruned"

    def __init__(self) -> None:
        super().__init__(0)

    def __str__(self) -> str:
        return f"pruned after step {self.step}"


class Pruning(Callback):
    """Report the score of each epoch but the last, and end the run if it is pruned.

    The score is reported when the next epoch starts: only then are the checkpoints of the epoch written. A run of
    several processes is never pruned, because all of them would have to learn of it at the same step.

    Args:
        checkpoints: Names the score to report.
        report: Takes an epoch, counted from 0, and its score; returns whether to prune the run.
    """

    def __init__(self, checkpoints: Checkpoints, report: Callable[[int, float], bool]) -> None:
        self.checkpoints = checkpoints
        self.report = report

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch before, if it was trained in this process.

        Raises:
            Pruned: If ``report`` says so.
        """
        score = trainer.callback_metrics.get(str(self.checkpoints.monitor))
        if score is None or trainer.current_epoch == 0 or trainer.world_size > 1:
            return
        if self.report(trainer.current_epoch - 1, score.item()):
            raise Pruned
