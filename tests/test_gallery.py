from types import SimpleNamespace

import pytest
import torch

from firstlight import MLP, FashionMNIST, ManualCubic, Neuron, PlantedNeuron, Sine, SoftmaxRegression
from firstlight.gallery import PICTURES, Moment, evaluating, suitable


@pytest.fixture
def images(fashion_root):
    """Return images, ready for fitting."""
    data = FashionMNIST(str(fashion_root))
    data.setup("fit")
    return data


def test_each_model_gets_the_pictures_that_explain_it(images):
    def tags(model, data):
        return [picture.tag for picture in suitable(model, data)]

    assert tags(ManualCubic(), Sine()) == ["fit", "coefficients"]
    assert tags(Neuron(), PlantedNeuron()) == ["planted weights"]
    assert tags(SoftmaxRegression(), images) == ["weights", "confusion matrix", "mistakes"]
    assert tags(MLP(), images) == ["first layer", "confusion matrix", "mistakes"]
    assert tags(MLP(), object()) == []
    assert len({picture.tag for picture in PICTURES}) == len(PICTURES)


def test_evaluating_leaves_no_trace(quick_trainer):
    trainer, model = quick_trainer(), MLP(hidden_dims=[4], dropout=0.5)
    trainer.training = True
    model.net[0].eval()  # frozen, as one of the modules
    modes = [module.training for module in model.modules()]
    with evaluating(trainer, model):
        assert trainer.validating
        assert not any(module.training for module in model.modules())
        assert not torch.is_grad_enabled()
    assert trainer.training
    assert [module.training for module in model.modules()] == modes
    assert torch.is_grad_enabled()


def test_guesses_are_the_most_probable_classes(images, quick_trainer):
    model = MLP(hidden_dims=[4])
    images.trainer = SimpleNamespace(
        lightning_module=model, global_rank=0, world_size=1, limit_val_batches=1.0, overfit_batches=0.0
    )
    moment = Moment(quick_trainer(), model, images, "epoch 1", {})
    probability, guess = moment.guesses
    expected = model.eval()(images.val[0].float() / 255).softmax(dim=1)
    torch.testing.assert_close(probability, expected.max(dim=1).values.detach())
    assert torch.equal(guess, expected.argmax(dim=1))
    assert moment.title("mistakes") == "MLP: mistakes\nepoch 1"
    assert moment.class_names() == list(FashionMNIST.classes)
