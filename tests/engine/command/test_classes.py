"""The classes that a config can name."""

import pytest
from lightning.pytorch.callbacks import EarlyStopping
from torch.optim import SGD

from firstlight import MLP, Sine, Task, models
from firstlight.engine.command.classes import choices, find_class


def test_every_model_can_be_chosen_and_no_abstract_class():
    kinds = {kind.__name__ for kind in choices("model")}
    assert set(models.__all__) <= kinds
    assert Task.__name__ not in kinds


@pytest.mark.parametrize(
    ("key", "name", "kind"),
    [
        ("model", "MLP", MLP),
        ("model", "firstlight.models.mlp.MLP", MLP),
        ("model", "Task", Task),
        ("data", "Sine", Sine),
        ("optimizer", "SGD", SGD),
        ("trainer.callbacks", "EarlyStopping", EarlyStopping),
        ("model", "Sine", None),
        ("trainer.max_epochs", "MLP", None),
    ],
)
def test_class_is_found_by_key_and_name(key, name, kind):
    assert find_class(key, name) is kind


def test_key_of_a_number_takes_no_class():
    assert choices("trainer.max_epochs") == []
