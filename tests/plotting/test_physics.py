import numpy as np
import pytest
from matplotlib.image import imread

from mlpf.metrics import binning
from mlpf.plotting.physics import draw_gains
from mlpf.plotting.style import style


def estimates(values):
    return [{"value": value, "low": value - 0.01, "high": value + 0.02, "n": 9} for value in values]


def entry(scale):
    systems = {"pf": 1.0, "ours": 0.5, "targets": 0.1}
    return {
        "bins": {"jet_pt": binning.JET_PT.tolist(), "met": binning.MET.tolist()},
        "jets": {name: {"central": {"response": {"pt": {"iqr_over_median": estimates([scale * width] * 6)}}}} for name, width in systems.items()},
        "met": {name: {"residual": {"genmet": {"iqr": estimates([20 * width] * 6)}}} for name, width in systems.items()},
    }


POINTS = {
    name: [
        {"pt": [low, high], "efficiency": estimates([0.6])[0], "model": None if low < 1.0 else estimates([0.8])[0]}
        for low, high in zip(binning.PARTICLE_PT[:-1], binning.PARTICLE_PT[1:], strict=True)
    ]
    for name in ("photon", "neutral_hadron")
}


def test_points_are_the_numbers_in_the_middle_of_their_bins(tmp_path):
    with style():
        figure = draw_gains({"a_b": entry(0.1), "c": entry(0.2)}, {"a_b": POINTS, "c": POINTS}, "ours")
        figure.savefig(tmp_path / "a.png", dpi=50)
    panels = np.array(figure.axes).reshape(4, 2)
    assert [panel.get_title() for panel in panels[0]] == ["a b", "c"]
    x, y = panels[0, 1].containers[1].lines[0].get_data()
    assert y == pytest.approx([0.1] * 6)
    assert x == pytest.approx(np.sqrt(binning.JET_PT[:-1] * binning.JET_PT[1:]))
    lower, upper = panels[0, 1].containers[1].lines[2][0].get_segments()[0][:, 1]
    assert (lower, upper) == pytest.approx((0.09, 0.12))
    assert np.isnan(panels[2, 0].containers[1].lines[0].get_ydata()).tolist() == [True, True] + [False] * 8
    assert imread(tmp_path / "a.png").std() > 0.0
