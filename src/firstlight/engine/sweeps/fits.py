"""What the processes of a sweep do: check its configuration, train one run, draw charts."""

import re
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks import Checkpoints, Ended, Pictures
from firstlight.engine.callbacks import lightning_internals as internals
from firstlight.engine.command.command import prepared
from firstlight.engine.command.settings import Setting, flatten
from firstlight.engine.command.stages import run_stage
from firstlight.engine.files import write_atomically
from firstlight.engine.program import program
from firstlight.errors import UsageError
from firstlight.plots.style import to_bytes
from firstlight.plots.trials import importances, parallel_coordinates

COMPARED = (
    r"(model|optimizer|lr_scheduler|data(?!\.(root|device_resident)))\b|"
    r"trainer\.(max|limit|gradient_clip|accumulate|precision)"
)
"""Settings that are the same for all trials of a sweep; others say where the work is done."""


def look(_: Connection, flags: list[str], settings: list[Setting]) -> dict[str, Any]:
    """Train and validate a batch, to check a sweep's configuration; return what the sweep has to know of it.

    The settings are those among the flags that the sweep file sets, with their places.

    Raises:
        FirstlightError: If nothing can be trained like this.
    """
    with prepared("fit", [*flags, "--trainer.fast_dev_run=true"], settings) as command:
        if command.config.trainer.barebones:
            raise UsageError("trainer.barebones logs no score, and a sweep compares scores")
        command.build()
        run_stage(command)
    compared = {
        key: str(value)
        for key, value in flatten(command.config.as_dict())
        if re.match(COMPARED, key) and key not in {setting.key for setting in settings}
    }
    checkpoints = command.checkpoints
    if checkpoints.monitor is None:
        logged = command.trainer.callback_metrics
        raise UsageError(f"the model logs {', '.join(logged) or 'nothing'}: choose a score with --checkpoint.monitor")
    seed = command.config.seed_everything
    return {"monitor": checkpoints.monitor, "mode": checkpoints.mode, "seed": seed, "settings": compared}


def fit(parent: Connection, flags: list[str]) -> tuple[str, float | None]:
    """Train a run; return how it ended and its best score. The parent answers whether to prune it.

    Raises:
        FirstlightError: If the run failed.
    """

    def ask(*message: Any) -> Any:
        parent.send(message)
        return parent.recv()

    print(f"{program()} fit {' '.join(flags)}", flush=True)
    try:
        with prepared("fit", flags) as command:
            command.claim_folder()
            if command.run:
                ask("run", command.run.name)
            command.build()
            pruning = Pruning(command.checkpoints, lambda epoch, score: bool(ask("score", epoch, score)))
            internals.typed(command.trainer).callbacks.insert(0, pruning)
            for pictures in internals.callbacks_of(command.trainer, Pictures):
                pictures.is_drawn = command.config.pictures == "all"  # a few take as long as a short run
            run_stage(command)
    except Ended as ended:
        print(ended)
        return ended.status, None
    return "finished", command.checkpoints.best_score


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
        """Report the epoch before, if it was trained in this process; raise ``Pruned`` if ``report`` says so."""
        score = trainer.callback_metrics.get(str(self.checkpoints.monitor))
        if score is None or trainer.current_epoch == 0 or trainer.world_size > 1:
            return
        if self.report(trainer.current_epoch - 1, score.item()):
            raise Pruned


def draw(_: Connection, files: dict[str, Path], trials: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write the charts of a sweep, whose best trial comes first: ``trials`` and, if asked for, ``importances``."""
    name, score = about["name"], about["score"]
    title = f"{name}: {len(trials)} trials by {score}"
    figures = {"trials": parallel_coordinates(trials, about["axes"], score, title)}
    if "importances" in files:
        figures["importances"] = importances(about["importances"], f"{name}: what {score} depends on")
    for what, figure in figures.items():
        write_atomically(files[what], to_bytes(figure, "png"))
