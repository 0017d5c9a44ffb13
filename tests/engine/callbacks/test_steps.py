import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from firstlight import MLP, AutogradCubic, FashionMNIST, Sine
from firstlight.engine.callbacks import Checkpoints, StepLoss, StepSeeds
from firstlight.errors import NotFiniteError


class Noise(Callback):
    """Draw random numbers, more of them in each step."""

    def on_train_batch_start(self, trainer, *_):
        torch.rand(trainer.global_step + 1)
        np.random.random(trainer.global_step + 1)
        random.random()


class Draws(Callback):
    """Keep what a step draws."""

    def __init__(self):
        self.drawn = []

    def on_train_batch_start(self, *_):
        self.drawn.append((torch.rand(()).item(), np.random.random(), random.random()))


@pytest.fixture
def fit(quick_trainer, fashion_root):
    """Return a function that trains a network with dropout and returns its weights."""

    def run(*callbacks):
        torch.manual_seed(0)
        model = MLP(hidden_dims=[16], dropout=0.5, init_std=None)
        quick_trainer(max_epochs=2, callbacks=list(callbacks)).fit(
            model, FashionMNIST(str(fashion_root), batch_size=18)
        )
        return torch.cat([weight.flatten() for weight in model.parameters()])

    return run


def test_dropout_does_not_depend_on_who_else_draws_random_numbers(fit):
    plain = fit(StepSeeds(0))
    assert torch.equal(plain, fit(Noise(), StepSeeds(0)))
    assert not torch.equal(plain, fit(StepSeeds(1)))


def test_all_three_generators_give_each_step_different_numbers(fit):
    first, second = Draws(), Draws()
    fit(StepSeeds(0), first)
    fit(Noise(), StepSeeds(0), second)
    assert first.drawn == second.drawn
    assert all(len(set(stream)) == 6 for stream in zip(*first.drawn, strict=True))


SINCE = "12, first between steps 9 and 12"


# torchmetrics warns of the training loss, which this test makes NaN
@pytest.mark.filterwarnings("ignore:Encountered `nan` values in tensor. Will be removed.")
@pytest.mark.parametrize(("every", "step"), [(1, "9"), (4, SINCE), (50, SINCE)])
def test_nan_loss_ends_the_run(every, step, quick_trainer):
    class Broken(AutogradCubic):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            return loss * torch.nan if self.global_step >= 8 else loss

    checkpoints = Checkpoints(folder="here")
    arguments = {"enable_checkpointing": True, "callbacks": [StepLoss(checkpoints), checkpoints]}
    trainer = quick_trainer(max_epochs=5, log_every_n_steps=every, **arguments)
    with pytest.raises(NotFiniteError) as caught:
        trainer.fit(Broken(), Sine(num_points=30, repeats=4))
    message = f"the loss is nan at step {step}\nthe last good checkpoint is here/last.ckpt\n"
    assert str(caught.value).startswith(message)
    assert torch.load("here/last.ckpt", weights_only=True)["global_step"] == 8


def test_infinite_loss_ends_a_run_without_a_checkpoint(quick_trainer):
    checkpoints = Checkpoints(folder=str(Path("here")))
    trainer = quick_trainer(max_epochs=9, log_every_n_steps=1, callbacks=[StepLoss(checkpoints)])
    with pytest.raises(NotFiniteError, match=r"the loss is inf at step \d\nnothing was learned before"):
        trainer.fit(AutogradCubic(lr=1e15), Sine(num_points=30))


@pytest.mark.parametrize(("every", "steps"), [(0, []), (1, [*range(8)]), (3, [2, 5])])
def test_loss_is_logged_every_n_steps(every, steps, record):
    _, kept = record(AutogradCubic, lambda: Sine(num_points=30, repeats=4), log_every_n_steps=every)
    assert [step for step, row in json.loads(kept)[2] if row[0][0] == "loss/step"] == steps
