"""What the processes of a sweep do: look at its configuration, train one run, draw pictures."""

import io
import re
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

from jsonargparse import Namespace
from lightning.pytorch.callbacks import Callback

from firstlight.engine.callbacks import Ended, Pruning, StopSignals
from firstlight.engine.cli.verbs import flat
from firstlight.engine.command.command import Command, run
from firstlight.engine.command.request import Request
from firstlight.engine.command.settings import Setting
from firstlight.engine.files import write_atomically
from firstlight.engine.sweeps import charts as pictures

__all__ = ["draw", "fit", "look"]


COMPARED = (
    r"(model|optimizer|lr_scheduler|data(?!\.(root|device_resident)))\b|"
    r"trainer\.(max|limit|gradient_clip|accumulate|precision)"
)
"""Settings in which all trials of a sweep have to be alike; others say where the work is done."""


class Look(Command):
    """One batch of training and of validation, to see that the configuration is one."""

    settings: ClassVar[list[Setting]] = []

    def __init__(self, request: Request, signals: StopSignals) -> None:
        request.settings += self.settings
        super().__init__(request, signals)


def look(_: Connection, flags: list[str], settings: list[Setting]) -> dict[str, Any]:
    """Return what a sweep has to know of its configuration.

    Args:
        _: The process that asks.
        flags: As for ``fit``.
        settings: What the sweep file sets in them, with its places.

    Raises:
        FirstlightError: If the configuration is none that can be trained.
    """
    Look.settings = settings
    command = run("fit", [*flags, "--trainer.fast_dev_run=true"], Look)
    config, checkpoints = command.config["fit"], command.config_init["fit"].checkpoint
    compared = {
        key: str(value)
        for key, value in flat(config.as_dict())
        if re.match(COMPARED, key) and key not in {setting.key for setting in settings}
    }
    facts = {"monitor": checkpoints.monitor, "mode": checkpoints.mode, "seed": config.seed_everything}
    return {**facts, "settings": compared}


class SweepRun(Command):
    """An ordinary run that says where it is, and how it goes."""

    parent: ClassVar[Connection]

    def before_instantiate_classes(self) -> None:
        """Say which folder it is."""
        super().before_instantiate_classes()
        if self.run_folder:
            self._ask("run", self.run_folder.name)

    def _callbacks(self, settings: Namespace, given: list[Callback]) -> list[Callback]:
        pruning = Pruning(settings.checkpoint, lambda epoch, score: bool(self._ask("score", epoch, score)))
        return [*super()._callbacks(settings, given), pruning]

    def _ask(self, *message: Any) -> Any:
        self.parent.send(message)
        return self.parent.recv()


def fit(parent: Connection, flags: list[str]) -> tuple[str, float | None]:
    """Train a run; return how it ended and its best score.

    Args:
        parent: The process that is told of the run's folder and of its scores, and says whether it is to end.
        flags: As for ``fit``.

    Raises:
        FirstlightError: If the run failed.
    """
    SweepRun.parent = parent
    sys.argv = [sys.argv[0], "fit", *flags]  # for the receipt, and for processes that it starts to train with
    print(f"firstlight fit {' '.join(flags)}", flush=True)
    try:
        command = run("fit", flags, SweepRun)
    except Ended as ended:
        print(ended)
        return ended.status, None
    return "finished", command.config_init["fit"].checkpoint.best_score


def draw(_: Connection, files: dict[str, Path], trials: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """Write the pictures of a sweep.

    Args:
        _: The process that asks.
        files: Where to write ``trials`` and ``importances``.
        trials: What was chosen and the score, by name; the best first.
        about: ``name``, ``score``, ``axes`` and ``importances`` of the sweep.
    """
    name, score = about["name"], about["score"]
    figures = {
        "trials": pictures.parallel_coordinates(
            trials, about["axes"], score, f"{name}: {len(trials)} trials, by {score}"
        ),
        "importances": pictures.importances(about["importances"], f"{name}: what {score} depends on"),
    }
    for what, figure in figures.items():
        content = io.BytesIO()
        figure.savefig(content, format="png", dpi=150)
        write_atomically(files[what], content.getvalue())
