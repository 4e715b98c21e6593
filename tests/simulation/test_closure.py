import numpy as np
import pytest

from mlpf.simulation.calorimeter import geometry as g
from mlpf.simulation.closure import EnergyBudget, energy_budget, generated_energy
from mlpf.simulation.config import GunConfig, PileupConfig, SimulationConfig
from mlpf.simulation.detector import detect
from mlpf.simulation.event_columns import event_columns
from mlpf.simulation.simulate import event_generator


def detected(number, seed=1, **config):
    generate = event_generator(SimulationConfig(**config))
    return [detect(generate(seed, event), np.random.default_rng([seed, event])) for event in range(number)]


def budgets(events):
    return EnergyBudget(*np.sum([energy_budget(event) for event in events], axis=0))


@pytest.fixture(scope="module")
def ttbar():
    pytest.importorskip("pythia8mc")
    return detected(5, process="ttbar")


def test_the_items_add_up_to_the_energy_of_the_collisions(ttbar):
    for event in ttbar:
        budget = energy_budget(event)
        assert budget.accounted == pytest.approx(generated_energy(event.flights), rel=1e-9)
        record = event.generated.record
        assert generated_energy(event.flights) == pytest.approx(record.energy[record.status == 1].sum(), rel=1e-6)


def test_the_items_add_up_with_pileup_too():
    pytest.importorskip("pythia8mc")
    for event in detected(2, process="ttbar", pileup=PileupConfig(min_number=5, max_number=5, pool_size=100)):
        assert energy_budget(event).accounted == pytest.approx(generated_energy(event.flights), rel=1e-9)


def test_no_item_but_masses_fluctuations_and_noise_is_negative(ttbar):
    budget = budgets(ttbar)
    either_sign = ("rest_mass", "tracker", "fluctuations", "noise")
    assert all(value >= 0 for name, value in budget._asdict().items() if name not in either_sign)
    assert budget.unreached > 0.5 * budget.accounted  # most of a collision's energy stays in the beam pipe
    assert abs(budget.fluctuations) < 0.02 * budget.accounted


def test_measured_energy_is_that_of_the_elements(ttbar):
    event = ttbar[0]
    columns = event_columns(event, 1, 0, np.random.default_rng(1))
    counts = np.isin(columns["element_layer"], (g.LAYER_EB, g.LAYER_EE, g.LAYER_HB, g.LAYER_HE, g.LAYER_HO, g.LAYER_HFEM, g.LAYER_HFHAD))
    assert energy_budget(event).measured == pytest.approx(columns["element_energy"][counts].sum(dtype=float), rel=1e-6)


def test_the_tracker_keeps_what_the_flights_say_but_for_masses_of_decays(ttbar):
    for event in ttbar:
        assert energy_budget(event).tracker == pytest.approx(event.flights.swallowed.sum(), abs=0.01 * energy_budget(event).clustered)


@pytest.mark.parametrize(("particle", "largest"), [("gamma", "clustered"), ("K0L", "clustered"), ("mu", "muons")])
def test_energies_of_guns_go_where_they_should(particle, largest):
    gun = GunConfig(particle=particle, number=40, min_pt=20.0, max_pt=20.0, max_abs_eta=2.8)
    events = detected(20, process="gun", gun=gun)
    budget = budgets(events)
    assert budget.accounted == pytest.approx(sum(generated_energy(event.flights) for event in events), rel=1e-9)
    assert max(budget._asdict(), key=budget._asdict().get) == largest
    assert budget.neutrinos < 0.01 * budget.accounted
    if particle == "K0L":
        assert budget.invisible / budget.accounted == pytest.approx(0.22, abs=0.03)  # 1 - (0.82 - 0.47 E^-0.7) at 20 to 160 GeV
        assert abs(budget.fluctuations) < 4 * 0.25 * budget.accounted / np.sqrt(800)
    if particle == "gamma":
        assert budget.clustered > 0.9 * budget.accounted
        assert abs(budget.invisible) < 0.01 * budget.accounted  # few photons make hadrons


def test_an_event_without_particles_has_noise_only():
    budget = budgets(detected(5, process="gun", gun=GunConfig(number=0)))
    assert budget.accounted == 0.0
    assert budget.measured == budget.noise >= 0.0
