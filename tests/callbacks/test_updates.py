import json

import pytest
import torch
from lightning.pytorch.callbacks import Callback, GradientAccumulationScheduler, LearningRateMonitor

from firstlight import (
    MLP,
    AutogradCubic,
    DynamicPolynomial,
    FashionMNIST,
    Houses,
    LegendreCubic,
    LinearRegression,
    ManualCubic,
    NeuralNetwork,
    Neuron,
    PlantedNeuron,
    Sine,
    SoftmaxRegression,
    TwoLayerNetwork,
)
from firstlight.callbacks import SeveralUpdates, StepSeeds


class Batches(Callback):
    """Count the Trainer's steps."""

    count = 0

    def on_train_epoch_end(self, trainer, *_):
        self.count = trainer.fit_loop.epoch_loop.batch_progress.total.completed


@pytest.fixture
def fit(quick_trainer):
    """Return a function that trains, and returns the Trainer and how many steps it took."""

    def run(model, data, updates=4, **arguments):
        seeds, counter = StepSeeds(0), Batches()
        callbacks = [*arguments.pop("callbacks", []), seeds, SeveralUpdates(updates, seeds), counter]
        trainer = quick_trainer(**{"max_epochs": 2} | arguments, callbacks=callbacks)
        torch.manual_seed(0)
        trainer.fit(model(), data)
        return trainer, counter.count

    return run


def outcome(trainer):
    kept = [trainer.lightning_module.state_dict(), trainer.callback_metrics, trainer.optimizers[0].state_dict()]
    return trainer.global_step, json.dumps(kept, default=torch.Tensor.tolist)


WHOLE = {"num_points": 40, "repeats": 10}
PAIRS = {
    "manual": (lambda: ManualCubic(1e-4), lambda _: Sine(**WHOLE)),
    "autograd": (lambda: AutogradCubic(1e-4), lambda _: Sine(num_points=40, batch_size=10, repeats=3)),
    "legendre": (LegendreCubic, lambda _: Sine(**WHOLE)),
    "dynamic": (DynamicPolynomial, lambda _: Sine(**WHOLE)),
    "neuron": (Neuron, lambda _: PlantedNeuron(num_examples=90, batch_size=10)),
    "two layers": (TwoLayerNetwork, lambda _: Sine(num_points=90, num_powers=3, scale_target=True, batch_size=10)),
    "linear": (LinearRegression, lambda _: Houses(num_examples=90)),
    "softmax": (SoftmaxRegression, lambda root: FashionMNIST(root, batch_size=5)),
    "dropout": (lambda: MLP(hidden_dims=[8], dropout=0.5), lambda root: FashionMNIST(root, batch_size=5)),
    "network": (NeuralNetwork, lambda root: FashionMNIST(root, batch_size=5)),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_several_updates_at_a_time_are_the_same_run_to_the_bit(pair, fit, fashion_root):
    model, data = PAIRS[pair]
    single, many = fit(model, data(str(fashion_root)), updates=1)
    grouped, few = fit(model, data(str(fashion_root)), updates=4)
    assert outcome(grouped) == outcome(single)
    assert few == 2 * -(-many // 8)  # a quarter in each of the two epochs, the last of them smaller


class Looks(Callback):
    def on_before_optimizer_step(self, *_):
        pass


class Own(LinearRegression):
    def on_train_batch_end(self, *_):
        pass


class Stepwise(LinearRegression):
    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Estimating(LinearRegression):
    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches == 18
        return super().configure_optimizers()


@pytest.mark.parametrize(
    ("model", "arguments", "steps"),
    [
        (LinearRegression, {}, 6),
        (LinearRegression, {"gradient_clip_val": 0.5}, 18),
        (LinearRegression, {"accumulate_grad_batches": 2}, 18),
        (LinearRegression, {"limit_train_batches": 5}, 10),
        (LinearRegression, {"limit_train_batches": 1}, 2),
        (LinearRegression, {"limit_train_batches": 0.5}, 8),
        (LinearRegression, {"overfit_batches": 2}, 4),
        (LinearRegression, {"max_steps": 7, "max_epochs": -1}, 7),
        (LinearRegression, {"val_check_interval": 2}, 18),
        (LinearRegression, {"val_check_interval": 0.5}, 18),
        (LinearRegression, {"val_check_interval": 5, "check_val_every_n_epoch": None}, 18),
        (LinearRegression, {"precision": "bf16-mixed"}, 6),
        (LinearRegression, {"precision": "64-true"}, 6),
        (LinearRegression, {"callbacks": [Looks()]}, 18),
        (LinearRegression, {"callbacks": [GradientAccumulationScheduler({1: 2})]}, 18),
        (LinearRegression, {"callbacks": [LearningRateMonitor("step")], "logger": True, "log_every_n_steps": 1}, 18),
        (Own, {}, 18),
        (Stepwise, {}, 18),
        (Estimating, {}, 18),
    ],
)
def test_whatever_looks_at_single_steps_sees_every_one(model, arguments, steps, fit):
    _, count = fit(model, Houses(num_examples=90), **arguments)
    assert count == steps


def test_what_a_step_logs_is_logged_of_every_update(fit):
    class Logging(LinearRegression):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("mine", loss, on_step=False, on_epoch=True, batch_size=len(batch[0]))
            return loss

    trainer, _ = fit(Logging, Houses(num_examples=90))
    assert trainer.callback_metrics["mine"] == pytest.approx(trainer.callback_metrics["loss/train"].item(), rel=1e-6)


def test_a_step_may_return_more_than_its_loss(fit):
    class Telling(LinearRegression):
        def training_step(self, batch, batch_idx):
            return {"loss": super().training_step(batch, batch_idx), "more": 1}

    told, _ = fit(Telling, Houses(num_examples=90))
    plain, _ = fit(LinearRegression, Houses(num_examples=90))
    assert outcome(told) == outcome(plain)


def test_an_optimizer_that_takes_the_loss_again_and_again_can(fit):
    class Newton(LinearRegression):
        def configure_optimizers(self):
            return torch.optim.LBFGS(self.parameters(), max_iter=3)

    (one, _), (several, _) = (fit(Newton, Houses(num_examples=90), updates=updates) for updates in (1, 4))
    assert outcome(one) == outcome(several)
