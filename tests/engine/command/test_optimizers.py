"""An optimizer and a schedule that a config names do what the model's own would do."""

import pytest
import torch
from jsonargparse import Namespace
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.model_helpers import is_overridden

from firstlight.engine.command.optimizers import set_optimizer
from firstlight.engine.runs.checkpoint_files import load_checkpoint
from firstlight.errors import UsageError

SMALL = ("--config", "autograd_cubic", "--data.num_points=30", "--data.repeats=2")
HALVE = ("--lr_scheduler=StepLR", "--lr_scheduler.step_size=1", "--lr_scheduler.gamma=0.5")


def named(name, **arguments):
    return Namespace(class_path=name, init_args=Namespace(**arguments))


SGD = named("torch.optim.SGD", lr=0.1)
STEP = named("torch.optim.lr_scheduler.StepLR", step_size=1)


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.5)


def test_model_keeps_its_own_optimizer_where_none_is_named():
    model = Model()
    own = model.configure_optimizers
    set_optimizer(model, None, None)
    assert model.configure_optimizers == own


def test_optimizer_is_made_from_the_parameters_that_the_model_has_when_training_begins():
    model = Model()
    set_optimizer(model, SGD, None)
    model.layer = torch.nn.Linear(1, 1)  # as a strategy replaces them
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    assert [id(parameter) for parameter in optimizer.param_groups[0]["params"]] == [*map(id, model.parameters())]
    assert is_overridden("configure_optimizers", model)  # Lightning asks that


@pytest.mark.parametrize(
    ("schedule", "settings"),
    [
        (STEP, {}),
        (named("torch.optim.lr_scheduler.OneCycleLR", max_lr=0.1, total_steps=3), {"interval": "step"}),
        (named("lightning.pytorch.cli.ReduceLROnPlateau", monitor="loss/val"), {"monitor": "loss/val"}),
    ],
)
@pytest.mark.parametrize("optimizer", [SGD, None])
def test_schedule_is_stepped_as_it_is_meant(schedule, settings, optimizer):
    model = Model()
    set_optimizer(model, optimizer, schedule)
    made = model.configure_optimizers()
    assert type(made["optimizer"]).__name__ == ("SGD" if optimizer else "Adam")
    scheduler = made["lr_scheduler"].pop("scheduler")
    assert f"{type(scheduler).__module__}.{type(scheduler).__name__}" == schedule.class_path
    assert made["lr_scheduler"] == settings


def test_schedule_beside_the_model_s_own_is_refused():
    model = Model()
    model.configure_optimizers = lambda: {"optimizer": None, "lr_scheduler": None}
    set_optimizer(model, None, STEP)
    with pytest.raises(UsageError, match="Model has a schedule of its own; set --optimizer too"):
        model.configure_optimizers()


def test_schedule_changes_the_learning_rate_of_the_model_s_own_optimizer(did):
    did("fit", *SMALL, *HALVE, "--trainer.max_epochs=1")
    (state,) = load_checkpoint("lightning_logs/autograd_cubic/version_0/checkpoints/last.ckpt")["optimizer_states"]
    assert state["param_groups"][0]["lr"] == pytest.approx(1e-6 / 2)
