import math

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint
from tests.repeated import first_quick
from torch.autograd import gradcheck

from firstlight import AutogradCubic, DynamicPolynomial, LegendreCubic, ManualCubic, Sine
from firstlight.models.polynomial import LegendreP3

X = np.linspace(-math.pi, math.pi, 2000)
Y = np.sin(X)
POWERS = np.stack([X**0, X, X**2, X**3], axis=1)
BEST = np.linalg.lstsq(POWERS, Y)[0]  # the least-squares cubic
START = (0.5, -1.0, 0.25, 0.125)  # the same to the last bit in single and in double precision
LR = 1e-6


class Rows(Checkpoint):
    """Collect each epoch's last loss, and what is logged; a checkpoint, as those are called once it is logged."""

    def __init__(self):
        self.losses, self.logged = [], []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if trainer.is_last_batch:
            self.losses.append(outputs["loss"].item())

    def on_train_epoch_end(self, trainer, model):
        self.logged.append(trainer.callback_metrics["loss/train"].item())


@pytest.fixture
def document_rows(quick_trainer):
    """Return a function that trains in epochs of 100 steps and returns the rows the document prints."""

    def train(model, precision, epochs):
        rows = Rows()
        trainer = quick_trainer(
            max_epochs=epochs, precision=precision, limit_val_batches=0, enable_checkpointing=True, callbacks=[rows]
        )
        trainer.fit(model, Sine(repeats=100))
        assert rows.logged == pytest.approx(rows.losses, rel=1e-7)  # scores are kept in single precision
        return rows.losses

    return train


@pytest.fixture
def descend(quick_trainer):
    """Return a function that trains a model in double precision from given coefficients, and returns the trainer."""

    def train(model, start, data, **arguments):
        model.double()
        model.coefficients.data = torch.tensor(start, dtype=torch.double)
        trainer = quick_trainer(**{"max_epochs": 1, "precision": "64-true", "limit_val_batches": 0} | arguments)
        trainer.fit(model, data)
        return trainer

    return train


def final(model):
    return model.coefficients.detach().numpy()


def loss_of(coefficients):
    return np.square(POWERS @ coefficients - Y).sum()


def document_cubic(rows, a, b, c, d):
    """The document's loop, to the letter: return the loss at steps 99, 199, ... (1999) and the coefficients."""
    losses = []
    for t in range(100 * rows):
        y_pred = a + b * X + c * X * X + d * X * X * X
        if t % 100 == 99:
            losses.append(np.square(y_pred - Y).sum())
        grad_y_pred = 2.0 * (y_pred - Y)
        a -= LR * grad_y_pred.sum()
        b -= LR * (grad_y_pred * X).sum()
        c -= LR * (grad_y_pred * X * X).sum()
        d -= LR * (grad_y_pred * X * X * X).sum()
    return losses, [a, b, c, d]


def document_legendre(rows, a, b, c, d):
    """The same for ``a + b P3(c + d x)``, with the chain rule worked out by hand."""
    losses = []
    for t in range(100 * rows):
        z = c + d * X
        p3 = 2.5 * z * z * z - 1.5 * z
        residual = a + b * p3 - Y
        if t % 100 == 99:
            losses.append(np.square(residual).sum())
        toward_z = 2 * residual * b * (7.5 * z * z - 1.5)
        gradient = (2 * residual).sum(), (2 * residual * p3).sum(), toward_z.sum(), (toward_z * X).sum()
        a, b, c, d = (w - 5e-6 * g for w, g in zip((a, b, c, d), gradient, strict=True))
    return losses, [a, b, c, d]


def document_dynamic(start, draws):
    """Descend with momentum; each draw says how many of the terms ``e x^4`` and ``e x^5`` a step uses."""
    w, velocity = np.array(start), 0
    for draw in draws:
        column = sum([X**4, X**5][:draw], np.zeros_like(X))  # what the shared coefficient e is multiplied by
        features = np.column_stack([POWERS, column])
        velocity = 0.9 * velocity + 2 * features.T @ (features @ w - Y)
        w = w - 1e-8 * velocity
    return w


