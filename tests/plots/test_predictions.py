import pytest
import torch

from firstlight import plots
from firstlight.plots.predictions import reliability


def texts(axes):
    return [text.get_text() for text in axes.texts]


def labels(ticks):
    return [label.get_text() for label in ticks]


def test_confusion_matrix_has_every_count_in_its_cell_and_the_share_that_is_correct_beside_its_row():
    counts = torch.tensor([[5, 1, 0], [0, 7, 0], [2, 0, 3]])
    (axes,) = plots.confusion_matrix(counts, ["bag", "coat", "dress"], "title").axes
    cells = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert [cells.pop((row, 1.02)) for row in range(3)] == ["83.3%", "100.0%", "60.0%"]
    assert cells.pop((-0.02, 1.02)) == "recall"
    assert cells == {(0, 0): "5", (0, 1): "1", (1, 1): "7", (2, 0): "2", (2, 2): "3"}  # a zero is left blank
    assert labels(axes.get_xticklabels()) == labels(axes.get_yticklabels()) == ["bag", "coat", "dress"]


def test_mistakes_have_a_scale_of_colours_of_their_own():
    counts = torch.tensor([[95, 5, 0], [0, 100, 0], [0, 10, 90]])
    right, wrong = plots.confusion_matrix(counts, ["a", "b", "c"], "title").axes[0].images
    assert right.get_array().compressed().tolist() == pytest.approx([0.95, 1, 0.9])
    assert wrong.get_array().compressed().tolist() == pytest.approx([0.05, 0.1])  # cells without one stay white
    assert wrong.norm(0.1) == pytest.approx(right.norm(1))


def test_confusion_matrix_of_many_classes_leaves_out_what_could_not_be_read():
    figure = plots.confusion_matrix(torch.eye(30).long(), [f"class {number}" for number in range(30)], "title")
    assert texts(figure.axes[0]) == []
    figure.canvas.draw()


def test_predictions_are_drawn_over_the_truth_and_a_diagonal():
    truth, guess = torch.tensor([1.0, 5.0, 3.0]), torch.tensor([0.5, 6.0, 3.0])
    (axes,) = plots.predictions_over_truth(truth, guess, "title").axes
    diagonal, points = axes.lines
    assert diagonal.get_xydata().tolist() == [[0.5, 0.5], [6, 6]]
    assert points.get_xydata().tolist() == [[1, 0.5], [5, 6], [3, 3]]


def test_boundary_runs_where_two_classes_are_equally_probable():
    across, up = torch.linspace(0, 1, 21), torch.linspace(0, 2, 11)
    share = across.expand(11, 21)  # the second class is more probable right of a half
    x, y = torch.tensor([[0.1, 1.0], [0.9, 1.5]]), torch.tensor([0, 1])
    names = ["left", "right"]
    figure = plots.decision_boundary(
        (across, up), torch.stack([1 - share, share], dim=2), x, y, names, ["width", "height"], "title"
    )
    (axes,) = figure.axes
    lines = [each for each in axes.collections if hasattr(each, "levels")]
    assert all(path.vertices[:, 0] == pytest.approx(0.5) for line in lines for path in line.get_paths())
    assert len(lines) == 2
    points = [each.get_offsets().tolist() for each in axes.collections if each not in lines]
    assert points == [[pytest.approx([0.1, 1.0])], [pytest.approx([0.9, 1.5])]]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("width", "height")
    left, right = axes.images[0].get_array()[5, [0, -1]]
    assert left[2] > left[0]  # blue
    assert right[0] > right[2]  # red


def test_long_names_of_classes_are_cut_so_that_they_fit_into_the_figure():
    names, x = ["a summer dress that is red", "x"], torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    grid = x[:, 0], x[:, 0]
    matrix = plots.confusion_matrix(torch.ones(2, 2, dtype=torch.long), names, "title")
    boundary = plots.decision_boundary(grid, torch.rand(2, 2, 2), x, x[:, 0].long(), names, "ab", "title")
    for figure in (matrix, boundary):
        figure.canvas.draw()
        left, bottom, right, top = figure.get_tightbbox().extents * figure.dpi
        assert left > 0 < bottom
        assert right < figure.bbox.x1
        assert top < figure.bbox.y1


def test_diagram_shows_accuracy_over_confidence_and_the_counts():
    figure = reliability([0.3, 0.9], [0.2, 1.0], [5, 15], "calibration")
    axes, below = figure.axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0, 0], [1, 1]], [[0.3, 0.2], [0.9, 1]]]
    assert [bar.get_height() for bar in below.patches] == [5, 15]
    assert axes.get_title() == "calibration"


def test_ten_classes_have_ten_colours():
    ends, names = torch.linspace(0, 1, 5), [*map(str, range(10))]
    probabilities = torch.rand(5, 5, 10, generator=torch.Generator().manual_seed(0)).softmax(dim=2)
    x, y = torch.rand(10, 2), torch.arange(10)
    figure = plots.decision_boundary((ends, ends), probabilities, x, y, names, ["width", "height"], "title")
    handles = figure.axes[0].get_legend().legend_handles
    assert len({tuple(handle.get_facecolor()[0]) for handle in handles}) == 10


@pytest.mark.parametrize("accuracies", [[0.9, 0.9, 0.9, 0.9], [0.1, 0.1, 0.1, 0.1]])
def test_legend_of_a_reliability_diagram_covers_no_point(accuracies):
    figure = reliability([0.1, 0.3, 0.7, 0.9], accuracies, [1, 2, 3, 4], "title")
    figure.canvas.draw()
    axes = figure.axes[0]
    box, (_, line) = axes.get_legend().get_window_extent(), axes.lines
    assert not any(box.contains(*point) for point in axes.transData.transform(line.get_xydata()))
