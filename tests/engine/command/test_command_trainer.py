"""Every setting of the Trainer does to every model what it promises, four updates to a step of the Trainer."""

import contextlib
from copy import deepcopy

import pytest
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from tests.repeated import first_quick
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau, StepLR

from firstlight import ManualCubic, SineEnsemble, models
from firstlight.data.seeds import GOLDEN, key_seed
from firstlight.engine.callbacks import SeveralUpdates, StepSeeds


@pytest.fixture
def started(pair):
    """Return a model and its data, set up."""
    torch.manual_seed(0)
    model, data = pair()
    data.setup("fit")
    return model, data


@pytest.fixture
def fit(quick_trainer):
    """Return a function that trains a model and returns its Trainer."""

    def run(model, data, *callbacks, **arguments):
        callbacks = [*callbacks, StepSeeds(0), SeveralUpdates(4)]
        trainer = quick_trainer(**{"max_epochs": 2} | arguments, callbacks=callbacks)
        trainer.fit(model, data)
        return trainer

    return run


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def by_hand(model, data, epochs=2, batches=None, accumulate=1, clip=None, context=contextlib.nullcontext, steps=None):
    """Train a model in a plain loop with autograd; return the weights, and how large each gradient was."""
    dtype, optimizer = weights(model).dtype, model.configure_optimizers()
    (group,) = optimizer.param_groups
    sizes = []
    for epoch in range(epochs):
        loader = data.train_dataloader()
        loader.set_epoch(epoch)
        chosen = list(loader)[:batches]
        for number, batch in enumerate(chosen):
            torch.manual_seed((key_seed(0, 0, epoch) + number * GOLDEN) % 2**64)
            x, y = data.on_after_batch_transfer(batch, 0)
            x, y = (part.to(dtype) if part.is_floating_point() else part for part in (x, y))
            with context():
                loss = model.loss(model(x), y)
            (loss / accumulate).backward()
            if (number + 1) % accumulate == 0 or number + 1 == len(chosen):
                gradients = torch.cat([parameter.grad.flatten() for parameter in group["params"]])
                sizes.append(clip(gradients) if clip else gradients.norm().item())
                offset = 0
                for parameter in group["params"]:
                    parameter.grad = gradients[offset : offset + parameter.numel()].view_as(parameter)
                    offset += parameter.numel()
                optimizer.step()
                optimizer.zero_grad()
                if len(sizes) == steps:
                    return weights(model), sizes
    return weights(model), sizes


def agree(model, start, expected, tolerance=1e-3):
    """Return whether a model went from its start to where it was expected, but for a share of the way."""
    return (weights(model) - expected).norm() < tolerance * (start - expected).norm()


# what decides here is the Trainer; that it does so for every model is looked at by the slow tests
TWO = ["MLP", "ManualCubic"]
two_models = pytest.mark.parametrize(
    "pair", first_quick(2, [*TWO, *(name for name in models.__all__ if name not in TWO)]), indirect=True
)


CLIPS = {
    "norm": (torch.norm, lambda gradients, limit: gradients.mul_(min(1, limit / (gradients.norm().item() + 1e-6)))),
    "value": (lambda gradients: gradients.abs().max(), lambda gradients, limit: gradients.clamp_(-limit, limit)),
}


@two_models
@pytest.mark.parametrize("algorithm", CLIPS)
def test_no_gradient_is_larger_than_the_clip_value(algorithm, started, fit):
    model, data = started
    size, cut = CLIPS[algorithm]
    start, limits = weights(model), []

    def clip(gradients):
        limits.append(limits[0] if limits else size(gradients).item() / 3)
        cut(gradients, limits[0])
        return size(gradients).item()

    expected, sizes = by_hand(deepcopy(model), data, clip=clip)
    assert max(sizes) == pytest.approx(limits[0], rel=1e-4)
    fit(model, data, gradient_clip_val=limits[0], gradient_clip_algorithm=algorithm)
    assert agree(model, start, expected)


LOOPS = [
    ({}, {}),
    ({"accumulate_grad_batches": 3}, {"accumulate": 3}),
    ({"limit_train_batches": 5}, {"batches": 5}),
    ({"limit_train_batches": 0.5}, {"batches": 4}),
    ({"max_steps": 11, "max_epochs": -1}, {"steps": 11}),
]


