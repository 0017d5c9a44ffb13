import lightning
import pytest
import torch

from firstlight import LinearRegression, load
from firstlight.engine.runs.checkpoint_checks import accepted_arguments
from firstlight.errors import CheckpointError


def save(**changes):
    """Write a checkpoint of a model that was trained for a step, with changes in it."""
    model = LinearRegression()
    plain = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "model_class": "firstlight.models.linear.LinearRegression",
        "global_step": 1,
        "pytorch-lightning_version": lightning.__version__,
    }
    torch.save(plain | changes, "model.ckpt")


def test_checkpoint_without_a_fault_is_loaded():
    save()
    assert isinstance(load("model.ckpt").model, LinearRegression)


class LazyWeights(LinearRegression):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.LazyLinear(1)


def test_weights_of_a_lazy_layer_have_the_shape_of_the_checkpoint():
    model = LazyWeights()
    model(torch.ones(1, 3))
    save(state_dict=model.state_dict(), model_class=f"{__name__}.LazyWeights", hyper_parameters={})
    assert torch.equal(load("model.ckpt").model.linear.weight, model.linear.weight)


class Fixed(LinearRegression):
    def __init__(self, bias: bool = True):
        super().__init__(num_features=1)  # the base class saves it
        self.save_hyperparameters()


def test_hyperparameter_that_a_class_passes_to_its_base_class_is_left_out():
    arguments = dict(Fixed().hparams)
    assert set(arguments) == {"bias", "num_features", "lr"}
    assert accepted_arguments(Fixed, arguments, "model.ckpt") == {"bias": True}
    with pytest.raises(CheckpointError, match="the hyperparameter 'depth', which Fixed does not take"):
        accepted_arguments(Fixed, {**arguments, "depth": 1}, "model.ckpt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global_step": 0}, "was written before the first step: its weights are untrained"),
        ({"hyper_parameters": {"bias": False}}, "the hyperparameter 'bias', which LinearRegression does not take"),
        ({"hyper_parameters": {"num_features": 3}}, r"linear.weight is of shape \(1, 2\), .* \(1, 3\)"),
        ({"hyper_parameters": {"num_features": 10**15}}, r"linear.weight is of shape \(1, 2\), .* \(1, 10{15}\)"),
    ],
)
def test_checkpoint_that_cannot_be_what_was_trained_is_refused(changes, message):
    save(**changes)
    with pytest.raises(CheckpointError, match=message):
        load("model.ckpt")
