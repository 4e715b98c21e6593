import math

import numpy as np
import pydantic
import pytest

from mlpf.errors import ConfigError
from mlpf.simulation.config import FilterConfig, GunConfig, SelectionConfig, SimulationConfig
from mlpf.simulation.generation.filters import filtered, passes
from mlpf.simulation.generation.gun import Gun
from mlpf.simulation.particles import Record
from mlpf.simulation.simulate import event_generator


def random_record(rng, size):
    px, py, pz = rng.normal(0.0, 20.0, (3, size))
    return Record(
        pdgid=rng.choice([-15, 15, 5, -11, 22], size),
        charge=np.zeros(size),
        status=rng.choice([1, 2, 23], size),
        px=px,
        py=py,
        pz=pz,
        energy=np.zeros(size),
        num_daughters=rng.integers(0, 6, size),
        num_charged_daughters=rng.integers(0, 4, size),
        is_last=rng.random(size) < 0.8,
    )


def selected_slowly(record, s):
    """Indices, by the words of the settings' descriptions."""
    found = []
    for i in range(len(record.pdgid)):
        pt = math.hypot(record.px[i], record.py[i])
        abs_eta = abs(math.asinh(record.pz[i] / pt))
        wanted = record.is_last[i] and (not s.abs_pdgid or abs(record.pdgid[i]) in s.abs_pdgid)
        wanted = wanted and (s.status == "any" or (s.status == "stable") == (record.status[i] == 1))
        for value, low, high in (
            (pt, s.min_pt, s.max_pt),
            (abs_eta, s.min_abs_eta, s.max_abs_eta),
            (record.num_daughters[i], s.min_daughters, s.max_daughters),
            (record.num_charged_daughters[i], s.min_charged_daughters, s.max_charged_daughters),
        ):
            wanted = wanted and (low is None or value >= low) and (high is None or value <= high)
        if wanted:
            found.append(i)
    return found


def passes_slowly(record, f):
    first = selected_slowly(record, f)
    number = len(first)
    if f.pairs:
        pairs = set()
        for i in first:
            for j in first if f.pairs.partner is None else selected_slowly(record, f.pairs.partner):
                eta = [math.asinh(record.pz[k] / math.hypot(record.px[k], record.py[k])) for k in (i, j)]
                phi = [math.atan2(record.py[k], record.px[k]) for k in (i, j)]
                turn = abs(phi[0] - phi[1])
                distance = math.hypot(eta[0] - eta[1], min(turn, 2 * math.pi - turn))
                if i != j and distance >= f.pairs.min_delta_r and (f.pairs.max_delta_r is None or distance <= f.pairs.max_delta_r):
                    pairs.add((i, j) if f.pairs.partner else tuple(sorted((i, j))))
        number = len(pairs)
    return number >= f.min_number and (f.max_number is None or number <= f.max_number)


FILTERS = [
    {"abs_pdgid": [15], "min_pt": 10.0},
    {"abs_pdgid": [15, 11], "min_number": 2, "max_number": 4},
    {"status": "stable", "max_pt": 30.0, "min_abs_eta": 1.0, "min_number": 2},
    {"status": "decayed", "max_abs_eta": 0.5, "max_number": 1},
    {"min_daughters": 2, "max_daughters": 4, "min_number": 4},
    {"abs_pdgid": [15], "min_charged_daughters": 3},
    {"abs_pdgid": [15], "max_charged_daughters": 1, "min_number": 2},
    {"abs_pdgid": [15], "pairs": {"max_delta_r": 1.0}},
    {"pairs": {"min_delta_r": 0.3, "max_delta_r": 0.9}, "min_number": 3, "max_number": 8},
    {"abs_pdgid": [15], "pairs": {"partner": {"abs_pdgid": [15, 22], "min_pt": 10.0}, "max_delta_r": 1.2}, "min_number": 2},
    {"abs_pdgid": [11], "pairs": {"max_delta_r": 0.8, "partner": {}}, "min_number": 0, "max_number": 0},
]


