import numpy as np
import pytest

from mlpf.plotting.style import style


@pytest.fixture(autouse=True)
def _style():
    with style():
        yield


@pytest.fixture(scope="session")
def panels_titled():
    """Axes of a figure whose title is the one given, from the top."""

    def find(figure, text):
        return [axes for axes in figure.axes if axes.get_title("right") == text]

    return find


@pytest.fixture(scope="session")
def drawn():
    """Points of a system in axes: x, y in order of x, whether filled; and the ends of its broken line of bars."""

    def collect(axes, system):
        own = [line for line in axes.lines if line.get_gid() == f"system:{system}"]
        markers = [line for line in own if line.get_linestyle() == "None"]
        x, y = (np.concatenate([line.get_data()[i] for line in markers]) for i in (0, 1))
        order = np.argsort(x)
        return x[order], y[order]

    return collect
