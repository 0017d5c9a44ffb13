import pytest

from firstlight.plots.trials import importances, parallel_coordinates

AXES = {"lr": {"low": 0.01, "high": 1.0, "log": True}, "kind": {"values": ("a", "b", "c")}}
TRIALS = [{"lr": 0.1, "kind": "c", "score": 3.0}, {"lr": 1.0, "kind": "a", "score": 1.0}]


def test_each_trial_is_a_line_through_its_values_and_the_best_is_drawn_last():
    figure = parallel_coordinates(TRIALS, AXES, "score", "title")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "the best trial",
        "the worst",
    ]
    worse, best = [patch.get_path().vertices[::3].tolist() for patch in figure.axes[0].patches]
    assert best == [[0, pytest.approx(0.5)], [1, 1], [2, 1]]
    assert worse == [[0, 1], [1, 0], [2, 0]]


def test_axes_have_titles_and_ticks():
    figure = parallel_coordinates(TRIALS, AXES, "score", "title")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["lr", "0.01", "0.1", "1", "kind", "a", "b", "c", "score", "1", "2", "3"]


def test_scores_of_several_magnitudes_have_a_logarithmic_axis():
    trials = [TRIALS[0] | {"score": score} for score in (0.001, 0.1, 10.0)]
    panel = parallel_coordinates(trials, AXES, "score", "title").axes[0]
    assert sorted(patch.get_path().vertices[-1][1] for patch in panel.patches) == pytest.approx([0, 0.5, 1])
    assert [text.get_text() for text in panel.texts][-5:] == ["0.001", "0.01", "0.1", "1", "10"]
    names = [text.get_text() for text in panel.get_legend().get_texts()]
    assert names == ["the best trial", "the second best", "the worst"]


def test_most_important_setting_is_on_top():
    figure = importances({"lr": [0.7, 0.5, 0.8], "kind": [0.1, 0.1, 0.3], "width": [0.2, 0, 0.4]}, "title")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["kind", "width", "lr"]
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.1, 0.2, 0.7]
    (lines,) = (each for each in figure.axes[0].collections)
    spans = [[*map(float, path.vertices[:, 0])] for path in lines.get_paths()]
    assert spans == [pytest.approx(span) for span in ([0.1, 0.3], [0, 0.4], [0.5, 0.8])]
