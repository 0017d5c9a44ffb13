import math

import pytest
import torch
from matplotlib import pyplot as plt

from firstlight import functional, plots


def texts(axes):
    return [text.get_text() for text in axes.texts]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def labels(ticks):
    return [label.get_text() for label in ticks]


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    assert plt.get_fignums() == []


def test_confusion_matrix_has_every_count_in_its_cell():
    counts = torch.tensor([[5, 1, 0], [0, 7, 0], [2, 0, 3]])
    figure = plots.confusion_matrix(counts, ["bag", "coat", "dress"], "title")
    axes, _ = figure.axes
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "5", (0, 1): "1", (1, 1): "7", (2, 0): "2", (2, 2): "3"}  # a zero is left blank
    assert labels(axes.get_xticklabels()) == labels(axes.get_yticklabels()) == ["bag", "coat", "dress"]
    shares = [[5 / 6, 1 / 6, 0], [0, 1, 0], [2 / 5, 0, 3 / 5]]
    assert axes.images[0].get_array().tolist() == [pytest.approx(row) for row in shares]


def test_confusion_matrix_of_many_classes_leaves_out_what_could_not_be_read():
    figure = plots.confusion_matrix(torch.eye(30).long(), [f"class {number}" for number in range(30)], "title")
    assert texts(figure.axes[0]) == []
    figure.canvas.draw()


def test_curve_fit_shows_earlier_fits_and_what_the_latest_leaves_over():
    x = torch.linspace(-math.pi, math.pi, 50)
    fits = {0: x, 400: 0.5 * x, 2000: x.sin() + 0.25}
    above, below = plots.curve_fit(x, x.sin(), fits, "title").axes
    assert legend(above) == ["data", "start", "step 400", "step 2,000"]
    for line, curve in zip(above.lines, [x.sin(), *fits.values()], strict=True):
        torch.testing.assert_close(torch.tensor(line.get_ydata()), curve)
    torch.testing.assert_close(torch.tensor(below.lines[-1].get_ydata()), torch.full((50,), 0.25))


def test_coefficients_are_drawn_beside_their_limits():
    path = torch.tensor([[1.0, 2.0], [0.5, 2.5], [0.25, 2.75]])
    (axes,) = plots.coefficient_paths([0, 1, 10], path, torch.tensor([0.0, 3.0]), "title").axes
    assert legend(axes) == ["a = 0.2500, limit 0.0000", "b = 2.7500, limit 3.0000"]
    limit_a, a, limit_b, b = axes.lines
    assert [set(limit_a.get_ydata()), set(limit_b.get_ydata())] == [{0.0}, {3.0}]
    assert [a.get_ydata().tolist(), b.get_ydata().tolist()] == path.T.tolist()


def test_each_unit_has_its_weights_under_its_name():
    weights = torch.arange(10.0)[:, None, None].expand(10, 4, 4) - 4.5
    figure = plots.weight_images(weights, [f"unit {number}" for number in range(10)], "title")
    axes = figure.axes[0]
    canvas = axes.images[0].get_array()
    for number, text in enumerate(axes.texts):
        column, row = text.get_position()
        assert text.get_text() == f"unit {number}"
        assert canvas[round(row + 2), round(column)] == number - 4.5
    low, high = axes.images[0].get_clim()
    assert high == -low > 4  # white is zero


def test_units_without_a_name_fill_a_grid_of_eight_columns():
    figure = plots.weight_images(torch.ones(64, 5, 5), [], "title")
    assert figure.axes[0].images[0].get_array().count() == 64 * 25  # all else is blank


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_mistakes_are_drawn_below_what_they_are_and_what_they_were_taken_for(shape):
    images = torch.rand(8, *shape)
    figure = plots.mistakes(images, [("shirt", f"coat? 0.9{number}") for number in range(8)], "title")
    (axes,) = figure.axes
    assert texts(axes) == [f"shirt\ncoat? 0.9{number}" for number in range(8)]
    canvas = torch.tensor(axes.images[0].get_array().data)
    tiles = [canvas[row : row + 4, column : column + 4] for row in range(9) for column in range(30)]
    for image in images:
        assert any(tile.shape == image.shape and torch.equal(tile, image) for tile in tiles)
    figure.canvas.draw()


def test_learned_weights_are_drawn_on_planted_ones_with_their_difference():
    learned, planted = torch.tensor([2.001, -3.4]), torch.tensor([2.0, -3.39])
    above, below = plots.planted_weights(learned, planted, ["area", "age"], "title").axes
    circles, dots = (torch.tensor(points.get_offsets().data)[:, 1] for points in above.collections)
    torch.testing.assert_close(circles, planted, check_dtype=False)
    torch.testing.assert_close(dots, learned, check_dtype=False)
    assert texts(below) == ["1.0e-03", "1.0e-02"]
    assert labels(below.get_xticklabels()) == ["area", "age"]


def test_activations_are_drawn_with_their_derivatives():
    panels = plots.activations(
        {"tanh": (functional.tanh, functional.tanh_derivative), "ReLU": (functional.relu, functional.relu_derivative)}
    ).axes
    assert [axes.get_title() for axes in panels] == ["tanh", "ReLU"]
    for axes, reference in zip(panels, (torch.tanh, torch.relu), strict=True):
        function, derivative = axes.lines
        x = torch.tensor(function.get_xdata(), requires_grad=True)
        y = reference(x)
        torch.testing.assert_close(torch.tensor(function.get_ydata()), y.detach())
        torch.testing.assert_close(torch.tensor(derivative.get_ydata()), torch.autograd.grad(y.sum(), x)[0])
