"""What the tests of the callbacks share: a logger to look into, and a record of everything that a run leaves behind."""

import json

import pytest
import torch
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers.logger import Logger

from firstlight.engine.callbacks import Checkpoints, SeveralUpdates, StepLoss, StepSeeds


class Steps(ProgressBar):
    """Count the Trainer's steps; a progress bar does not turn several updates off."""

    count = 0

    def on_train_batch_end(self, *_):
        self.count += 1


class Curves(Logger):
    """Keep what is logged."""

    name = version = "curves"

    def __init__(self):
        super().__init__()
        self.rows = []

    def log_hyperparams(self, *_, **__):
        pass

    def log_metrics(self, metrics, step):
        self.rows.append((step, sorted(metrics.items())))


@pytest.fixture
def curves():
    """Return a logger that keeps what is logged."""
    return Curves()


@pytest.fixture
def record(quick_trainer):
    """Return a function that trains, and returns how many steps the Trainer took, and all that came out."""

    def run(model, data, updates=4, callbacks=list, **arguments):
        curves, steps = Curves(), Steps()
        mine = [StepSeeds(0), SeveralUpdates(updates), StepLoss(Checkpoints(folder="here")), steps]
        chosen = {"max_epochs": 2, "log_every_n_steps": 3, "logger": curves, "enable_progress_bar": True}
        trainer = quick_trainer(**chosen | arguments, callbacks=[*callbacks(), *mine])
        torch.manual_seed(0)
        trainer.fit(model(), data())
        module, optimizers = trainer.lightning_module, trainer.optimizers
        kept = [module.state_dict(), trainer.callback_metrics, curves.rows, trainer.fit_loop.state_dict()]
        kept += [optimizer.state_dict() for optimizer in optimizers if hasattr(optimizer, "state")]
        return steps.count, json.dumps(kept, default=torch.Tensor.tolist)

    return run
