import math
from itertools import pairwise

import torch

from firstlight import functional, plots


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_training_and_validation_have_a_colour_each_and_a_name():
    losses = {"train": {10: 0.9, 20: 0.5}, "val": {10: 0.8, 20: 0.6}}
    figure = plots.learning_curves({"loss": losses, "accuracy": {"val": {10: 0.3, 20: 0.4}}}, "title", ("accuracy", 20))
    loss, accuracy = figure.axes
    assert [[*map(list, line.get_data())] for line in loss.lines] == [[[10, 20], [0.9, 0.5]], [[10, 20], [0.8, 0.6]]]
    assert len({line.get_color() for line in loss.lines}) == 2
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert accuracy.lines[-1].get_data() == ([20], [0.4])
    (names,) = figure.legends
    assert [text.get_text() for text in names.get_texts()] == ["training", "validation", "best validation"]


def test_loss_that_falls_far_has_a_logarithmic_axis():
    far, near = ({"loss": {"train": {1: 1000.0, 2: end}}} for end in (9.0, 900.0))
    assert [plots.learning_curves(each, "title").axes[0].get_yscale() for each in (far, near)] == ["log", "linear"]


def test_scores_that_are_not_finite_are_marked_at_their_steps():
    figure = plots.learning_curves({"loss": {"train": {1: 1.0, 2: math.inf}, "val": {1: 1.1, 2: math.nan}}}, "title")
    marks = [line for line in figure.axes[0].lines if line.get_label() == "NaN or infinite"]
    assert [list(line.get_xdata()) for line in marks] == [[2], [2]]
    assert figure.axes[0].get_yscale() == "linear"


def test_names_of_steps_do_not_touch_beside_another_score():
    for last in (2_532, 12_660, 23_520, 84_400):
        points = {last // 3: 0.9, last: 0.5}
        figure = plots.learning_curves({"loss": {"val": points}, "accuracy": {"val": points}}, "title")
        figure.canvas.draw()
        for axes in figure.axes:
            left, right = axes.get_xlim()
            names = [label for label in axes.get_xticklabels() if left <= label.get_position()[0] <= right]
            ends = [label.get_window_extent() for label in names]
            assert all(one.x1 + 8 < other.x0 for one, other in pairwise(ends)), last


def test_curves_of_a_single_step_name_it_once():
    figure = plots.learning_curves({"loss": {"train": {3: 110_000.0}}}, "title")
    figure.canvas.draw()
    assert figure.get_tightbbox().x0 > 0  # long numbers would move the name of the axis out
    (axes,), (names,) = figure.axes, figure.legends
    left, right = axes.get_xlim()
    assert [text.get_text() for text in axes.get_xticklabels() if left <= text.get_position()[0] <= right] == ["3"]
    assert [text.get_text() for text in names.get_texts()] == ["training"]


def test_curve_fit_shows_earlier_fits_and_the_residual_of_the_latest():
    x = torch.linspace(-math.pi, math.pi, 50)
    fits = {0: x, 400: 0.5 * x, 2000: x.sin() + 0.25}
    above, below = plots.curve_fit(x, x.sin(), fits, "title").axes
    assert legend(above) == ["data", "start", "step 400", "step 2,000"]
    for line, curve in zip(above.lines, [x.sin(), *fits.values()], strict=True):
        torch.testing.assert_close(torch.tensor(line.get_ydata()), curve)
    torch.testing.assert_close(torch.tensor(below.lines[-1].get_ydata()), torch.full((50,), 0.25))
    assert below.get_ylabel() == "residual"
    assert len({str(line.get_color()) for line in above.lines}) == 4


def test_legends_cover_no_curve():
    x = torch.linspace(-3, 3, 20)
    path = torch.zeros(3, 2)
    figures = plots.curve_fit(x, x, {0: x}, "title"), plots.weight_paths([0, 1, 9], path, path[0], "ab", "title")
    for figure in figures:
        figure.canvas.draw()
        for axes in figure.axes:
            assert axes.get_window_extent().x1 < figure.axes[0].get_legend().get_window_extent().x0


def test_many_fits_are_drawn_as_a_mean_and_the_latest_with_a_band():
    x = torch.linspace(-3, 3, 20)
    band = torch.stack([x, x - 1, x + 1], dim=1)
    above, below = plots.curve_fit(x, x, {0: 9 * band, 5: band}, "title").axes
    for axes, middle in ((above, x), (below, 0 * x)):
        torch.testing.assert_close(torch.tensor(axes.lines[-1].get_ydata()), middle)
        (drawn,) = axes.collections
        corners = torch.tensor(drawn.get_paths()[0].vertices)
        heights = corners[:, 1] - (corners[:, 0] if axes is above else 0)
        assert sorted({*heights.round(decimals=5).tolist()}) == [-1, 1]


def test_weights_are_drawn_with_the_known_values_and_their_distance_from_these():
    path = torch.tensor([[1.0, 2.0], [0.5, 2.5], [0.25, 2.75]])
    above, below = plots.weight_paths([0, 1, 10], path, torch.tensor([0.0, 3.0]), ["area", "age"], "title").axes
    assert legend(above) == ["area 0.250 (0.000)", "age 2.750 (3.000)"]
    known_area, area, known_age, age = above.lines
    assert [set(known_area.get_ydata()), set(known_age.get_ydata())] == [{0.0}, {3.0}]
    assert [area.get_ydata().tolist(), age.get_ydata().tolist()] == path.T.tolist()
    assert [line.get_ydata().tolist() for line in below.lines] == [[1, 0.5, 0.25], [1, 0.5, 0.25]]


def test_distances_that_hardly_change_have_ticks_too():
    path = torch.tensor([[0.7], [0.6], [0.5]])
    _, below = plots.weight_paths([0, 1, 2], path, torch.tensor([4.2]), "a", "title").axes
    assert below.get_ylim() == (1, 10)


def test_dashed_lines_that_coincide_are_all_seen():
    (above, _) = plots.weight_paths([0, 1], torch.ones(2, 4), torch.zeros(4), "abcd", "title").axes
    offsets = {line._unscaled_dash_pattern[0] % 16 for line in above.lines[::2]}
    assert offsets == {0, 4, 8, 12}  # dashes of 4, gaps of 12


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
