"""One test for each function: a release of Lightning that changes a part fails the test of its name."""

import pytest
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    Checkpoint,
    EMAWeightAveraging,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from firstlight import AutogradCubic, Houses, LinearRegression, Sine
from firstlight.engine.callbacks import Checkpoints, StepSeeds
from firstlight.engine.callbacks import lightning_internals as internals


def four_batches():
    return Sine(num_points=30, repeats=4)


class Scheduled(AutogradCubic):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [{"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1), "interval": "step"}]


@pytest.fixture
def seen_at(quick_trainer):
    """Return a function that trains two epochs of four batches, and returns what it saw at each call of a hook."""

    def run(hook, look, model=AutogradCubic, ckpt_path=None, **arguments):
        seen = []
        callback = type("Look", (Callback,), {hook: lambda _, trainer, *__: seen.append(look(trainer))})()
        trainer = quick_trainer(**{"max_epochs": 2, "callbacks": [callback]} | arguments)
        trainer.fit(model(), four_batches(), ckpt_path=ckpt_path)
        return seen

    return run


@pytest.fixture
def killed(quick_trainer):
    """Return a function that trains until a step and leaves a checkpoint from before it."""

    def run(step, **arguments):
        class Killed(AutogradCubic):
            def training_step(self, batch, batch_idx):
                if self.global_step == step:
                    raise ArithmeticError
                return super().training_step(batch, batch_idx)

        checkpoints = Checkpoints(folder="here", every_n_steps=arguments.pop("every_n_steps", None))
        trainer = quick_trainer(max_epochs=3, enable_checkpointing=True, callbacks=[checkpoints], **arguments)
        with pytest.raises(ArithmeticError):
            trainer.fit(Killed(), four_batches())
        return "here/last.ckpt"

    return run


@pytest.mark.parametrize(("strategy", "forks"), [("ddp_spawn", True), ("ddp", False), ("auto", False)])
def test_starts_forks(strategy, forks, quick_trainer):
    assert internals.starts_forks(quick_trainer(strategy=strategy, devices=2 - (strategy == "auto"))) is forks


def test_callbacks_of(quick_trainer):
    seeds = StepSeeds(0)
    trainer = quick_trainer(callbacks=[seeds, Callback()])
    assert internals.callbacks_of(trainer, StepSeeds) == [seeds]
    assert len(internals.callbacks_of(trainer, Callback)) == 2


def test_typed(quick_trainer):
    trainer, data = internals.typed(quick_trainer(fast_dev_run=True, log_every_n_steps=7)), four_batches()
    assert trainer.datamodule is None
    trainer.fit(AutogradCubic(), data)
    assert (trainer.datamodule, trainer.log_every_n_steps) == (data, 7)
    assert all(hasattr(trainer, name) for name in internals.Typed.__annotations__)


def test_batch_counter(seen_at):
    def look(trainer):
        counter, now = internals.batch_counter(trainer), internals.batch_counter(trainer).current
        return counter.total.ready, now.ready, now.started, now.processed, now.completed, counter.is_last_batch

    batches = enumerate((1, 2, 3, 4, 1, 2, 3, 4), start=1)
    assert seen_at("on_train_batch_end", look) == [(total, n, n, n, n - 1, n == 4) for total, n in batches]


def test_optimizer_counter(seen_at):
    def look(trainer):
        counter = internals.optimizer_counter(trainer)
        return counter.step.total.completed, counter.zero_grad.total.completed, trainer.global_step

    assert seen_at("on_train_batch_end", look) == [(n, n, n) for n in range(1, 9)]


def test_schedule_counter(seen_at):
    seen = seen_at("on_train_batch_end", lambda t: internals.schedule_counter(t).total.completed, model=Scheduled)
    assert seen == list(range(1, 9))


def test_num_epochs_processed(seen_at):
    assert seen_at("on_train_epoch_start", internals.num_epochs_processed) == [0, 1]
    assert seen_at("on_train_epoch_end", internals.num_epochs_processed) == [1, 2]


def test_is_epoch_ending(seen_at):
    assert seen_at("on_train_epoch_start", internals.is_epoch_ending) == [False, False]
    assert seen_at("on_train_batch_end", internals.is_epoch_ending) == [False] * 8
    assert seen_at("on_train_epoch_end", internals.is_epoch_ending) == [True, True]


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be provided")
def test_is_finishing_resumed_epoch(seen_at, killed):
    last = killed(6, every_n_steps=1, max_steps=-1)
    seen = seen_at("on_train_epoch_end", internals.is_finishing_resumed_epoch, ckpt_path=last, max_epochs=3)
    assert seen == [True, False]


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be provided")
@pytest.mark.parametrize(("step", "within"), [(6, True), (5, False)])
def test_is_resumed_within_epoch(step, within, seen_at, killed):
    last = killed(step, every_n_steps=2, max_steps=-1)  # after step 6 or 4; an epoch has four
    seen = seen_at("on_train_start", internals.is_resumed_within_epoch, ckpt_path=last, max_epochs=3)
    assert seen == [within]


@pytest.mark.parametrize(("min_epochs", "stopping"), [(None, [True]), (2, [False] * 8)])
def test_is_stopping(min_epochs, stopping, seen_at):
    def look(trainer):
        trainer.should_stop = True
        return internals.is_stopping(trainer)

    assert seen_at("on_train_batch_end", look, min_epochs=min_epochs, max_epochs=3) == stopping


def test_averages_not_begun(seen_at):
    averages = [StochasticWeightAveraging(0.1, swa_epoch_start=2), EMAWeightAveraging(update_starting_at_step=2)]

    class Look(Callback):
        seen = ()

        def on_train_batch_start(self, trainer, *_):
            self.seen += (len(internals.averages_not_begun(trainer)),)

    look = Look()
    seen_at("on_train_end", bool, callbacks=[*averages, look])
    assert look.seen == (2, 2, 2, 1, 0, 0, 0, 0)  # by the epoch, and by the step


def test_begin_averaging_again(quick_trainer):
    class Normalized(AutogradCubic):
        """After the last epoch that is averaged comes one for the statistics of this layer."""

        def __init__(self):
            super().__init__()
            self.norm = torch.nn.BatchNorm1d(1)

    class Look(Callback):
        seen = ()

        def on_train_start(self, trainer, *_):
            internals.begin_averaging_again(trainer)
            self.seen += ((average.n_averaged, len(trainer.lr_scheduler_configs)),)

        def on_train_epoch_end(self, trainer, *_):
            trainer.save_checkpoint(f"{trainer.current_epoch}.ckpt")

    look = Look()
    for path in (None, "0.ckpt", "1.ckpt"):
        average = StochasticWeightAveraging(0.1, swa_epoch_start=1)
        trainer = quick_trainer(max_epochs=2, callbacks=[average, look])
        trainer.fit(Normalized(), four_batches(), ckpt_path=path, weights_only=True)
    assert look.seen == ((None, 0), (None, 0), (2, 1))


def test_found_settings(quick_trainer):
    finders = [LearningRateFinder(num_training_steps=20), BatchSizeFinder(max_val=8)]
    trainer, model, data = quick_trainer(callbacks=finders, max_epochs=3), LinearRegression(), Houses(num_examples=95)
    trainer.fit(model, data)
    assert internals.found_settings(trainer) == {"batch_size": 8, "lr": model.lr}
    assert model.lr != LinearRegression().lr


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint need to be provided")
def test_end_epoch_only_once(seen_at, killed):
    class Epochs(Callback):
        ended = ()

        def on_train_start(self, trainer, *_):
            internals.end_epoch_only_once(trainer)

        def on_train_epoch_end(self, trainer, *_):
            self.ended += (trainer.current_epoch,)

    epochs, last = Epochs(), killed(5, max_steps=12)  # at the end of the first epoch
    seen_at("on_train_end", bool, ckpt_path=last, max_epochs=-1, max_steps=12, callbacks=[epochs])
    assert epochs.ended == (1, 2)


def test_end_batch(seen_at):
    class Early(Callback):
        """End the third batch of each epoch before the Trainer does."""

        def __init__(self):
            self.validated = []

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if batch_idx == 2:
                internals.end_batch(trainer, trainer.global_step - 1)

        def on_validation_start(self, trainer, *_):
            self.validated.append(trainer.global_step)

    early = Early()
    seen_at("on_train_end", bool, callbacks=[early], num_sanity_val_steps=0, val_check_interval=3)
    assert early.validated == [3, 3, 7, 7]


def test_data_fetcher(seen_at):
    def look(trainer):
        fetcher = internals.data_fetcher(trainer)
        assert fetcher.iterator is fetcher.combined_loader
        return fetcher.fetched, fetcher.length

    assert seen_at("on_train_batch_end", look) == [(n, 4) for n in (1, 2, 3, 4, 1, 2, 3, 4)]


class Logging(AutogradCubic):
    def training_step(self, batch, batch_idx):
        internals.count_logged_steps(self.trainer, 10 + batch_idx)
        loss = super().training_step(batch, batch_idx)
        self.log("mine", loss)
        return loss


def test_count_logged_steps_sets_the_x_axis(curves, quick_trainer):
    trainer = quick_trainer(max_epochs=1, logger=curves, log_every_n_steps=1)
    trainer.fit(Logging(), four_batches())
    assert [step for step, row in curves.rows if "mine" in dict(row)] == [10, 11, 12, 13]


def test_log_epoch_leaves_nothing_to_log(curves, quick_trainer):
    class Early(Checkpoint):  # these come after the model
        def on_train_epoch_end(self, trainer, *_):
            before = len(curves.rows)
            internals.log_epoch(trainer)
            self.rows = curves.rows[before:]

    early = Early()
    trainer = quick_trainer(
        max_epochs=1, logger=curves, callbacks=[early], log_every_n_steps=2, enable_checkpointing=True
    )
    trainer.fit(AutogradCubic(), four_batches())
    assert [(step, [name for name, _ in row]) for step, row in early.rows] == [(3, ["epoch", "loss/train"])]
    assert sum(name == "loss/train" for _, row in curves.rows for name, _ in row) == 1
    assert trainer.callback_metrics["loss/train"] > 0


@pytest.mark.filterwarnings("ignore:.*It will use the implementation from `LightningModule` instance")
def test_step_logs_and_logged_in_hook(curves, quick_trainer):
    class Other(AutogradCubic):
        """A model with a score that is logged between two steps of the Trainer."""

        def on_after_batch_transfer(self, batch, dataloader_idx):
            if not self.trainer.training:
                return batch
            logs = internals.step_logs(self.trainer)
            logs.on_batch_start(batch)
            with internals.logged_in_hook(self):
                assert self._current_fx_name == "training_step"
                self.log("mine", 3.0, batch_size=1)
            logs.on_batch_end()
            logs.update_train_step_metrics()
            return batch

    trainer = quick_trainer(max_epochs=1, logger=curves, log_every_n_steps=1)
    trainer.fit(Other(), four_batches())
    assert (0, [("epoch", 0), ("mine", 3.0)]) in curves.rows
    with pytest.raises(MisconfigurationException):
        trainer.lightning_module.log("mine", 3.0)


@pytest.mark.parametrize("forgets", [True, False])
def test_forget_positions(forgets, quick_trainer):
    class Given(LightningDataModule):
        def predict_dataloader(self):
            loader = DataLoader(TensorDataset(torch.zeros(6, 1), torch.zeros(6, 1)), 4)
            if forgets:
                internals.forget_positions(loader)
            return loader

    trainer = quick_trainer()
    if forgets:
        assert [len(batch["y"]) for batch in trainer.predict(AutogradCubic(), Given())] == [4, 2]
    else:
        with pytest.raises(MisconfigurationException, match="batch_size"):  # what it is for
            trainer.predict(AutogradCubic(), Given())


def test_how_logged_says_it_as_log_takes_it(seen_at):
    class Other(AutogradCubic):
        def training_step(self, batch, batch_idx):
            self.log("mine", 3.0, on_step=True, on_epoch=True, reduce_fx="max", batch_size=1)
            return super().training_step(batch, batch_idx)

    def look(trainer):
        results = internals.training_results(trainer)
        how = internals.how_logged(results["training_step.mine"])
        results.log(**how, value=torch.tensor(3.0), sync_dist_fn=trainer.strategy.reduce)  # else it was another way
        return how

    (how, *_) = seen_at("on_train_batch_end", look, Other)
    named = {"fx": "training_step", "name": "mine", "on_step": True, "on_epoch": True, "reduce_fx": "max"}
    assert how == named | {"prog_bar": False, "logger": True, "sync_dist": False}


class OfNoTrainer(LightningDataModule):
    """Ten examples from a torch DataLoader, two a batch."""

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.rand(10, 1), torch.rand(10, 1)), batch_size=2)


