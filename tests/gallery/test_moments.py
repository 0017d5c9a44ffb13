from types import SimpleNamespace

import pytest
import torch
from own_data import Points
from torch.utils.data import TensorDataset

from firstlight import (
    MLP,
    FashionMNIST,
    LegendreCubic,
    Loaded,
    ManualCubic,
    Neuron,
    PlantedNeuron,
    Sine,
    SoftmaxRegression,
)
from firstlight.gallery import PICTURES, Moment, evaluating, moments, picture, stage_of, suitable


@pytest.fixture
def images(fashion_root):
    """Return images, ready for fitting."""
    data = FashionMNIST(str(fashion_root))
    data.setup("fit")
    return data


class Stored(Loaded):
    """The same images, as a data set that is read example by example."""

    classes = FashionMNIST.classes

    def __init__(self, data):
        super().__init__(batch_size=7)
        self.data = data

    def setup(self, stage):
        x, y = self.data.val
        self.train = self.val = TensorDataset(x.float() / 255, y)


class Named(Points):
    """Batches that are dicts."""

    def collate(self, examples):
        x, y = super().collate(examples)
        return {"inputs": x, "targets": y}


def test_pictures_of_a_data_set_are_those_of_its_tensors(images, quick_trainer):
    model, trainer, data = MLP(hidden_dims=[4]), quick_trainer(fast_dev_run=True), Stored(images)
    trainer.fit(model, data)
    both = [Moment(trainer, model, each, "epoch 1") for each in (images, data)]
    images.trainer = trainer
    for one, other in zip(*(moment.guesses for moment in both), strict=True):
        torch.testing.assert_close(one, other)
    drawn = [
        [axes.get_title() for axes in picture.draw(moment).axes]
        for moment in both
        for picture in suitable(model, moment.data)
        if picture.tag != "learning curves"
    ]
    assert drawn[: len(drawn) // 2] == drawn[len(drawn) // 2 :]


def test_each_model_gets_the_pictures_that_explain_it(images):
    def tags(model, data):
        if hasattr(data, "setup"):
            data.setup("fit")
        return [picture.tag for picture in suitable(model, data)]

    every = ["learning curves"]
    assert tags(ManualCubic(), Sine()) == [*every, "fit", "coefficients"]
    assert tags(Neuron(), PlantedNeuron()) == [*every, "planted weights"]
    assert tags(SoftmaxRegression(), images) == [*every, "weights", "confusion matrix", "mistakes"]
    assert tags(MLP(), images) == [*every, "first layer", "confusion matrix", "mistakes"]
    assert tags(MLP(), Stored(images)) == tags(MLP(), images)
    assert tags(MLP(), Points()) == [*every, "confusion matrix"]
    assert tags(MLP(), Named()) == tags(MLP(), object()) == tags(MLP(), None) == every
    assert len({picture.tag for picture in PICTURES}) == len(PICTURES)


def test_picture_of_ones_own_is_added_by_a_decorator(monkeypatch):
    monkeypatch.setattr(moments, "PICTURES", [*PICTURES])

    @picture("fit", ManualCubic, Sine)
    def draw_own(moment):
        """Take the place of the picture of the same name, for one model."""

    @picture("mine")
    def draw_mine(moment):
        """Stand beside the others, for every model."""

    data = Sine()
    data.setup("fit")
    drawn = {each.tag: each.draw for each in suitable(ManualCubic(), data)}
    assert drawn["fit"] is draw_own
    assert drawn["mine"] is draw_mine
    assert [*drawn] == ["learning curves", "fit", "coefficients", "mine"]
    assert {each.tag: each.draw for each in suitable(LegendreCubic(), data)}["fit"] is not draw_own


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("loss/val", ("loss", "val")),
        ("train_loss", ("loss", "train")),
        ("val/f1/macro", ("f1/macro", "val")),
        ("valid_loss", None),
        ("loss/best", None),
    ],
)
def test_stage_of_a_score_is_read_from_its_name(name, found):
    assert stage_of(name) == found


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
    moment = Moment(quick_trainer(), model, images, "epoch 1")
    probability, guess, truth = moment.guesses
    expected = model.eval()(images.val[0].float() / 255).softmax(dim=1)
    torch.testing.assert_close(probability, expected.max(dim=1).values.detach())
    assert torch.equal(guess, expected.argmax(dim=1))
    assert torch.equal(truth, images.val[1])
    assert moment.title("mistakes") == "MLP: mistakes\nepoch 1"
    assert moment.class_names() == list(FashionMNIST.classes)
