import json

import numpy as np
import pydantic
import pytest

from mlpf.config import load_parameters, parse_section
from mlpf.errors import ConfigError
from mlpf.samples.split import SPLITS, SplitConfig, fold_index, split_index, uniform_hash

EVENT = np.arange(100_000)
ONE = np.ones_like(EVENT)


def splitmix64_in_plain_integers(x):
    """The published algorithm with Python's unbounded integers."""
    wrap = 2**64 - 1
    x = (x + 0x9E3779B97F4A7C15) & wrap
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & wrap
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & wrap
    return x ^ (x >> 31)


def test_the_first_output_of_splitmix64_from_seed_zero_is_the_published_one():
    assert splitmix64_in_plain_integers(0) == 0xE220A8397B1DCDAF  # the oracle itself, against Vigna's reference implementation


def test_the_hash_equals_the_algorithm_in_plain_integers():
    run, lumi, event = [1, 380_000, 2**32 - 1], [0, 77, 2**32 - 1], [1, 123_456_789_012, 2**63 - 1]
    expected = []
    for r, luminosity, e in zip(run, lumi, event, strict=True):
        state = 5
        for value in (r, luminosity, e):
            state = splitmix64_in_plain_integers(state ^ value)
        expected.append((state >> 11) / 2**53)
    np.testing.assert_array_equal(uniform_hash(np.array(run), np.array(lumi), np.array(event), seed=5), expected)


def test_the_hash_is_uniform_and_consecutive_events_are_independent():
    u = uniform_hash(ONE, ONE, EVENT)
    assert 0.0 <= u.min() < u.max() < 1.0
    counts = np.bincount((u * 20).astype(int), minlength=20)
    assert ((counts - 5000) ** 2 / 5000).sum() < 43.8  # chi2 with 19 degrees of freedom, p = 0.001
    assert abs(np.corrcoef(u[1:], u[:-1])[0, 1]) < 4 / np.sqrt(len(u))


def test_fractions_come_out_as_asked():
    shares = np.bincount(split_index(ONE, ONE, EVENT, SplitConfig(train=0.7, validation=0.2, test=0.1)), minlength=3) / len(EVENT)
    np.testing.assert_allclose(shares, [0.7, 0.2, 0.1], atol=0.005)


def test_an_event_keeps_its_split_in_any_order_and_company():
    config = SplitConfig()
    split = split_index(ONE, ONE, EVENT, config)
    order = np.random.default_rng(0).permutation(len(EVENT))[:1000]
    np.testing.assert_array_equal(split_index(ONE[order], ONE[order], EVENT[order], config), split[order])
    assert split_index(ONE[:1], ONE[:1], EVENT[7:8], config)[0] == split[7]


@pytest.mark.parametrize("changed", ["run", "lumi", "event", "seed"])
def test_every_part_of_the_identity_matters(changed):
    identity = {"run": ONE, "lumi": ONE, "event": EVENT}
    other = {name: values + (name == changed) for name, values in identity.items()}
    equal = uniform_hash(**identity) == uniform_hash(**other, seed=int(changed == "seed"))
    assert equal.mean() < 0.001


def test_all_events_can_go_to_one_split():
    assert set(split_index(ONE, ONE, EVENT, SplitConfig(train=0.0, validation=0.0, test=1.0))) == {SPLITS.index("test")}


def test_no_events_have_no_splits():
    nothing = np.zeros(0, dtype=np.int64)
    assert split_index(nothing, nothing, nothing, SplitConfig()).shape == (0,)


def test_fractions_that_do_not_sum_to_one_are_refused():
    with pytest.raises(pydantic.ValidationError, match="sum to 1"):
        SplitConfig(train=0.8, validation=0.3, test=0.1)
    with pytest.raises(ConfigError, match=r"training: split: .*sum to 1"):
        from mlpf.training.config import TrainingConfig

        parse_section({"training": {"split": {"train": 0.5}}}, "training", TrainingConfig)


@pytest.mark.parametrize("folds", [3, 5, 7])
def test_every_event_is_in_the_test_of_one_fold_in_the_validation_of_another_and_trains_all_others(folds):
    splits = np.stack([split_index(ONE, ONE, EVENT, SplitConfig(folds=folds, fold=fold)) for fold in range(folds)])
    for name, times in {"test": 1, "validation": 1, "train": folds - 2}.items():
        assert ((splits == SPLITS.index(name)).sum(axis=0) == times).all()