@pytest.mark.parametrize("settings", FILTERS, ids=str)
def test_filters_agree_with_a_slow_reading_of_their_description(settings):
    condition, rng = FilterConfig(**settings), np.random.default_rng(1)
    answers = []
    for size in [0, 1, 2] + 60 * [12]:
        record = random_record(rng, size)
        answers.append(passes(record, condition))
        assert answers[-1] == passes_slowly(record, condition)
    assert {True, False} == set(answers)  # else the comparison says little


def test_all_filters_must_hold_and_attempts_are_counted():
    gun = GunConfig(particle=("pi", "gamma"), number=3)
    config = SimulationConfig(process="gun", gun=gun, filters=[{"abs_pdgid": [22], "min_number": 2}, {"abs_pdgid": [211], "max_abs_eta": 2.5}])
    shoot = Gun(config)
    generate = filtered(shoot.event, config)
    attempts = []
    for number in range(200):
        event = generate(1, number)
        attempts.append(event.attempts)
        pion = np.abs(event.record.pdgid) == 211
        assert pion.sum() == 1
        assert abs(np.arcsinh(event.record.pz / np.hypot(event.record.px, event.record.py))[pion]) < 2.5
        earlier = [shoot.event(1, number, attempt).record for attempt in range(event.attempts)]
        assert [all(passes_slowly(record, condition) for condition in config.filters) for record in earlier] == [False] * (event.attempts - 1) + [True]
    assert 200 / sum(attempts) == pytest.approx(3 / 8 / 2, abs=0.04)  # two of three photons, the pion in half of the range


def test_the_first_attempt_is_the_event_without_filters():
    plain = SimulationConfig(process="gun", gun=GunConfig(number=1, max_abs_eta=2.0))
    harmless = plain.model_copy(update={"filters": (FilterConfig(abs_pdgid=(211,)),)})
    for a, b in zip(event_generator(plain)(1, 5).particles, event_generator(harmless)(1, 5).particles, strict=True):
        assert np.array_equal(a, b)


def test_filtered_collisions_do_not_depend_on_what_was_generated_before():
    pytest.importorskip("pythia8mc")
    config = SimulationConfig(filters=[{"abs_pdgid": [11, 13], "status": "stable", "min_pt": 20.0, "max_abs_eta": 2.5}])
    generate = event_generator(config)
    several = [generate(1, number) for number in range(4)]
    assert max(event.attempts for event in several) > 1
    again = event_generator(config)(1, 3)
    assert again.attempts == several[3].attempts
    assert np.array_equal(again.record.energy, several[3].record.energy)


def test_an_impossible_filter_is_named_with_its_efficiency():
    filters = [{"abs_pdgid": [211], "min_pt": 1.0}, {"abs_pdgid": [13]}]
    config = SimulationConfig(process="gun", gun=GunConfig(min_pt=2.0), filters=filters, max_attempts=20)
    with pytest.raises(ConfigError, match=r"event 3: none of 20 attempts passed the filters; filters\.1 \(\{'abs_pdgid': \(13,\)\}\) passed 0 \(0\.0%\)"):
        event_generator(config)(1, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min_pt": 5.0, "max_pt": 1.0}, r"min_pt \(5.0\) must not exceed max_pt"),
        ({"min_number": 0}, "passes every event"),
        ({"pairs": {"min_delta_r": 1.0, "max_delta_r": 0.5}}, "min_delta_r"),
        ({"abs_pdgid": [-15]}, "greater than 0"),
        ({"min_eta": 1.0}, "Extra inputs"),
    ],
)
def test_senseless_filters_are_refused(settings, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        FilterConfig(**settings)


def test_a_selection_of_nothing_in_particular_takes_every_last_copy():
    record = random_record(np.random.default_rng(2), 30)
    assert selected_slowly(record, SelectionConfig()) == np.flatnonzero(record.is_last).tolist()
    assert passes(record, FilterConfig(min_number=int(record.is_last.sum())))
    assert not passes(record, FilterConfig(min_number=int(record.is_last.sum()) + 1))
