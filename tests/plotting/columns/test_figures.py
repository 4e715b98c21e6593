import numpy as np
import pytest

from mlpf.plotting.columns.binning import Binning, choose_binning
from mlpf.plotting.columns.figures import Described, Drawn, draw_column
from mlpf.plotting.columns.histograms import Histogram
from mlpf.plotting.style import style

COLUMN = Described("element_pt", "element", "GeV", "transverse momentum")


def draw(binning, *samples, **options):
    """Axes of a figure of samples of these values, which passed 10 events each."""
    histograms = {}
    for i, values in enumerate(samples):
        histogram = Histogram.empty(binning)
        histogram.fill(np.array(values, dtype=np.float64))
        histograms[Drawn(f"sample {i}", (), 10, i)] = histogram
    with style():
        return draw_column(COLUMN, histograms, **{"normalise": "no", "weighted": False, "log": "never"} | options).axes


def heights(axes):
    """Edges and heights of the outlines of all samples; of each there are an area of errors and a line, of the first an area below it, too."""
    return [patch.get_data() for patch in axes.patches if type(patch).__name__ == "StepPatch" and not patch.get_fill()]


def points(axes):
    """Positions and ratios of the points inside the axis."""
    return next(line.get_xydata() for line in axes.lines if line.get_marker() == "o")


def test_lines_are_the_counts_and_points_the_ratio_to_the_first():
    upper, lower = draw(Binning(np.array([0.0, 1.0, 2.0])), [0.5] * 100 + [1.5] * 50, [0.5] * 80 + [1.5] * 60)
    first, second = heights(upper)
    np.testing.assert_allclose(first.values, [100, 50])
    np.testing.assert_allclose(second.values, [80, 60])
    np.testing.assert_allclose(first.edges, [0, 1, 2])
    np.testing.assert_allclose(points(lower), [[0.5, 0.8], [1.5, 1.2]])
    assert lower.get_ylabel() == "ratio to sample 0"


def test_bins_at_the_ends_are_there_where_a_sample_has_entries_outside():
    binning = Binning(np.array([0.0, 1.0, 2.0]))
    (upper,) = draw(binning, [0.5, 1.5, 1.5, 3.0])
    np.testing.assert_allclose(heights(upper)[0].values, [1, 2, 1])
    assert [text.get_text() for text in upper.texts] == ["above"]
    (upper,) = draw(binning, [-1, -1, -1, 0.5])
    np.testing.assert_allclose(heights(upper)[0].values, [3, 1, 0])
    assert [text.get_text() for text in upper.texts] == ["below"]


def test_zeros_below_a_logarithmic_axis_are_called_so():
    (upper,) = draw(Binning(np.array([1.0, 10.0, 100.0]), log=True), [0, 0, 3, 3, 30])
    np.testing.assert_allclose(heights(upper)[0].values, [2, 2, 1])
    assert [text.get_text() for text in upper.texts] == ["zero"]
    assert upper.get_xscale() == "log"


def test_kinds_stand_above_their_names_and_those_without_entries_are_left_out():
    upper, lower = draw(choose_binning("element_type", np.array([1.0])), [1] * 7 + [4] * 3, [1] * 5 + [5] * 2)
    assert [text.get_text() for text in lower.get_xticklabels()] == ["TRACK", "ECAL", "HCAL"]
    np.testing.assert_allclose([line.values for line in heights(upper)], [[7, 3, 0], [5, 0, 2]])


@pytest.mark.parametrize(
    ("options", "title", "first"),
    [
        ({"normalise": "entries"}, "share of entries per bin", 0.75),
        ({"normalise": "events"}, "entries per event and bin", 0.3),
        ({"normalise": "events", "weighted": True}, "weighted entries per event and bin", 0.3),
    ],
)
def test_the_vertical_axis_says_what_it_shows(options, title, first):
    (upper,) = draw(Binning(np.array([0.0, 1.0, 2.0])), [0.5, 0.5, 0.5, 1.5], **options)
    assert upper.get_ylabel() == title
    assert heights(upper)[0].values[0] == pytest.approx(first)
