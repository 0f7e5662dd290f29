"""Figures: what they show, in one, two and many dimensions. (That they look well was seen by eye.)"""

import numpy as np
import pytest
from conftest import QUICK, clouds

from charflow import CharacteristicFlow, plot

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.mark.parametrize("d", [1, 2, 6])
def test_a_figure_in_every_dimension(d, tmp_path):
    X, Y = clouds(200, 150, d)
    flow = CharacteristicFlow(**QUICK).fit(X, Y)
    figure = flow.plot(X, Y, times=[0.5])
    titles = [ax.get_title() for ax in figure.axes]
    assert titles[1:3] == ["forward: T(X) on Y", "backward: S(Y) on X"] and titles[4] == "t = 0.5"
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000
    matplotlib.pyplot.close(figure)


def test_the_points_drawn_are_the_images(flow, data):
    figure = flow.plot(*data)
    drawn = [ax.collections[-1].get_offsets() for ax in figure.axes]
    assert np.allclose(drawn[1], flow.transform(data[0]))
    assert np.allclose(drawn[2], flow.inverse_transform(data[1]))
    assert figure.axes[0].get_xlabel() == "x1"
    matplotlib.pyplot.close(figure)


def test_classes_have_colours(data):
    X, Y = data
    kinds, others = np.arange(len(X)) % 3, np.arange(len(Y)) % 3
    flow = CharacteristicFlow(**QUICK).fit(X, Y, x_labels=kinds, y_labels=others)
    figure = flow.plot(X, Y, x_labels=kinds, y_labels=others)
    colours = figure.axes[0].collections[0].get_facecolors()
    assert len({tuple(c) for c in colours}) == 3
    matplotlib.pyplot.close(figure)


def test_losses(flow):
    figure = plot.losses(flow)
    assert [ax.get_title() for ax in figure.axes][0] == "energy distance"
    assert sum(len(ax.lines) for ax in figure.axes) >= 4
    matplotlib.pyplot.close(figure)


def test_without_matplotlib_the_extra_is_named(flow, data, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"charflow\[plot\]"):
        flow.plot(*data)
