"""Callbacks that measure the times of a run."""

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback

from firstlight import InMemory

STARTED = float(os.environ.get("FIRSTLIGHT_BENCH_STARTED", "0"))  # time.time() at the start of the process


class Clock(Callback):
    """Write the seconds of each epoch and of the whole fit or test, and the memory used, to a file.

    Args:
        path: The file.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.times: dict[str, Any] = {"epochs": []}

    def on_train_start(self, *args: Any) -> None:
        self.begin = self.epoch = time.perf_counter()

    def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
        if trainer.current_epoch > 0:
            self._lap()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._lap()
        self.times["fit"] = time.perf_counter() - self.begin
        data = trainer.datamodule
        splits = [*data.train, *data.val] if isinstance(data, InMemory) else []
        self.times["bytes"] = sum(part.nbytes for part in (*splits, *2 * [*pl_module.parameters()]))
        self.times["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.path.write_text(json.dumps(self.times))

    def on_test_epoch_start(self, *args: Any) -> None:
        self.begin = time.perf_counter()

    def on_test_end(self, *args: Any) -> None:
        self.times["test"] = time.perf_counter() - self.begin
        self.path.write_text(json.dumps(self.times))

    def _lap(self) -> None:
        now = time.perf_counter()
        self.times["epochs"].append(now - self.epoch)
        self.epoch = now


class FirstStep(Clock):
    """Also write the seconds from the start of the process to its first optimizer step."""

    def on_before_optimizer_step(self, *args: Any) -> None:
        self.times.setdefault("first_step", time.time() - STARTED)
