"""Generator filters: conditions on the generator particles of the hard event."""

from collections.abc import Callable

import numpy as np

from mlpf.errors import ConfigError
from mlpf.kinematics import delta_r, pt_eta_phi_from_momentum
from mlpf.simulation.config import FilterConfig, SelectionConfig, SimulationConfig
from mlpf.simulation.particles import GeneratedEvent, Record

Generate = Callable[[int, int, int], GeneratedEvent]


def select(record: Record, selection: SelectionConfig) -> np.ndarray:
    """``(G,) bool``: which entries of the record a selection takes."""
    pt, eta, _ = pt_eta_phi_from_momentum(record.px, record.py, record.pz)
    taken = record.is_last.copy()
    if selection.abs_pdgid:
        taken &= np.isin(np.abs(record.pdgid), selection.abs_pdgid)
    if selection.status != "any":
        taken &= (record.status == 1) == (selection.status == "stable")
    ranges = {"pt": pt, "abs_eta": np.abs(eta), "daughters": record.num_daughters, "charged_daughters": record.num_charged_daughters}
    for quantity, values in ranges.items():
        lowest, highest = getattr(selection, f"min_{quantity}"), getattr(selection, f"max_{quantity}")
        if lowest is not None:
            taken &= values >= lowest
        if highest is not None:
            taken &= values <= highest
    return taken


def passes(record: Record, condition: FilterConfig) -> bool:
    """Whether an event meets one condition."""
    first = np.flatnonzero(select(record, condition))
    number = len(first) if condition.pairs is None else _count_pairs(record, first, condition)
    return condition.min_number <= number and (condition.max_number is None or number <= condition.max_number)


def _count_pairs(record: Record, first: np.ndarray, condition: FilterConfig) -> int:
    pairs = condition.pairs
    assert pairs is not None
    second = first if pairs.partner is None else np.flatnonzero(select(record, pairs.partner))
    _, eta, phi = (np.asarray(values) for values in pt_eta_phi_from_momentum(record.px, record.py, record.pz))
    distance = delta_r(eta[first][:, None], phi[first][:, None], eta[second], phi[second])
    near = distance >= pairs.min_delta_r
    if pairs.max_delta_r is not None:
        near &= distance <= pairs.max_delta_r
    is_new = first[:, None] < second if pairs.partner is None else first[:, None] != second
    return int(np.count_nonzero(near & is_new))


def filtered(generate: Generate, config: SimulationConfig) -> Callable[[int, int], GeneratedEvent]:
    """Generate the event of a seed and a number again and again, until it passes all filters.

    Args:
        generate: seed, number and attempt -> event.

    Raises:
        ConfigError: by what is returned, where no attempt of an event passes; it names the filter that passed least often.
    """

    def event(seed: int, number: int) -> GeneratedEvent:
        passed = np.zeros(len(config.filters), dtype=np.int64)
        for attempt in range(config.max_attempts):
            generated = generate(seed, number, attempt)
            results = [passes(generated.record, condition) for condition in config.filters]
            if all(results):
                return generated._replace(attempts=attempt + 1)
            passed += results
        worst = int(np.argmin(passed))
        description = config.filters[worst].model_dump(exclude_unset=True)
        raise ConfigError(
            f"simulation: event {number}: none of {config.max_attempts} attempts passed the filters; filters.{worst} ({description}) passed "
            f"{passed[worst]} ({passed[worst] / config.max_attempts:.1%}); loosen it or raise max_attempts"
        )

    return event
