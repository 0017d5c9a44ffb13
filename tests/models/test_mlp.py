import math

import numpy as np
import pytest
import torch
from torch import nn

from firstlight import MLP, NeuralNetwork
from firstlight.errors import UsageError
from firstlight.models.mlp import perceptron


@pytest.fixture
def images():
    """Return three images of noise."""
    return torch.rand(3, 1, 28, 28)


def layers_of(network):
    return [type(layer).__name__ for layer in network]


@pytest.mark.parametrize(
    ("activation", "bend"),
    [
        ("relu", lambda z: np.maximum(z, 0)),
        ("gelu", lambda z: z * (1 + np.vectorize(math.erf)(z / math.sqrt(2))) / 2),
        ("sigmoid", lambda z: 1 / (1 + np.exp(-z))),
        ("tanh", np.tanh),
    ],
    ids=["relu", "gelu", "sigmoid", "tanh"],
)
def test_logits_are_the_matrix_products_of_the_document(activation, bend):
    model = MLP(num_features=4, hidden_dims=[3, 2], num_classes=2, activation=activation, init_std=1)
    W1, b1, W2, b2, W3, b3 = (parameter.detach().double().numpy() for parameter in model.parameters())
    x = np.array([[[[1.0, -2], [0.5, 3]]], [[[0, 0], [-1, 1]]]])
    h1 = bend(x.reshape(2, 4) @ W1.T + b1)
    h2 = bend(h1 @ W2.T + b2)
    assert model(torch.tensor(x).float()).detach().numpy() == pytest.approx(h2 @ W3.T + b3, rel=1e-5, abs=1e-6)


def test_a_perceptron_can_be_worked_out_on_paper():
    network = perceptron(2, [2], 1)
    weights = [[1.0, -1], [2, 1]], [0.0, -4], [[3.0, 5]], [0.5]
    for parameter, values in zip(network.parameters(), weights, strict=True):
        parameter.data = torch.tensor(values)
    assert network(torch.tensor([[2.0, 1], [1, 3]])).tolist() == [[3 * 1 + 5 * 1 + 0.5], [3 * 0 + 5 * 1 + 0.5]]


def test_documented_perceptron_has_256_hidden_units():
    sizes = [tuple(parameter.shape) for parameter in MLP().parameters()]
    assert sizes == [(256, 784), (256,), (10, 256), (10,)]
    assert layers_of(MLP().net) == ["Flatten", "Linear", "ReLU", "Linear"]


def test_all_weights_and_biases_start_near_zero():
    for parameter in MLP(num_features=16, hidden_dims=[2000], num_classes=2000).parameters():
        assert parameter.mean().item() == pytest.approx(0, abs=0.001)
        assert parameter.std().item() == pytest.approx(0.01, rel=0.1)


def test_without_init_std_weights_start_as_pytorch_has_them():
    torch.manual_seed(1)
    model = MLP(init_std=None)
    torch.manual_seed(1)
    torch.testing.assert_close(model.net.state_dict(), perceptron(784, [256], 10).state_dict(), rtol=0, atol=0)


def test_batch_norm_dropout_and_activation_follow_each_hidden_layer_and_no_other():
    network = perceptron(4, [3, 2], 1, "tanh", dropout=0.25, batch_norm=True)
    hidden = ["Linear", "BatchNorm1d", "Tanh", "Dropout"]
    assert layers_of(network) == ["Flatten", *hidden, *hidden, "Linear"]
    assert [layer.num_features for layer in network if isinstance(layer, nn.BatchNorm1d)] == [3, 2]
    assert {layer.p for layer in network if isinstance(layer, nn.Dropout)} == {0.25}


def test_mlp_hands_its_arguments_to_its_network():
    model = MLP(num_features=4, hidden_dims=[3], activation="sigmoid", dropout=0.5, batch_norm=True)
    assert layers_of(model.net) == ["Flatten", "Linear", "BatchNorm1d", "Sigmoid", "Dropout", "Linear"]
    assert model.net[4].p == 0.5
    assert model.net[2].weight.tolist() == [1, 1, 1]  # init_std is for linear layers


def test_images_are_shifted_in_training_alone(images):
    model = MLP(shift=1.0)
    assert layers_of(model.net)[0] == "RandomShift"
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model.net[0](images), images)


def test_shift_of_what_is_no_image_is_refused():
    model = MLP(num_features=4, num_classes=2, shift=0.5)
    with pytest.raises(UsageError, match=r"model.shift needs images, .* got examples of \(4,\)"):
        model(torch.zeros(3, 4))
    assert model.eval()(torch.zeros(3, 4)).shape == (3, 2)


def test_perceptron_without_hidden_layers_is_linear():
    assert layers_of(perceptron(4, [], 2)) == ["Flatten", "Linear"]


@pytest.mark.parametrize("last_relu", [False, True])
def test_neural_network_is_the_one_of_the_document(last_relu, images):
    model = NeuralNetwork(last_relu)
    W1, b1, W2, b2, W3, b3 = (parameter.detach().double().numpy() for parameter in model.parameters())
    assert W1.shape == (512, 784)
    assert W2.shape == (512, 512)
    assert W3.shape == (10, 512)
    assert model.num_classes == 10
    h1 = np.maximum(images.numpy().reshape(3, 784) @ W1.T + b1, 0)
    h2 = np.maximum(h1 @ W2.T + b2, 0)
    logits = h2 @ W3.T + b3
    expected = np.maximum(logits, 0) if last_relu else logits
    assert model(images).detach().numpy() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_last_relu_keeps_logits_from_being_negative(images):
    with_relu, without = NeuralNetwork(last_relu=True), NeuralNetwork()
    with_relu.load_state_dict(without.state_dict())
    assert without(images).min() < 0
    assert torch.equal(with_relu(images), without(images).relu())
