"""Workers of loaders and SIGTERM: where a whole process group gets it, they end after the run."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from lightning.fabric.utilities.seed import pl_worker_init_function
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from firstlight.data.loaders import Loader

PR_SET_PDEATHSIG = 1
"""What asks Linux for a signal when the parent has ended (``man 2 prctl``)."""


class LoaderWorkers(Callback):
    """Let the workers of loaders outlive the first SIGTERM.

    ``timeout``, systemd and ``scancel`` send it to all processes of a run. A worker would die of it, which ends the run
    before its next step. So a worker leaves the first one to the run, which ends its workers when it ends; what torch
    sends to a worker that does not end is the second. On Linux a worker ends at once when its run is killed: it may be
    waiting for somebody to read what it has loaded.
    """

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have each loader prepared as it comes to the strategy, before it starts its workers."""
        if "process_dataloader" not in vars(trainer.strategy):
            process = trainer.strategy.process_dataloader

            def prepare(loader: object) -> object:
                processed = process(loader)
                _prepare(processed, trainer.global_rank)
                return processed

            vars(trainer.strategy)["process_dataloader"] = prepare


def _prepare(loader: object, rank: int) -> None:
    inner = loader.loader if isinstance(loader, Loader) else loader
    if not isinstance(inner, DataLoader) or inner.num_workers == 0:
        return
    begin = inner.worker_init_fn
    if begin is None and loader is inner and int(os.environ.get("PL_SEED_WORKERS", "0")):
        begin = partial(pl_worker_init_function, rank=rank)  # as Lightning does where there is none
    if getattr(begin, "func", None) is not _start:
        inner.worker_init_fn = partial(_start, begin)


def _start(begin: Callable[[int], None] | None, worker: int) -> None:
    signal.signal(signal.SIGTERM, _leave_to_the_run)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if begin:
        begin(worker)


def _leave_to_the_run(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