PRECISIONS = pytest.mark.parametrize(  # the document prints 20 rows
    ("precision", "rows", "tolerance"),
    first_quick(1, [("64-true", 4, 1e-9), ("64-true", 20, 1e-9), ("32-true", 20, 1e-4)]),
)


@PRECISIONS
@pytest.mark.parametrize("model_class", [ManualCubic, AutogradCubic])
def test_cubic_prints_the_documents_rows(model_class, precision, rows, tolerance, document_rows):
    model = model_class()
    model.coefficients.data = torch.tensor(START)
    expected, coefficients = document_cubic(rows, *START)
    assert document_rows(model, precision, rows) == pytest.approx(expected, rel=tolerance)
    assert final(model) == pytest.approx(coefficients, rel=tolerance)


@PRECISIONS
def test_legendre_cubic_prints_the_documents_rows(precision, rows, tolerance, document_rows):
    model = LegendreCubic()
    assert final(model) == pytest.approx([0, -1, 0, 0.3], rel=1e-7)
    expected, coefficients = document_legendre(rows, *final(model).tolist())
    assert document_rows(model, precision, rows) == pytest.approx(expected, rel=tolerance)
    assert final(model) == pytest.approx(coefficients, rel=tolerance, abs=tolerance / 100)


@pytest.mark.parametrize(
    ("coefficients", "loss_99", "loss_1999"),
    [
        ((-0.016363, 0.851817, 0.002823, -0.092630), 245.7455, 9.0818),
        ((0.003011, 0.861641, -0.000519, -0.094027), 80.3677, 8.8507),
    ],
    ids=["numpy", "tensors"],
)
def test_the_documents_printed_runs_come_out_again(coefficients, loss_99, loss_1999, descend):
    # Where the runs started was not printed, but their end tells where they came from: along each axis of the loss a
    # step shrinks the distance to the best cubic by a factor. Along two axes the distance is gone long before step 99.
    curvature, axes = np.linalg.eigh(2 * POWERS.T @ POWERS)
    slow = axes[:, :2]
    distance = slow.T @ (coefficients - BEST)

    def steps_earlier(steps):
        return BEST + slow @ (distance / (1 - LR * curvature[:2]) ** steps)

    assert loss_of(steps_earlier(2000 - 99)) == pytest.approx(loss_99, rel=2e-4)  # six printed decimals tell no more
    model = ManualCubic()
    trainer = descend(model, steps_earlier(100), Sine(repeats=100))
    assert trainer.callback_metrics["loss/train"].item() == pytest.approx(loss_1999, abs=5e-5)  # as printed
    assert final(model) == pytest.approx(coefficients, abs=5e-7)  # as printed


def test_the_least_squares_cubic_is_where_descent_ends():
    assert loss_of(BEST) == pytest.approx(8.8172, abs=5e-5)
    assert pytest.approx([0, 0.856741, 0, -0.093330], abs=5e-7) == BEST
    shrinking = 1 - LR * np.linalg.eigvalsh(2 * POWERS.T @ POWERS)  # of the distance to it, in each step
    assert (abs(shrinking) < 1).all()


@pytest.mark.parametrize("model_class", [ManualCubic, AutogradCubic])
def test_descent_rests_at_the_least_squares_cubic(model_class, descend):
    model = model_class()
    trainer = descend(model, BEST, Sine(repeats=100))
    assert final(model) == pytest.approx(BEST, abs=1e-13)
    assert trainer.callback_metrics["loss/train"].item() == pytest.approx(8.817165, abs=5e-7)


