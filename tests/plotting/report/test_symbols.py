import re
from xml.etree import ElementTree as ET

import pytest

from mlpf.plotting.report.symbols import intervals, swatch
from mlpf.plotting.summary.systems import look_of_systems

LOOKS = look_of_systems(["pf", "a", "b", "targets", "a_hard", "targets_hard", *"cdefgh"], list("abcdefgh"))


@pytest.mark.parametrize("system", LOOKS)
def test_a_swatch_has_the_colour_and_its_own_marker(system):
    root = ET.fromstring(swatch(LOOKS[system]))
    assert LOOKS[system].color[1:] in root.get("style")
    line, marker = root
    assert line.get("d") == "M0 6H26"
    numbers = [float(number) for number in re.findall(r"-?[\d.]+", marker.get("d"))]
    assert 8 <= max(numbers[::2]) - min(numbers[::2]) + max(numbers[1::2]) - min(numbers[1::2]) <= 20  # a mark of about 9 x 9 around (13, 6)
    assert 8 <= min(numbers[::2]) <= 13 <= max(numbers[::2]) <= 18


def test_intervals_are_on_one_scale():
    estimates = [({"value": v, "low": v - 0.1, "high": v + 0.2}, LOOKS["a"]) for v in (1.0, 1.5)]
    root = ET.fromstring(intervals(estimates, 'a "label" <'))
    assert root.get("aria-label") == 'a "label" <'
    ticks = {float(text.text): float(text.get("x")) for text in root.iter("text")}
    (low, at), *_, (high, until) = sorted(ticks.items())
    for (estimate, _), group in zip(estimates, root.iter("g"), strict=True):
        start, end = map(float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", group[0].get("d")).groups())
        assert start == pytest.approx(at + (estimate["low"] - low) / (high - low) * (until - at), abs=0.1)
        assert end == pytest.approx(at + (estimate["high"] - low) / (high - low) * (until - at), abs=0.1)


def test_a_single_point_has_an_axis_too():
    assert "NaN" not in intervals([({"value": 0.2, "low": 0.2, "high": 0.2}, LOOKS["a"])], "")
