import itertools

import numpy as np
import pytest

from mlpf.plotting.summary.systems import look_of_systems, models_of

MODELS = [f"model{i}" for i in range(6)]
SYSTEMS = ["pf", *MODELS, "targets", *(f"{model}_hard" for model in MODELS), "targets_hard"]
WHITE, DARK = "#ffffff", "#16181c"
# Machado, Oliveira, Fernandes 2009, severity 1.0
COLOR_BLIND = {
    "no": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}


def linear(color):
    parts = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(first, second):
    dark, bright = sorted(linear(color) @ [0.2126, 0.7152, 0.0722] + 0.05 for color in (first, second))
    return bright / dark


def cielab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_colour_is_seen_on_white_and_on_a_dark_page():
    for look in look_of_systems(SYSTEMS).values():
        assert min(contrast(look.color, WHITE), contrast(look.color, DARK)) >= 2.5


@pytest.mark.parametrize("blindness", COLOR_BLIND)
def test_rule_based_targets_and_five_models_differ_for_every_eye(blindness):
    colors = [look.color for look in look_of_systems(["pf", "targets", *MODELS[:5]]).values()]
    places = [cielab(COLOR_BLIND[blindness] @ linear(color)) for color in colors]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2)) > 19


def test_no_two_systems_share_marker_or_line_and_colour():
    looks = look_of_systems(SYSTEMS).values()
    assert len({look.marker for look in looks}) == len(SYSTEMS)
    assert len({(look.line, look.color) for look in looks}) == len(SYSTEMS)
    assert len({look.line for look in look_of_systems(["pf", "targets", *MODELS]).values()}) == 8  # gray print


def test_a_look_does_not_depend_on_which_other_systems_are_shown():
    looks = look_of_systems(SYSTEMS)
    assert look_of_systems(["model3", "targets"], MODELS) == {"model3": looks["model3"], "targets": looks["targets"]}


def test_a_system_without_pileup_has_the_colour_of_the_one_with():
    looks = look_of_systems(SYSTEMS)
    assert looks["model2_hard"].color == looks["model2"].color
    assert looks["targets_hard"].color == looks["targets"].color


def test_more_models_than_looks_still_have_one():
    assert len(look_of_systems(["pf", *(str(i) for i in range(20)), "targets"])) == 22


def test_models_are_what_is_neither_rule_based_nor_targets():
    assert models_of(SYSTEMS) == MODELS
