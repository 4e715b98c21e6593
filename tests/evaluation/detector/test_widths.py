import numpy as np
import pytest

from mlpf.evaluation.detector.widths import gaussian_core, relative_core_width, width


def test_the_core_of_a_gaussian_is_the_gaussian_and_tails_do_not_matter():
    rng = np.random.default_rng(1)
    core, tail = rng.normal(2.0, 0.3, 40_000), rng.uniform(-50, 50, 4_000)
    assert gaussian_core(core) == pytest.approx((2.0, 0.3), rel=0.01)
    assert gaussian_core(np.concatenate([core, tail])) == pytest.approx((2.0, 0.3), rel=0.03)
    assert np.std(np.concatenate([core, tail])) > 5


def test_the_interval_of_the_core_has_the_length_of_a_gaussian_widths_error():
    values = np.random.default_rng(2).normal(1.0, 0.1, 2000)
    estimate = relative_core_width(values)
    assert estimate.low < 0.1 < estimate.high or estimate.value == pytest.approx(0.1, rel=0.05)
    # sigma / sqrt(2 n) of the full sample is 0.0016; cutting at two sigma of itself costs a factor of about two
    assert 0.0016 < 0.5 * (estimate.high - estimate.low) < 0.006


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(3), np.ones(50)])
def test_no_core_of_few_or_of_equal_values(values):
    assert np.isnan(relative_core_width(values).value)


def test_the_resolution_is_the_gaussians_sigma_over_its_median():
    values = np.random.default_rng(3).normal(2.0, 0.2, 50_000)
    assert width(values)["resolution"].value == pytest.approx(0.1, rel=0.02)
    assert width(values)["mean"].value == pytest.approx(2.0, rel=0.01)
