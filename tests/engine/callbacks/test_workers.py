"""The workers of loaders leave the first SIGTERM to the run."""

import multiprocessing
import os
import signal
import sys

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from firstlight import LinearRegression
from firstlight.data.loaders import Loader
from firstlight.data.order import Order
from firstlight.engine.callbacks import LoaderWorkers
from firstlight.engine.callbacks.workers import _start

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no `val_dataloader`"),
]
ROWS = TensorDataset(torch.randn(40, 2), torch.randn(40, 1))
LOADERS = {
    "torch's": lambda: DataLoader(ROWS, 4, num_workers=2),
    "ours": lambda: Loader(DataLoader(ROWS, num_workers=2), Order(40, 4)),
}


class Terminated(LinearRegression):
    """A model in whose fourth step all workers get a SIGTERM."""

    others = ()

    def training_step(self, batch, batch_idx):
        if self.global_step == 3:
            self.workers = [child for child in multiprocessing.active_children() if child not in self.others]
            for child in self.workers:
                os.kill(child.pid, signal.SIGTERM)
        return super().training_step(batch, batch_idx)


@pytest.mark.parametrize("loader", LOADERS)
def test_training_goes_on_where_its_workers_get_a_signal(loader, quick_trainer):
    trainer, model = quick_trainer(max_epochs=2, callbacks=[LoaderWorkers()]), Terminated()
    model.others = multiprocessing.active_children()  # of loaders of other tests
    trainer.fit(model, LOADERS[loader]())
    assert trainer.global_step == 20
    assert len(model.workers) == 2
    assert not {*multiprocessing.active_children()} - {*model.others}


def test_worker_still_begins_as_it_was_told_and_ends_with_the_second_signal():
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        begun = []
        _start(begun.append, 7)
        os.kill(os.getpid(), signal.SIGTERM)
        os.write(writing, bytes(begun))
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read() == bytes([7])
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="no other system ends a process with its parent")
def test_worker_ends_when_its_run_is_killed_whatever_it_waits_for():
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        if os.fork() == 0:
            _start(None, 0)
            os.write(writing, b"begun")
            signal.pause()
        signal.pause()
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        assert file.read(5) == b"begun"
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert file.read() == b""  # the end of the file: the worker has ended too


def test_random_numbers_of_workers_are_seeded_as_without_the_callback(quick_trainer, monkeypatch):
    monkeypatch.setenv("PL_SEED_WORKERS", "1")
    drawn = []
    for callbacks in ([], [LoaderWorkers()]):
        torch.manual_seed(0)
        loader = DataLoader(_Draws(), 2, num_workers=1)
        trainer = quick_trainer(max_epochs=1, callbacks=callbacks)
        trainer.fit(_Keeps(), loader)
        drawn.append(trainer.lightning_module.seen)
    assert drawn[0] == drawn[1]


class _Draws(torch.utils.data.Dataset):
    """Examples that are drawn anew whenever one is asked for."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.randn(2), torch.randn(1)


class _Keeps(LinearRegression):
    """A model that keeps what it saw."""

    def training_step(self, batch, batch_idx):
        self.__dict__.setdefault("seen", []).append(batch[0].tolist())
        return super().training_step(batch, batch_idx)
