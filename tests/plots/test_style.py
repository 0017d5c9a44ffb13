import matplotlib as mpl
import pytest
import torch
from matplotlib import pyplot as plt

from firstlight import plots
from firstlight.plots import style


@pytest.fixture
def figure():
    """Return a figure."""
    x = torch.linspace(-3, 3, 10)
    return plots.curve_fit(x, x.sin(), {0: x, 10: x.sin()}, "title")


def test_style_is_that_of_the_figures_alone(figure):
    assert figure.axes[0].spines["top"].get_visible() is False
    assert mpl.rcParams["axes.spines.top"] is True
    assert plt.get_fignums() == []  # none stays open


def test_title_fits_into_the_figure():
    figure, (axes,) = style.new_figure(right=1.5)
    for count in (1, 6):
        style.set_title(axes, f"{'Model: 10 of 20 ' * count}\nepoch 1")
        box = axes.title.get_window_extent()
        assert 0 < box.x0 < box.x1 < figure.bbox.x1
    assert axes.title.get_fontsize() < style.STYLE["axes.titlesize"]


def test_shades_go_from_light_to_dark():
    sums = [sum(color[:3]) for color in style.shades(4)]
    assert sums == sorted(sums, reverse=True)
    assert style.shades(1) == style.shades(4)[:1]


@pytest.mark.parametrize(("file_format", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_same_figure_is_the_same_file(file_format, start, figure):
    content = style.to_bytes(figure, file_format)
    assert content.startswith(start)
    assert style.to_bytes(figure, file_format) == content
