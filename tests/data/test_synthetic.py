import math

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback

from firstlight import Houses, LinearRegression, PlantedNeuron, Sine


class FirstBatch(Callback):
    """Keep the first batch of each kind."""

    def __init__(self):
        self.batches = {}

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.batches.setdefault("train", batch)

    def on_validation_batch_start(self, trainer, model, batch, batch_idx):
        self.batches.setdefault("val", batch)


def ready(data):
    data.setup("fit")
    return data


def in_numpy(split):
    x, y = split
    assert x.dtype == y.dtype == torch.double
    return x.numpy(), y.numpy()


def test_training_points_are_the_documents():
    x, y = in_numpy(ready(Sine()).train)
    expected = np.linspace(-math.pi, math.pi, 2000)[:, None]  # both ends in
    assert x == pytest.approx(expected, abs=1e-15)
    assert y == pytest.approx(np.sin(expected), abs=1e-15)


def test_other_points_lie_a_third_and_two_thirds_of_the_way_between_neighbours():
    data = ready(Sine(num_points=5))  # neighbours are pi / 2 apart
    data.setup("test")
    starts = np.array([[-6], [-3], [0], [3]]) * math.pi / 6
    for split, offset in ((data.val, math.pi / 6), (data.test, math.pi / 3)):
        x, y = in_numpy(split)
        assert x == pytest.approx(starts + offset, abs=1e-15)
        assert y == pytest.approx(np.sin(starts + offset), abs=1e-15)


def test_inputs_are_powers_of_x():
    x, y = in_numpy(ready(Sine(num_powers=4)).train)
    assert x == pytest.approx(np.vander(x[:, 0], 5, increasing=True)[:, 1:], rel=1e-14)
    assert y[:, 0] == pytest.approx(np.sin(x[:, 0]), abs=1e-15)


def test_scaled_targets_go_from_0_to_1():
    x, y = in_numpy(ready(Sine(num_points=5, scale_target=True)).train)
    assert y[:, 0] == pytest.approx([0.5, 0, 0.5, 1, 0.5], abs=1e-15)
    assert y == pytest.approx((np.sin(x) + 1) / 2)


def test_a_curve_has_two_ends():
    x, _ = in_numpy(ready(Sine(num_points=2)).train)
    assert x[:, 0].tolist() == [-math.pi, math.pi]
    with pytest.raises(ValueError, match="num_points must be at least 2, the two ends of the curve; got 1"):
        Sine(num_points=1)


def test_a_neurons_answers_follow_its_formula():
    data = ready(PlantedNeuron(num_examples=50, num_features=3))
    for split, size in ((data.train, 50), (data.val, 10), (data.test, 10)):
        x, y = in_numpy(split)
        expected = 1 / (1 + np.exp(-(x @ data.weights.numpy() + data.bias.item())))
        assert x.shape == (size, 3)
        assert y == pytest.approx(expected[:, None], abs=1e-15)


def test_prices_follow_their_formula():
    data = ready(Houses(noise=0, num_examples=50))
    for split, size in ((data.train, 50), (data.val, 10), (data.test, 10)):
        x, y = in_numpy(split)
        assert x.shape == (size, 2)
        assert y[:, 0] == pytest.approx(2 * x[:, 0] - 3.4 * x[:, 1] + 4.2, abs=1e-14)


def test_noise_in_prices_is_normal_with_the_standard_deviation_asked_for():
    x, y = in_numpy(ready(Houses(noise=0.5, num_examples=20_000)).train)
    noise = y[:, 0] - (2 * x[:, 0] - 3.4 * x[:, 1] + 4.2)
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(0.5, rel=0.03)
    assert (abs(noise) < 0.5).mean() == pytest.approx(0.683, abs=0.015)
    assert np.corrcoef(noise, x[:, 0])[0, 1] == pytest.approx(0, abs=0.03)


def test_features_and_planted_weights_are_standard_normal():
    data = ready(PlantedNeuron(num_examples=100, num_features=2000))
    for values in (data.train[0], data.weights):
        assert values.mean().item() == pytest.approx(0, abs=0.1)
        assert values.std().item() == pytest.approx(1, abs=0.07)
    biases = torch.tensor([PlantedNeuron(seed=seed).bias for seed in range(200)])
    assert biases.std().item() == pytest.approx(1, abs=0.2)
    assert data.bias not in data.weights


@pytest.mark.parametrize("data_class", [PlantedNeuron, Houses])
def test_data_depends_on_its_seed_and_on_nothing_else(data_class):
    first = ready(data_class(seed=1))
    torch.manual_seed(7)
    second, other = ready(data_class(seed=1)), ready(data_class(seed=2))
    second.setup("test")  # a second time
    for name in ("train", "val", "test"):
        for a, b, c in zip(getattr(first, name), getattr(second, name), getattr(other, name), strict=True):
            assert torch.equal(a, b)
            assert not torch.isclose(a, c).all()


def test_planted_weights_depend_on_the_seed():
    weights = [PlantedNeuron(seed=seed).weights.tolist() for seed in (1, 1, 2)]
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("data_class", [PlantedNeuron, Houses])
def test_no_example_is_in_two_splits(data_class):
    data = ready(data_class())
    features = torch.cat([data.train[0], data.val[0], data.test[0]])
    assert len(features.unique(dim=0)) == len(features) == 1400


@pytest.mark.parametrize(
    ("data", "batches"),
    [
        (Sine(repeats=3), 3),
        (Sine(batch_size=300), 7),
        (Sine(batch_size=300, repeats=3), 21),
        (PlantedNeuron(repeats=2), 20),
        (Houses(num_examples=25, repeats=2), 6),
    ],
    ids=["Sine-whole", "Sine-batches", "Sine-repeated", "PlantedNeuron", "Houses"],
)
def test_an_epoch_has_as_many_batches_as_its_passes_give(data, batches):
    loader = ready(data).train_dataloader()
    assert len(loader) == len(list(loader)) == batches


@pytest.mark.parametrize(("precision", "dtype"), [("32-true", torch.float), ("64-true", torch.double)])
def test_batches_come_in_the_precision_of_the_model(precision, dtype, quick_trainer):
    first = FirstBatch()
    data = Houses(noise=0)
    quick_trainer(max_steps=1, precision=precision, callbacks=[first]).fit(LinearRegression(), data)
    for x, y in first.batches.values():
        assert x.dtype == y.dtype == dtype
        expected = 2 * x[:, :1] - 3.4 * x[:, 1:] + 4.2
        torch.testing.assert_close(y, expected, rtol=1e-6 if dtype == torch.float else 1e-14, atol=1e-6)
    assert set(first.batches) == {"train", "val"}


@pytest.mark.parametrize(
    ("data_class", "documented"),
    [
        (Sine, {"num_points": 2000, "num_powers": 1, "scale_target": False, "batch_size": None}),
        (PlantedNeuron, {"num_features": 5}),
        (Houses, {"num_examples": 1000, "noise": 0.01, "batch_size": 10}),
    ],
    ids=["Sine", "PlantedNeuron", "Houses"],
)
def test_documented_arguments_are_the_defaults_and_remembered(data_class, documented):
    expected = documented | {"seed": 3, "repeats": 1}
    assert expected.items() <= dict(data_class(seed=3).hparams).items()
