from itertools import pairwise

import pytest
import torch

from firstlight import plots


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
    figure = plots.mistakes(images, [("shirt", f"coat 9{number}%") for number in range(8)], "title")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [
        line for number in range(8) for line in ("shirt", f"coat 9{number}%")
    ]
    canvas = torch.tensor(axes.images[0].get_array().data)
    rows, columns = (range(side - 3) for side in canvas.shape[:2])
    tiles = [canvas[row : row + 4, column : column + 4] for row in rows for column in columns]
    for image in images:
        assert any(torch.equal(tile, image) for tile in tiles)
    figure.canvas.draw()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.mistakes(torch.rand(5, 28, 28), [("a very long name", "97% another long name")] * 5, "title"),
        lambda: plots.weight_images(torch.rand(10, 28, 28), ["a very long name"] * 10, "title"),
    ],
    ids=["mistakes", "weights"],
)
def test_captions_do_not_touch(draw):
    figure = draw()
    figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in figure.axes[0].texts), key=lambda box: (round(box.y0), box.x0))
    for one, other in pairwise(boxes):
        assert one.x1 < other.x0 or one.y1 < other.y0 + 1


@pytest.mark.parametrize("size", [1e-4, 0.0013, 0.04, 3.0, 5e4])
def test_numbers_beside_weights_fit_into_the_figure(size):
    figure = plots.weight_images(size * torch.linspace(-1, 1, 32).view(8, 2, 2), [], "title")
    figure.canvas.draw()
    (beside,) = figure.axes[0].child_axes
    right = max(label.get_window_extent().x1 for label in beside.get_yticklabels())
    assert right <= figure.bbox.x1
