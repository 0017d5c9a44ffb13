"""The reliability diagram."""

from firstlight.plots.calibration import reliability


def test_diagram_shows_accuracy_over_confidence_and_the_counts():
    figure = reliability([0.3, 0.9], [0.2, 1.0], [5, 15], "calibration")
    axes, below = figure.axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0, 0], [1, 1]], [[0.3, 0.2], [0.9, 1]]]
    assert [bar.get_height() for bar in below.patches] == [5, 15]
    assert axes.get_title() == "calibration"
