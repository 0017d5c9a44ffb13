from pathlib import Path

import pytest
import torch

from firstlight import MLP, Houses, InMemory, LinearRegression, Sine, SineEnsemble, Table, plots
from firstlight.gallery import PICTURES, Moment, suitable


class Plane(InMemory):
    """Points in a plane, in two classes."""

    def setup(self, stage):
        self.train = self.val = torch.randn(40, 2), torch.arange(40) % 2


@pytest.fixture
def given(monkeypatch):
    """Return a dictionary that fills with what functions of ``plots`` are given."""
    seen = {}
    for name in plots.__all__:
        monkeypatch.setattr(plots, name, lambda *args, name=name: seen.setdefault(name, args))
    return seen


@pytest.fixture
def draw(quick_trainer):
    """Return a function that draws one picture of a model."""

    def run(tag, model, data, **arguments):
        data.setup("fit")
        moment = Moment(quick_trainer(), model, data, "epoch 1", {tag: {}}, **arguments)
        (picture,) = (each for each in suitable(model, data) if each.tag == tag)
        picture.take_note(moment, 0)
        return picture.draw(moment)

    return run


def test_learning_curves_are_those_of_loss_and_accuracy_and_show_the_best(draw, given):
    scores = {
        "accuracy/val": {1: 0.5, 2: 0.9, 3: 0.8},
        "accuracy/train": {1: 0.6, 2: 0.7, 3: 0.8},
        "zeal/val": {1: 0.0},
        "loss/val": {1: 2.0, 2: 1.0, 3: 1.5},
        "loss/step": {1: 2.0},
    }
    draw("learning curves", MLP(2, [3], 2), Plane(), scores=scores)
    shown, title, best = given["learning_curves"]
    assert [*shown] == ["loss", "accuracy"]
    assert shown["loss"] == {"val": scores["loss/val"]}
    assert shown["accuracy"] == {"train": scores["accuracy/train"], "val": scores["accuracy/val"]}
    assert title == "MLP: learning curves\nepoch 1"
    assert best == ("accuracy", 2)


def test_predictions_for_a_table_are_drawn_with_their_r2(draw, given):
    Path("table.csv").write_text("size,price\n" + "".join(f"{n},{2 * n}\n" for n in range(20)))
    data = Table(target="price")
    model = LinearRegression(num_features=1)
    model.linear.weight.data.zero_()
    model.linear.bias.data.fill_(20)
    draw("predictions", model, data)
    truth, guess, title = given["predictions_over_truth"]
    assert truth.tolist() == data.val[1].flatten().tolist()
    assert guess.tolist() == [20] * 4
    r2 = -float((truth.mean() - 20) ** 2 / truth.var(correction=0))
    assert title == f"LinearRegression: predictions, R2 {r2:.3f}\nepoch 1"


def test_learning_curves_are_left_out_before_there_is_a_score(draw, given):
    assert draw("learning curves", MLP(2, [3], 2), Plane()) is None


def test_fit_of_an_ensemble_is_its_mean_with_a_band_around_it(draw, given):
    model, data = SineEnsemble(num_members=200), Sine(num_points=20)
    draw("fit", model, data)
    x, _, fits, title = given["curve_fit"]
    members = model(x[:, None].float()).detach()
    mean, low, high = fits[0].unbind(1)
    torch.testing.assert_close(mean, members.mean(dim=1))
    inside = (members >= low[:, None]) & (members <= high[:, None])
    assert inside.double().mean(dim=1).tolist() == pytest.approx([0.9] * 20, abs=0.02)
    assert "mean of 200 fits" in title


def test_weights_have_the_names_of_the_features(draw, given):
    model, data = LinearRegression(), Houses(num_examples=20)
    assert draw("planted weights", model, data) is None  # there is no path yet
    scores = {"planted weights": {0: torch.zeros(3), 1: torch.ones(3)}}
    (picture,) = (each for each in suitable(model, data) if each.tag == "planted weights")
    picture.draw(Moment(None, model, data, "epoch 1", scores))
    steps, path, planted, names, _, goal = given["weight_paths"]
    assert (steps, path.tolist(), names, goal) == ([0, 1], [[0] * 3, [1] * 3], ["area", "age", "bias"], "planted")
    assert planted.tolist() == pytest.approx([2, -3.4, 4.2])


def test_boundary_is_that_of_the_model_over_all_examples(draw, given):
    model, data = MLP(2, [3], 2), Plane()
    draw("decision boundary", model, data)
    (across, up), probabilities, x, y, names, features, title = given["decision_boundary"]
    assert (across[0] < x[:, 0].min(), up[-1] > x[:, 1].max()) == (True, True)
    point = torch.tensor([[across[7], up[3]]])
    torch.testing.assert_close(probabilities[3, 7], model.eval()(point).softmax(dim=1)[0].detach())
    assert (names, features) == (["0", "1"], ("first feature", "second feature"))
    right = int((model(x).argmax(dim=1) == y).sum())
    assert f"{right} of {len(y)} correct" in title


def test_boundary_of_a_constant_feature_has_an_area(draw, given):
    class Flat(Plane):
        def setup(self, stage):
            super().setup(stage)
            self.val[0][:, 1] = 3

    draw("decision boundary", MLP(2, [3], 2), Flat())
    (_, up), *_ = given["decision_boundary"]
    assert (up[0], up[-1]) == (2, 4)


@pytest.fixture
def first_layer(given, quick_trainer):
    """Return a function that draws the first layer of a model at several moments of a run, and returns its images."""
    (picture,) = (each for each in PICTURES if each.tag == "first layer")

    def run(*steps):
        notes = {"first layer": {}}
        for step, weights in steps:
            model = MLP(2, [3], 2)
            model.net[1].weight.data = weights
            moment = Moment(quick_trainer(), model, Plane(), "epoch 1", notes)
            vars(moment)["example"] = torch.zeros(1, 1, 1, 2)
            picture.take_note(moment, step)
            picture.draw(moment)
        images, _, title = given.get("weight_images", (None, None, None))
        return images, title

    return run


def test_first_layer_is_drawn_as_what_training_has_added(first_layer):
    start = torch.randn(3, 2)
    assert first_layer((0, start)) == (None, None)  # nothing has been learned yet
    images, title = first_layer((0, start), (5, start + torch.tensor([[1.0], [-3.0], [2.0]])))
    torch.testing.assert_close(images[:, 0], torch.tensor([[-3.0, -3.0], [2.0, 2.0], [1.0, 1.0]]))
    assert "change of 3 of 3 hidden units, largest first" in title


def test_first_layer_of_a_run_whose_start_is_not_known_is_drawn_as_it_is(first_layer):
    images, title = first_layer((5, weights := torch.randn(3, 2)))
    assert torch.equal(images[:, 0], weights)
    assert "MLP: 3 of 3 hidden units" in title