@pytest.mark.parametrize(
    ("arguments", "steps", "epochs"),
    [
        ({"max_epochs": 3}, 15, 3),
        ({"max_epochs": 3, "devices": 2, "strategy": "ddp"}, 9, 3),
        ({"max_epochs": 3, "max_steps": 12}, 12, 3),
        ({"max_steps": 12}, 12, 3),
        ({"max_epochs": -1}, None, None),
    ],
)
def test_planned_length_and_plan(arguments, steps, epochs, quick_trainer):
    trainer, model = quick_trainer(**arguments), Scheduled()
    internals.plan(trainer, model, OfNoTrainer())
    assert (internals.planned_length(trainer, "step"), internals.planned_length(trainer, "epoch")) == (steps, epochs)
    assert isinstance(trainer.lr_scheduler_configs[0].scheduler, torch.optim.lr_scheduler.StepLR)


def test_planned_length_of_data_without_a_length(quick_trainer):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(torch.rand(10, 1, 1))

    class Streamed(LightningDataModule):
        def train_dataloader(self):
            return DataLoader(Stream())

    for arguments, length in (({"max_epochs": 3}, (None, 3)), ({"max_steps": 7}, (7, None))):
        trainer = quick_trainer(**arguments)
        internals.plan(trainer, Scheduled(), Streamed())
        assert tuple(internals.planned_length(trainer, interval) for interval in ("step", "epoch")) == length


@pytest.mark.parametrize("limit", ["limit_train_batches", "limit_val_batches"])
def test_load_data(limit, quick_trainer):
    trainer, too_little = quick_trainer(max_epochs=1), quick_trainer(max_epochs=1, **{limit: 0.01})
    for planned in (trainer, too_little):
        data = four_batches()
        data.setup("fit")
        internals.plan(planned, Scheduled(), data)
    internals.load_data(trainer)
    assert (trainer.num_training_batches, trainer.num_val_batches) == (4, [1])
    with pytest.raises(MisconfigurationException, match=limit):
        internals.load_data(too_little)


def test_reload_training_data(quick_trainer):
    trainer = quick_trainer(max_epochs=1)
    internals.plan(trainer, Scheduled(), OfNoTrainer())
    assert internals.planned_length(trainer, "step") == 5
    loader = trainer.train_dataloader
    internals.reload_training_data(trainer)
    assert trainer.train_dataloader is None
    trainer.fit_loop.setup_data()
    assert trainer.train_dataloader is not loader
