import numpy as np
import pytest
import torch

from firstlight import FashionMNIST, SoftmaxRegression


def test_logits_are_the_matrix_product_and_the_bias():
    model = SoftmaxRegression(num_features=4, num_classes=2)
    model.load_state_dict({"W": torch.tensor([[1.0, 0], [0, 1], [2, -1], [0.5, 3]]), "b": torch.tensor([0.25, -1])})
    image = torch.tensor([[[[1.0, 2], [3, 4]]]])  # flattened row by row
    assert model(image).tolist() == [[1 + 6 + 2 + 0.25, 2 - 3 + 12 - 1]]


def test_weights_start_near_zero_and_biases_at_zero():
    model = SoftmaxRegression()
    assert model.W.mean().item() == pytest.approx(0, abs=5e-4)
    assert model.W.std().item() == pytest.approx(0.01, rel=0.05)
    assert model.b.tolist() == [0] * 10


def test_a_step_is_the_gradient_worked_out_by_hand(fashion_root, quick_trainer):
    model, data = SoftmaxRegression(lr=0.25), FashionMNIST(str(fashion_root))  # one batch of 54
    W, b = model.W.detach().numpy().copy(), model.b.detach().numpy().copy()
    quick_trainer(max_epochs=1).fit(model, data)
    X, y = data.train[0].numpy().reshape(54, 784) / 255, data.train[1].numpy()
    powers = np.exp(X @ W + b)
    error = powers / powers.sum(axis=1, keepdims=True) - np.eye(10)[y]  # p - onehot
    assert model.W.detach().numpy() == pytest.approx(W - 0.25 * X.T @ error / 54, abs=1e-6)
    assert model.b.detach().numpy() == pytest.approx(b - 0.25 * error.mean(axis=0), abs=1e-7)


def test_prediction_is_the_softmax_of_the_logits():
    model = SoftmaxRegression(num_features=2, num_classes=3)
    model.load_state_dict({"W": torch.tensor([[1.0, 0, 2], [0, 3, 0]]), "b": torch.zeros(3)})
    x, y = torch.tensor([[1.0, 0], [0, 1]]), torch.tensor([0, 1])
    with torch.no_grad():
        prediction = model.predict_step((x, y), 0)
    assert prediction["truth"].tolist() == [0, 1]
    assert prediction["class"].tolist() == [2, 1]
    e = np.e
    assert prediction["probability"].tolist() == pytest.approx([e**2 / (e + 1 + e**2), e**3 / (2 + e**3)])