@pytest.mark.parametrize(
    ("pair", "arguments", "wanted"),
    [
        pytest.param(name, *loop, marks=() if name in TWO or not loop[0] else pytest.mark.slow, id=f"{name}-{loop[0]}")
        for name in models.__all__
        for loop in LOOPS
    ],
    indirect=["pair"],
)
def test_updates_are_those_of_a_loop_by_hand(arguments, wanted, started, fit):
    model, data = started
    start = weights(model)
    expected, sizes = by_hand(deepcopy(model), data, **wanted)
    trainer = fit(model, data, **arguments)
    assert trainer.global_step == len(sizes)
    assert agree(model, start, expected)


@two_models
def test_double_precision_is_that_of_every_number(started, fit):
    model, data = started
    start = weights(model).double()
    torch.set_default_dtype(torch.double)  # which is what a loop without a Trainer gets
    try:
        expected, _ = by_hand(deepcopy(model).double(), data)
    finally:
        torch.set_default_dtype(torch.float)
    fit(model, data, precision="64-true")
    assert weights(model).dtype == torch.double
    assert agree(model, start, expected, tolerance=1e-10)


@two_models
def test_mixed_precision_is_that_of_an_autocast_loop_by_hand(started, fit):
    model, data = started
    start, seen = weights(model), []
    autocast = {"device_type": "cpu", "dtype": torch.bfloat16, "cache_enabled": False}
    expected, _ = by_hand(deepcopy(model), data, context=lambda: torch.autocast(**autocast))
    model.register_forward_hook(lambda *_: seen.append(torch.is_autocast_enabled("cpu")))
    fit(model, data, precision="bf16-mixed")
    assert all(seen)
    assert weights(model).dtype == torch.float
    rough = isinstance(model, ManualCubic | SineEnsemble)  # these take another way to the gradient than autograd
    assert agree(model, start, expected, tolerance=0.05 if rough else 1e-3)


class StepSizes(Callback):
    """Keep the learning rate of every update, from within the optimizer: a hook would have them taken one at a time."""

    def __init__(self):
        self.seen = []

    def on_train_start(self, trainer, *_):
        (optimizer,) = trainer.optimizers
        optimizer.register_step_pre_hook(lambda *_: self.seen.append(optimizer.param_groups[0]["lr"]))


SCHEDULES = {
    "by the epoch": (lambda o: StepLR(o, 1, 0.5), {}, lambda step: 0.5 ** (step // 8)),
    "every other epoch": (lambda o: StepLR(o, 1, 0.5), {"frequency": 2}, lambda step: 0.5 ** (step // 16)),
    "by the step": (lambda o: LambdaLR(o, lambda n: 1 / (1 + n)), {"interval": "step"}, lambda step: 1 / (1 + step)),
    "by the score": (
        lambda o: ReduceLROnPlateau(o, "max", 0.5, patience=0, threshold=1e9, eps=0),
        {"monitor": "loss/val"},
        lambda step: 0.5 ** max(step // 8 - 1, 0),
    ),
}


@two_models
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_learning_rate_of_every_update_is_the_schedule_s(schedule, started, fit):
    model, data = started
    make, how, factor = SCHEDULES[schedule]
    optimizer = model.configure_optimizers()
    lr = optimizer.param_groups[0]["lr"]
    model.configure_optimizers = lambda: {"optimizer": optimizer, "lr_scheduler": {"scheduler": make(optimizer), **how}}
    sizes = StepSizes()
    fit(model, data, sizes, max_epochs=3)
    assert sizes.seen == pytest.approx([lr * factor(step) for step in range(24)])


class Validations(Callback):
    """Keep after which steps there was a validation."""

    def __init__(self):
        self.seen = []

    def on_validation_start(self, trainer, *_):
        if not trainer.sanity_checking:
            self.seen.append(trainer.global_step)


@two_models
@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, [8, 16]),
        ({"val_check_interval": 3}, [3, 6, 11, 14]),
        ({"val_check_interval": 0.5}, [4, 8, 12, 16]),
        ({"val_check_interval": 5, "check_val_every_n_epoch": None}, [5, 10, 15]),
        ({"check_val_every_n_epoch": 2}, [16]),
        ({"limit_val_batches": 0}, []),
    ],
    ids=str,
)
def test_validation_comes_when_it_is_asked_for(arguments, steps, started, fit):
    validations = Validations()
    fit(*started, validations, **arguments)
    assert validations.seen == steps


@two_models
def test_early_stopping_ends_the_run_after_the_epoch_in_which_patience_ends(started, fit):
    stopping = EarlyStopping("loss/val", min_delta=1e9, patience=2)
    trainer = fit(*started, stopping, max_epochs=-1)
    assert trainer.current_epoch == 3  # the first score is the best, and two more are waited for
    assert trainer.global_step == 24
