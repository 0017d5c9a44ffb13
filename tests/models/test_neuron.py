import math

import numpy as np
import pytest
import torch

from firstlight import Neuron, PlantedNeuron, Sine, TwoLayerNetwork


def set_weights(model, **weights):
    model.load_state_dict({name: torch.tensor(values) for name, values in weights.items()})
    return model


def test_neuron_weighs_adds_its_bias_and_bends():
    model = set_weights(Neuron(num_features=2), weights=[[1.0, -2]], bias=[[0.5]])
    x = torch.tensor([[0.5, 0.5], [math.log(3), 0.25]])  # weighted sums 0 and log 3
    torch.testing.assert_close(model(x).detach(), torch.tensor([[1 / 2], [3 / 4]]))


def test_neuron_finds_the_planted_weights(quick_trainer):
    model, data = Neuron(), PlantedNeuron()
    trainer = quick_trainer(max_epochs=20)
    trainer.fit(model, data)
    torch.testing.assert_close(model.weights.detach()[0].double(), data.weights, rtol=0, atol=0.01)
    torch.testing.assert_close(model.bias.detach()[0, 0].double(), data.bias, rtol=0, atol=0.01)
    assert trainer.callback_metrics["loss/val"] < 1e-6


def test_network_is_its_formula():
    weights = {"W1": [[1.0, -1], [0.5, 2], [0, -0.5]], "B1": [[0.1, -0.2]], "W2": [[1.5], [-2]], "B2": [[0.3]]}
    x = np.array([[1, 2, 3], [-1, 0.5, 0], [0, 0, 0]])
    W1, B1, W2, B2 = (np.array(values) for values in weights.values())
    h = 1 / (1 + np.exp(-(x @ W1 + B1)))
    expected = 1 / (1 + np.exp(-(h @ W2 + B2)))
    model = set_weights(TwoLayerNetwork(), **weights)
    assert model(torch.tensor(x).float()).detach().numpy() == pytest.approx(expected, rel=1e-6)


def test_network_has_the_documented_parameters():
    sizes = {name: tuple(parameter.shape) for name, parameter in TwoLayerNetwork().named_parameters()}
    assert sizes == {"W1": (3, 2), "B1": (1, 2), "W2": (2, 1), "B2": (1, 1)}


def test_neuron_has_the_documented_parameters():
    sizes = {name: tuple(parameter.shape) for name, parameter in Neuron().named_parameters()}
    assert sizes == {"weights": (1, 5), "bias": (1, 1)}


@pytest.mark.parametrize("model_class", [Neuron, TwoLayerNetwork])
def test_every_parameter_starts_standard_normal(model_class):
    models = [dict(model_class().named_parameters()) for _ in range(100)]
    for name in models[0]:
        values = torch.cat([parameters[name].detach().flatten() for parameters in models])
        assert values.mean().item() == pytest.approx(0, abs=0.4)
        assert values.std().item() == pytest.approx(1, abs=0.3)


def test_network_learns_the_sine(quick_trainer):
    trainer = quick_trainer(max_epochs=5)
    trainer.fit(TwoLayerNetwork(), Sine(num_powers=3, scale_target=True, batch_size=20))
    assert trainer.callback_metrics["loss/val"] < 0.02  # the best constant leaves 0.125, the variance
