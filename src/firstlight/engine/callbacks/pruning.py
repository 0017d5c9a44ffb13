"""The early end of a run that does worse than others: a sweep has better uses for its time."""

from collections.abc import Callable

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks.checkpoints import Checkpoints
from firstlight.engine.callbacks.stopping import Ended

__all__ = ["Pruned", "Pruning"]


class Pruned(Ended):
    """The end of a run that another judged not to be worth its time."""

    status = "pruned"

    def __init__(self) -> None:
        super().__init__(0)

    def __str__(self) -> str:
        return f"pruned after step {self.step}"


class Pruning(Callback):
    """Report the score of each epoch but the last, and end the run where the answer says so.

    It reports when the next epoch begins: only then are the checkpoints of the epoch written. Several
    processes that train one model are never pruned, for each would have to hear of it at the same step.

    Args:
        checkpoints: What knows which score counts.
        report: Takes an epoch, counted from 0, and its score; returns whether the run is to end.
    """

    def __init__(self, checkpoints: Checkpoints, report: Callable[[int, float], bool]) -> None:
        self.checkpoints = checkpoints
        self.report = report

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch before, if there was one in this process."""
        score = trainer.callback_metrics.get(str(self.checkpoints.monitor))
        if score is None or trainer.current_epoch == 0 or trainer.world_size > 1:
            return
        if self.report(trainer.current_epoch - 1, score.item()):
            raise Pruned
