import numpy as np
import pytest

from mlpf.events import Events
from mlpf.hashes import event_marks
from mlpf.postprocess import CaloParticlePolicy, postprocess_events
from mlpf.postprocess.duplicates import NO_MARKS, Twin, find_twins, repeated_numbers
from mlpf.testing import random_events


def rows(seed=1, num_events=30, **changes):
    made, _ = postprocess_events(random_events(np.random.default_rng(seed), num_events, 20), CaloParticlePolicy())
    return made.with_columns(changes)


def brute_force(marks):
    """The first event of each source that an earlier, kept event equals."""
    twins, kept = {}, {}
    for source, events in marks.items():
        mine = {}
        for entry, mark in enumerate(map(tuple, events.tolist())):
            older = kept.get(mark, mine.get(mark))
            if mark[1] and older is not None:
                twins[source] = Twin(entry, *older)
                break
            mine.setdefault(mark, (source, entry))
        else:
            kept |= {mark: place for mark, place in mine.items() if mark not in kept}
    return twins


@pytest.mark.parametrize("seed", range(40))
def test_twins_are_those_of_a_search_through_all_events(seed):
    rng = np.random.default_rng(seed)
    marks = {7 * i: rng.integers(0, 12 + 4 * seed, (int(rng.integers(0, 9)), 2)).astype(np.uint64) for i in range(8)}
    assert find_twins(marks) == brute_force(marks)
    numbers = [number for mark in marks.values() for number in mark[:, 0].tolist()]
    assert repeated_numbers(marks) == len(numbers) - len(set(numbers))


def test_without_events_there_are_no_twins():
    assert find_twins({}) == find_twins({3: NO_MARKS}) == {}
    assert repeated_numbers({}) == 0


def test_marks_tell_events_apart_by_each_number_and_by_their_elements():
    events = rows()
    marks = event_marks(events)
    for name in ("run", "lumi", "event"):
        changed = event_marks(events.with_columns({name: events[name] + 1}))
        assert not (changed[:, 0] == marks[:, 0]).any()
        np.testing.assert_array_equal(changed[:, 1], marks[:, 1])
    energy = events["element_energy"].copy()
    energy[events.offsets["element"][5]] *= 1.001
    changed = event_marks(events.with_columns({"element_energy": energy}))
    assert np.flatnonzero((changed != marks).any(axis=1)).tolist() == [5]


def test_swapped_numbers_are_other_numbers():
    swapped = {"run": np.full(30, 3), "lumi": np.full(30, 2), "event": np.full(30, 1)}
    marks = [event_marks(rows(run=swapped[a], lumi=swapped[b], event=swapped[c]))[0, 0] for a, b, c in (("run", "lumi", "event"), ("lumi", "run", "event"))]
    assert marks[0] != marks[1]


def test_events_without_elements_are_nobodys_twins():
    empty = Events({name: np.ones(3) for name in ("run", "lumi", "event")} | {"element_energy": []}, {"element": [0, 0, 0, 0]}, 3)
    marks = event_marks(empty)
    assert find_twins({0: marks, 1: marks}) == {}
    assert repeated_numbers({0: marks}) == 2


def test_the_marks_of_a_million_events_take_16_bytes_each():
    marks = np.random.default_rng(1).integers(0, 2**63, (1_000_000, 2)).astype(np.uint64)
    assert marks.nbytes == 16_000_000
    twins = find_twins({0: marks, 1: np.concatenate([marks[:10] + np.uint64(1), marks[-1:]])})
    assert twins == {1: Twin(10, 0, 999_999)}