@pytest.mark.parametrize("model_class", [ManualCubic, AutogradCubic])
def test_descent_ends_where_linear_algebra_says(model_class, descend):
    model = model_class()
    descend(model, START, Sine(repeats=200))
    curvature, axes = np.linalg.eigh(2 * POWERS.T @ POWERS)
    expected = BEST + axes @ ((1 - LR * curvature) ** 200 * (axes.T @ (START - BEST)))
    assert final(model) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("lr", "batch_size", "arguments"),
    [
        (1e-5, 100, {}),
        (1e-5, 300, {"accumulate_grad_batches": 2}),
        (1e-2, None, {"gradient_clip_val": 1}),
        (1e-2, 300, {"gradient_clip_val": 0.5, "gradient_clip_algorithm": "value", "accumulate_grad_batches": 3}),
    ],
    ids=["mini-batches", "accumulated", "clipped", "clipped-and-accumulated"],
)
def test_gradient_by_hand_agrees_with_autograd(lr, batch_size, arguments, descend):
    manual, autograd = ManualCubic(lr), AutogradCubic(lr)
    for model in (manual, autograd):
        descend(model, START, Sine(batch_size=batch_size, repeats=4), **arguments)
    assert final(manual) == pytest.approx(final(autograd), rel=1e-12)
    assert abs(final(manual) - START).max() > 0.01


def test_steps_draw_each_form_equally_often():
    model = DynamicPolynomial()
    with torch.no_grad():
        model.coefficients.copy_(torch.tensor([1.0, 2, 3, 4, 5]))
    answers = [model(torch.tensor([[2.0]])).item() for _ in range(3000)]
    cubic = 1 + 2 * 2 + 3 * 4 + 4 * 8
    counts = [answers.count(form) for form in (cubic, cubic + 5 * 16, cubic + 5 * 16 + 5 * 32)]
    assert sum(counts) == 3000
    assert min(counts) > 900  # four standard deviations from 1000


def test_dynamic_polynomial_descends_as_its_draws_say(descend, monkeypatch):
    draws = []
    draw = torch.randint

    def recorded(*arguments):
        draws.append(int(draw(*arguments)))
        return torch.tensor(draws[-1])

    monkeypatch.setattr(torch, "randint", recorded)
    model = DynamicPolynomial()
    descend(model, [*START, 0.0625], Sine(repeats=300))
    assert len(draws) == 300
    assert final(model) == pytest.approx(document_dynamic([*START, 0.0625], draws), rel=1e-9)


def test_dynamic_polynomial_predicts_the_mean_of_its_three_forms():
    model = DynamicPolynomial().eval()
    with torch.no_grad():
        model.coefficients.copy_(torch.tensor([1.0, 2, 3, 4, 5]))
        y = model(torch.tensor([[2.0], [-1.0]])).flatten().tolist()
    assert y == pytest.approx([(49 + 129 + 289) / 3, (-2 + 3 + -2) / 3])


def test_legendre_p3_is_the_third_legendre_polynomial():
    z = torch.linspace(-2, 2, 9, dtype=torch.double, requires_grad=True)
    expected = np.polynomial.legendre.legval(z.detach().numpy(), [0, 0, 0, 1])
    assert LegendreP3.apply(z).tolist() == pytest.approx(expected.tolist(), abs=1e-14)
    assert gradcheck(LegendreP3.apply, z)


@pytest.mark.parametrize("model_class", [ManualCubic, AutogradCubic, DynamicPolynomial])
def test_coefficients_start_standard_normal(model_class):
    starts = torch.cat([model_class().coefficients.detach() for _ in range(300)])
    assert starts.mean().item() == pytest.approx(0, abs=0.12)
    assert starts.std().item() == pytest.approx(1, abs=0.08)


def test_training_loss_is_the_last_steps_and_validation_loss_the_sum_over_all_points(descend):
    data = Sine(num_points=5, batch_size=2)  # the last batch has one point
    trainer = descend(AutogradCubic(lr=1e-30), START, data, limit_val_batches=None)
    a, b, c, d = START

    def errors(x):
        return (a + b * x + c * x**2 + d * x**3 - np.sin(x)) ** 2

    train = np.linspace(-math.pi, math.pi, 5)
    val = train[:-1] + 2 * math.pi / 4 / 3
    scores = {name: score.item() for name, score in trainer.callback_metrics.items()}
    assert min(abs(errors(train) - scores["loss/train"])) < 1e-6
    assert scores["loss/val"] == pytest.approx(errors(val).sum(), rel=1e-6)
