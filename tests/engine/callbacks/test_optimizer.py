import pytest
import torch

from firstlight import DynamicPolynomial, Houses, LinearRegression, Sine
from firstlight.engine.callbacks import Checkpoints, TypedOptimizer
from firstlight.errors import UsageError


class Halving(DynamicPolynomial):
    """A schedule halves its learning rate after each epoch."""

    def configure_optimizers(self):
        optimizer = super().configure_optimizers()
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]


@pytest.fixture
def fit(quick_trainer):
    """Return a function that trains, perhaps from a checkpoint, writes one, and returns the optimizer's settings."""

    def run(model, epochs, ckpt_path=None, callbacks=None):
        trainer = quick_trainer(max_epochs=epochs, callbacks=[TypedOptimizer()] if callbacks is None else callbacks)
        trainer.fit(model, Sine(num_points=30), ckpt_path=ckpt_path)
        trainer.save_checkpoint("now.ckpt")
        return trainer.optimizers[0].param_groups[0]

    return run


def test_settings_that_differ_take_effect(fit):
    fit(DynamicPolynomial(lr=1e-8, momentum=0.9), 1)
    group = fit(DynamicPolynomial(lr=3e-8, momentum=0.5), 2, "now.ckpt")
    assert (group["lr"], group["momentum"]) == (3e-8, 0.5)


class TwoParts(DynamicPolynomial):
    """Its optimizer trains one of its parts, or both."""

    def __init__(self, parts):
        super().__init__()
        self.other, self.parts = torch.nn.Parameter(torch.zeros(1)), parts

    def configure_optimizers(self):
        return torch.optim.SGD([self.get_parameter(name) for name in self.parts], lr=1e-8, momentum=0.9)


def test_state_of_other_parameters_is_refused(fit):
    fit(TwoParts(["coefficients", "other"]), 1)
    words = (
        "^the checkpoint's optimizer trains coefficients, other, that of this run other, coefficients\n.*--ckpt_path"
    )
    with pytest.raises(UsageError, match=words):
        fit(TwoParts(["other", "coefficients"]), 2, "now.ckpt")


def test_momentum_of_the_weights_survives(fit):
    fit(DynamicPolynomial(), 1)
    before = torch.load("now.ckpt", weights_only=True)["optimizer_states"][0]["state"][0]["momentum_buffer"]
    fit(DynamicPolynomial(lr=3e-8), 1, "now.ckpt")
    after = torch.load("now.ckpt", weights_only=True)["optimizer_states"][0]["state"][0]["momentum_buffer"]
    assert torch.equal(before, after)


def test_learning_rate_that_a_schedule_changed_is_scaled(fit):
    assert fit(Halving(lr=1e-8), 2)["lr"] == 1e-8 / 4
    assert fit(Halving(lr=1e-8), 3, "now.ckpt")["lr"] == 1e-8 / 8
    assert fit(Halving(lr=4e-8), 4, "now.ckpt")["lr"] == pytest.approx(4e-8 / 16)
    assert fit(Halving(lr=4e-8), 5, "now.ckpt")["lr"] == pytest.approx(4e-8 / 32)


def test_checkpoint_of_a_trainer_without_the_callback_can_be_resumed(fit):
    fit(Halving(lr=1e-8), 2, callbacks=[])
    assert fit(Halving(lr=4e-8), 3, "now.ckpt")["lr"] == pytest.approx(4e-8 / 8)


class Asking(LinearRegression):
    """It asks for the length of its run, as Lightning's documentation has it, so the data are loaded early."""

    fails_at = None

    def configure_optimizers(self):
        optimizer, steps = super().configure_optimizers(), self.trainer.estimated_stepping_batches
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]

    def training_step(self, batch, batch_idx):
        if self.global_step == self.fails_at:
            raise ArithmeticError
        return super().training_step(batch, batch_idx)


def test_model_that_asks_for_the_length_of_its_run_is_resumed_within_an_epoch(quick_trainer):
    torch.manual_seed(0)
    whole = Asking()
    broken = Asking()
    broken.load_state_dict(whole.state_dict())
    quick_trainer(max_epochs=2).fit(whole, Houses(batch_size=250))
    broken.fails_at = 6

    def fit(**how):
        callbacks = [TypedOptimizer(), Checkpoints(folder="here", every_n_steps=1)]
        quick_trainer(max_epochs=2, enable_checkpointing=True, callbacks=callbacks).fit(
            broken, Houses(batch_size=250), **how
        )

    with pytest.raises(ArithmeticError):
        fit()
    broken.fails_at = None
    fit(ckpt_path="here/last.ckpt")
    for name, weights in whole.state_dict().items():
        assert torch.equal(broken.state_dict()[name], weights)
