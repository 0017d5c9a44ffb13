"""Callbacks that measure, change or end a run on a GPU; none of them turns ``updates_per_batch`` off."""

import os
import signal
import time
import warnings
from typing import Any

import torch
from lightning.pytorch import Callback

from benchmarks.clock import Clock

__all__ = ["Compile", "GPUClock", "KillAfter"]

WATCHED = 2  # the epoch whose waits are counted, from 0: what is made once is there by then


class GPUClock(Clock):
    """Also write the seconds of each epoch's training steps, where the host waited for the GPU, and the peak memory.

    Torch warns of each operation that makes the host wait, at the line that asked for it (``set_sync_debug_mode``).

    Args:
        path: The file.
        waits: Watch for such operations in an epoch.
    """

    def __init__(self, path: str, waits: bool = False) -> None:
        super().__init__(path)
        self.waits = waits
        self.times |= {"steps": [], "waits": {"steps": [], "rest": []}}
        self._recorder: Any = None

    def on_train_start(self, *args: Any) -> None:
        torch.cuda.reset_peak_memory_stats()
        super().on_train_start(*args)

    def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
        self._note_waits("rest")
        super().on_train_epoch_start(trainer, *args)
        if self.waits and trainer.current_epoch == WATCHED:
            self._recorder = warnings.catch_warnings(record=True)
            self._warnings = self._recorder.__enter__()  # until the epoch's end
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")

    def on_validation_start(self, trainer: Any, *args: Any) -> None:
        if not trainer.sanity_checking:
            self._note_waits("steps", more=True)
            torch.cuda.synchronize()
            self.times["steps"].append(time.perf_counter() - self.epoch)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._note_waits("rest")
        self.times["memory"] = torch.cuda.max_memory_allocated()
        super().on_train_end(trainer, pl_module)

    def _note_waits(self, part: str, *, more: bool = False) -> None:
        if self._recorder is None:
            return
        torch.cuda.set_sync_debug_mode("default")
        found = [each for each in self._warnings if "synchronizing CUDA operation" in str(each.message)]
        self.times["waits"][part] = [f"{each.filename}:{each.lineno}" for each in found]
        self._warnings.clear()
        if more:
            torch.cuda.set_sync_debug_mode("warn")
        else:
            self._recorder.__exit__(None, None, None)
            self._recorder = None


class Compile(Callback):
    """Compile the network.

    Args:
        mode: The mode of ``torch.compile``.
    """

    def __init__(self, mode: str = "default") -> None:
        self.mode = mode

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        torch.compiler.reset()  # else the networks of earlier runs count towards the limit of recompilations
        pl_module.net.compile(mode=self.mode)


class KillAfter(Callback):
    """Kill the process after a number of optimizer steps.

    Args:
        steps: How many.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        def count(*_: Any) -> None:
            self.steps -= 1
            if not self.steps:
                os.kill(os.getpid(), signal.SIGKILL)

        trainer.optimizers[0].register_step_post_hook(count)
