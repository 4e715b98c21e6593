import matplotlib.image
import numpy as np
import pytest
from detector_toys import all_tables

from mlpf.evaluation.detector import validation
from mlpf.evaluation.detector.document import FIGURES
from mlpf.plotting.detector import draw_validation
from mlpf.plotting.detector_particles import draw_electromagnetic
from mlpf.plotting.style import style


@pytest.fixture(scope="module")
def results():
    curves, checks = validation.measure(all_tables(), scale=0.01, seed=1)
    return {"curves": curves, "checks": checks}


def test_every_figure_of_the_document_is_drawn_and_small(results, tmp_path):
    names = draw_validation(results, tmp_path)
    assert sorted(names) == sorted(name for figures in FIGURES.values() for name in figures)
    for name in names:
        path = tmp_path / f"{name}.png"
        assert path.stat().st_size < 150_000, name
        image = matplotlib.image.imread(path)
        assert image.std() > 0.05, name  # not empty


def test_the_points_drawn_are_those_measured(results):
    curves = results["curves"]["calorimeters"]
    with style():
        figure = draw_electromagnetic(curves)
    above, below = figure.axes[1], figure.axes[5]
    barrel = curves["energy"]["photons, all candidates"]["barrel"]
    for axes, quantity in ((above, "mean"), (below, "core")):
        drawn = {container.get_label(): container.lines[0] for container in axes.containers}
        assert drawn["barrel"].get_ydata() == pytest.approx([number["value"] for number in barrel[quantity]])
        edges = np.array(barrel["edges"])
        assert np.array_equal(np.digitize(drawn["barrel"].get_xdata(), edges) - 1, np.arange(len(edges) - 1))  # every point inside its bin
    dashed = next(line for line in below.lines if line.get_linestyle() == "--")
    assert dashed.get_ydata() == pytest.approx(barrel["expected"])
