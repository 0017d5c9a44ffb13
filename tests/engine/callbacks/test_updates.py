import pytest
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    GradientAccumulationScheduler,
    LambdaCallback,
    LearningRateMonitor,
    StochasticWeightAveraging,
)
from lightning.pytorch.profilers import SimpleProfiler
from tests.conftest import draw_little

from firstlight import Houses, LinearRegression
from firstlight.engine.callbacks import Checkpoints
from firstlight.engine.callbacks.updates import UpdatingLoader


def houses():
    return Houses(num_examples=95)  # ten batches, the last one smaller


class Normed(LinearRegression):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(2)

    def forward(self, x):
        return super().forward(self.norm(x))


class Looks(Callback):
    def on_before_optimizer_step(self, *_):
        pass


class Saves(Callback):
    def on_exception(self, *_):
        pass


class Accumulates(Callback):
    def on_train_epoch_start(self, trainer, *_):
        trainer.accumulate_grad_batches = 1 + trainer.current_epoch


class Watching(LinearRegression):
    def on_train_batch_end(self, *_):
        pass


class Stepwise(LinearRegression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Estimating(LinearRegression):
    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches == 20
        return super().configure_optimizers()


EARLY = {"callbacks": lambda: [EarlyStopping("loss/val", patience=0, min_delta=99.0)], "max_epochs": 5}


@pytest.mark.parametrize(
    ("model", "arguments", "steps"),
    [
        # several at a time
        (LinearRegression, {"limit_train_batches": 5}, 4),
        (LinearRegression, {"limit_train_batches": 1, "log_every_n_steps": 1}, 2),
        (LinearRegression, {"limit_train_batches": 0.5}, 4),
        (LinearRegression, {"overfit_batches": 7}, 4),
        (LinearRegression, {"precision": "bf16-mixed"}, 6),
        (LinearRegression, {"precision": "64-true"}, 6),
        (LinearRegression, {"check_val_every_n_epoch": 2}, 6),
        (LinearRegression, {"detect_anomaly": True}, 6),
        (LinearRegression, {"max_epochs": -1} | EARLY, 6),
        (Estimating, {}, 6),
        # several at a time, until single steps matter
        (LinearRegression, EARLY | {"min_steps": 24}, 10),
        (LinearRegression, {"reload_dataloaders_every_n_epochs": 1}, 13),
        (LinearRegression, {"callbacks": lambda: [GradientAccumulationScheduler({1: 2})]}, 13),
        (LinearRegression, {"callbacks": lambda: [Accumulates()]}, 13),
        (Normed, {"callbacks": lambda: [StochasticWeightAveraging(0.1, swa_epoch_start=1)]}, 16),
        # one at a time
        (LinearRegression, {"gradient_clip_val": 0.5}, 20),
        (LinearRegression, {"accumulate_grad_batches": 2}, 20),
        (LinearRegression, {"max_steps": 7, "max_epochs": -1}, 7),
        (LinearRegression, {"fast_dev_run": 5}, 5),
        (LinearRegression, {"max_time": "00:01:00:00"}, 20),
        (LinearRegression, {"val_check_interval": 2}, 20),
        (LinearRegression, {"val_check_interval": 0.5}, 20),
        (LinearRegression, {"val_check_interval": 5, "check_val_every_n_epoch": None}, 20),
        (LinearRegression, {"val_check_interval": "00:01:00:00"}, 20),
        (LinearRegression, {"callbacks": lambda: [Looks()]}, 20),
        (LinearRegression, {"callbacks": lambda: [LambdaCallback(on_train_batch_end=lambda *_: None)]}, 20),
        (LinearRegression, {"callbacks": lambda: [Saves()]}, 20),
        (LinearRegression, {"callbacks": lambda: [LearningRateMonitor("step")]}, 20),
        (Watching, {}, 20),
        (Stepwise, {}, 20),
    ],
)
@pytest.mark.filterwarnings("ignore:Swapping scheduler")
def test_callback_is_turned_off_where_single_steps_matter(model, arguments, steps, record):
    _, single = record(model, houses, updates=1, **arguments)
    count, grouped = record(model, houses, **arguments)
    assert grouped == single
    assert count == steps


def test_profiler_sees_single_updates(record):
    profiler = SimpleProfiler()
    record(LinearRegression, houses, profiler=profiler)
    assert len(profiler.recorded_durations["run_training_batch"]) == 20


def test_others_get_all_batches_from_the_training_loader(record):
    class Reading(Callback):
        seen = ()

        def on_train_epoch_end(self, trainer, *_):
            loaders = [trainer.train_dataloader, trainer.datamodule.train_dataloader()]
            self.seen += tuple(sum(len(x) for x, _ in loader) for loader in loaders)

    reading = Reading()
    record(LinearRegression, houses, callbacks=lambda: [reading])
    assert reading.seen == (95,) * 4


def test_checkpoint_is_written_after_exactly_every_n_steps(record):
    class Kept(Checkpoints):
        steps = ()

        def _save(self, trainer, path):
            self.steps += (trainer.global_step,)

    kept = Kept(every_n_steps=3, folder="here")
    count, _ = record(LinearRegression, houses, callbacks=lambda: [kept], enable_checkpointing=True)
    assert kept.steps == (0, 3, 6, 9, 10, 10, 12, 15, 18, 20, 20)
    assert count == 8


def test_command_takes_several_updates_in_a_step(did, monkeypatch):
    draw_little(monkeypatch)
    epochs, take = [], UpdatingLoader.take_updates
    monkeypatch.setattr(UpdatingLoader, "take_updates", lambda *each: epochs.append(each) or take(*each))
    did("fit", "--config", "autograd_cubic", "--data.num_points=50", "--trainer.max_epochs=2", "--pictures=all")
    assert len(epochs) >= 2
