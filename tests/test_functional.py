import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from firstlight import functional

TORCH = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}
DTYPES = {"half": torch.half, "bfloat16": torch.bfloat16, "float": torch.float, "double": torch.double}


@pytest.fixture
def points():
    """Return numbers on both sides of 0, in double precision; 0 itself, where some have a corner, is left out."""
    return torch.linspace(-6, 6, 48, dtype=torch.double, requires_grad=True)


@pytest.fixture
def logits():
    """Return logits of five examples and three classes, in double precision."""
    return torch.randn(5, 3, dtype=torch.double, requires_grad=True)


@pytest.mark.parametrize("name", TORCH)
def test_activation_agrees_with_torch(name, points):
    torch.testing.assert_close(getattr(functional, name)(points), TORCH[name](points), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", TORCH)
def test_derivative_agrees_with_autograd(name, points):
    (expected,) = torch.autograd.grad(TORCH[name](points).sum(), points)
    (ours,) = torch.autograd.grad(getattr(functional, name)(points).sum(), points)
    by_formula = getattr(functional, f"{name}_derivative")(points)
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(by_formula, expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_gradient_agrees_with_finite_differences(name, points):
    assert gradcheck(getattr(functional, name), points)


@pytest.mark.parametrize(
    ("name", "x", "y", "slope"),
    [
        ("sigmoid", 0, 1 / 2, 1 / 4),
        ("sigmoid", math.log(3), 3 / 4, 3 / 16),
        ("tanh", 0, 0, 1),
        ("tanh", math.log(2), 3 / 5, 16 / 25),
        ("relu", 1.5, 1.5, 1),
        ("relu", -1.5, 0, 0),
        ("relu", 0, 0, 0),
        ("binary_step", 1e-9, 1, 0),
        ("binary_step", 0, 1, 0),
        ("binary_step", -1e-9, 0, 0),
    ],
)
def test_activation_has_the_value_and_slope_worked_out_by_hand(name, x, y, slope):
    x = torch.tensor(x, dtype=torch.double)
    assert getattr(functional, name)(x).item() == pytest.approx(y, abs=1e-15)
    assert getattr(functional, f"{name}_derivative")(x).item() == pytest.approx(slope, abs=1e-15)


def test_gradient_of_relu_at_its_corner_is_that_of_its_derivative():
    x = torch.zeros((), requires_grad=True)
    functional.relu(x).backward()
    assert x.grad == functional.relu_derivative(x) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "low", "high", "slope"),
    [("sigmoid", 0, 1, 0), ("tanh", -1, 1, 0), ("relu", 0, 1000, 1), ("binary_step", 0, 1, 0)],
)
def test_activation_stays_a_number_far_from_zero(name, low, high, slope, dtype):
    x = torch.tensor([-1000, 1000], dtype=DTYPES[dtype], requires_grad=True)
    expected = torch.tensor([low, high], dtype=DTYPES[dtype])
    y = getattr(functional, name)(x)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-4)
    slopes = torch.tensor([0, slope], dtype=DTYPES[dtype])
    torch.testing.assert_close(getattr(functional, f"{name}_derivative")(x), slopes, rtol=0, atol=1e-4)
    if name != "binary_step":
        torch.testing.assert_close(torch.autograd.grad(y.sum(), x)[0], slopes, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", TORCH)
def test_value_and_gradient_agree_with_torch_in_single_precision(name):
    x = torch.linspace(-100, 100, 2000, requires_grad=True)
    for ours, expected in (
        (getattr(functional, name)(x), TORCH[name](x)),
        (
            torch.autograd.grad(getattr(functional, name)(x).sum(), x)[0],
            torch.autograd.grad(TORCH[name](x).sum(), x)[0],
        ),
    ):
        torch.testing.assert_close(ours, expected, rtol=0, atol=3e-7)


def test_softmax_is_what_the_document_works_out():
    logits = torch.tensor([[0, math.log(3)], [math.log(4), 0]])
    torch.testing.assert_close(functional.softmax(logits), torch.tensor([[0.25, 0.75], [0.8, 0.2]]))


def test_softmax_agrees_with_torch(logits):
    torch.testing.assert_close(functional.softmax(logits), logits.softmax(dim=1), rtol=1e-12, atol=0)
    assert gradcheck(functional.softmax, logits)


def test_softmax_does_not_notice_a_shift(logits):
    shifts = torch.tensor([[-100.0], [-1], [0], [1], [100]])
    torch.testing.assert_close(functional.softmax(logits + shifts), functional.softmax(logits))


def test_rows_of_softmax_sum_to_one_even_for_huge_logits():
    p = functional.softmax(1e4 * torch.randn(8, 10))
    torch.testing.assert_close(p.sum(dim=1), torch.ones(8))
    assert functional.softmax(torch.tensor([[1e30, 0, -1e30]])).tolist() == [[1, 0, 0]]


def test_cross_entropy_is_the_mean_of_minus_log_p():
    logits = torch.tensor([[0, math.log(3)], [math.log(4), 0]], dtype=torch.double)  # p = 1/4, 3/4 and 4/5, 1/5
    loss = functional.cross_entropy(logits, torch.tensor([1, 1]))
    assert loss.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 5)) / 2, rel=1e-14)


def test_cross_entropy_agrees_with_torch(logits):
    y = torch.tensor([0, 1, 2, 2, 0])
    ours, expected = functional.cross_entropy(logits, y), F.cross_entropy(logits, y)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)
    assert gradcheck(functional.cross_entropy, (logits, y))


def test_cross_entropy_is_finite_where_p_rounds_to_zero():
    logits = torch.tensor([[0.0, 1000]], requires_grad=True)
    assert functional.softmax(logits)[0, 0] == 0
    loss = functional.cross_entropy(logits, torch.tensor([0]))
    loss.backward()
    assert loss.item() == 1000
    assert logits.grad.tolist() == [[-1, 1]]
