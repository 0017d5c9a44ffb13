import pytest
import torch

from firstlight import Houses, LinearRegression


def found(model):
    return [*model.linear.weight.flatten().tolist(), model.linear.bias.item()]


def least_squares(data):
    x, y = data.train
    with_one = torch.cat([x, torch.ones_like(y)], dim=1)
    return torch.linalg.lstsq(with_one, y).solution.flatten().tolist()


def test_prediction_is_the_weighted_sum_and_the_bias():
    model = LinearRegression(num_features=3)
    model.load_state_dict({"linear.weight": torch.tensor([[1.0, -2, 3]]), "linear.bias": torch.tensor([0.5])})
    assert model(torch.tensor([[1.0, 1, 1], [2, 0.5, -1]])).tolist() == [[2.5], [-1.5]]


def test_weights_start_near_zero_and_the_bias_at_zero():
    linear = LinearRegression(num_features=10_000).linear
    assert linear.weight.mean().item() == pytest.approx(0, abs=5e-4)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert linear.bias.tolist() == [0]


def test_prices_are_explained_after_the_documented_three_epochs(quick_trainer):
    model = LinearRegression()
    quick_trainer(max_epochs=3).fit(model, Houses())
    assert found(model) == pytest.approx([2, -3.4, 4.2], abs=0.01)


@pytest.mark.parametrize("noise", [0, 1])
def test_descent_ends_at_the_least_squares_solution(noise, quick_trainer):
    model, data = LinearRegression(lr=0.3), Houses(num_examples=200, noise=noise, batch_size=200, repeats=50)
    quick_trainer(max_epochs=1, precision="64-true").fit(model, data)
    assert found(model) == pytest.approx(least_squares(data), abs=1e-9)


def test_without_noise_least_squares_are_the_documented_weights():
    data = Houses(noise=0)
    data.setup("fit")
    assert least_squares(data) == pytest.approx([2, -3.4, 4.2], abs=1e-12)