def test_the_test_is_the_fold_and_the_validation_the_next_one_around_the_circle():
    fold = fold_index(ONE, ONE, EVENT, SplitConfig(folds=4))
    for test, validation in [(0, 1), (1, 2), (2, 3), (3, 0)]:
        split = split_index(ONE, ONE, EVENT, SplitConfig(folds=4, fold=test))
        np.testing.assert_array_equal(split == SPLITS.index("test"), fold == test)
        np.testing.assert_array_equal(split == SPLITS.index("validation"), fold == validation)


@pytest.mark.parametrize("folds", [3, 10])
def test_folds_are_equal_within_statistics(folds):
    counts = np.bincount(fold_index(ONE, ONE, EVENT, SplitConfig(folds=folds, seed=2)), minlength=folds)
    expected = len(EVENT) / folds
    assert len(counts) == folds
    assert ((counts - expected) ** 2 / expected).sum() < {3: 13.8, 10: 27.9}[folds]  # chi2 with folds - 1 degrees of freedom, p = 0.001


def test_the_fold_of_an_event_follows_from_its_hash_and_nothing_else():
    config = SplitConfig(folds=5, seed=3)
    fold = fold_index(ONE, ONE, EVENT, config)
    np.testing.assert_array_equal(fold, np.floor(uniform_hash(ONE, ONE, EVENT, seed=3) * 5))
    order = np.random.default_rng(0).permutation(len(EVENT))[:1000]
    np.testing.assert_array_equal(fold_index(ONE[order], ONE[order], EVENT[order], config), fold[order])
    np.testing.assert_array_equal(fold_index(ONE, ONE, EVENT, SplitConfig(folds=5, seed=3, fold=4)), fold)
    other_seed = fold_index(ONE, ONE, EVENT, SplitConfig(folds=5, seed=4))
    assert (other_seed == fold).mean() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("folds", [3, 5, 7, 9, 1000, 1025])
def test_the_largest_hash_is_in_the_last_fold(folds, monkeypatch):
    monkeypatch.setattr("mlpf.samples.split.uniform_hash", lambda *_: np.array([0.0, 1.0 - 2.0**-53]))
    assert fold_index(ONE, ONE, EVENT, SplitConfig(folds=folds)).tolist() == [0, folds - 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"folds": 2}, "greater than or equal to 3"),
        ({"folds": 3, "fold": 3}, "fold 3 of 3 does not exist; choose 0 to 2"),
        ({"folds": 3, "fold": -1}, "greater than or equal to 0"),
        ({"fold": 1}, "fold 1 of how many"),
        ({"fold": 1, "train": 0.6, "validation": 0.2, "test": 0.2}, "fold 1 of how many"),
    ],
)
def test_folds_that_make_no_sense_are_refused(values, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        SplitConfig(**values)


def test_what_is_written_down_without_folds_is_what_it_was_before_there_were_any():
    before = {"train": 0.7, "validation": 0.2, "test": 0.1, "seed": 4}
    config = SplitConfig.model_validate(before)
    assert config.model_dump(mode="json") == before
    assert json.loads(config.model_dump_json()) == before
    assert (config.folds, config.fold) == (None, 0)


def test_folds_go_through_json():
    config = SplitConfig(folds=5, fold=2, seed=7)
    assert json.loads(config.model_dump_json()) == {"seed": 7, "folds": 5, "fold": 2}  # no fractions, which would say what is not so
    assert SplitConfig.model_validate_json(config.model_dump_json()) == config


def test_folds_take_the_place_of_fractions():
    assert SplitConfig(folds=5, train=0.6, validation=0.2, test=0.2) == SplitConfig(folds=5)


def test_folds_can_be_chosen_on_the_command_line(repository):
    from mlpf.training.config import run_parameters

    values = load_parameters(repository / "parameters" / "tiny.yaml", ["training.split.folds=3", "training.split.fold=1"])
    assert set(values["training"]["split"]) >= {"train", "folds"}  # the file has fractions
    parameters = run_parameters(values)
    assert parameters.training.split == SplitConfig(folds=3, fold=1)
    assert run_parameters(parameters.resolved()) == parameters
    with pytest.raises(ConfigError, match=r"training: split: .*fold 3 of 3 does not exist"):
        run_parameters(load_parameters(None, ["training.split.folds=3", "training.split.fold=3"]))
