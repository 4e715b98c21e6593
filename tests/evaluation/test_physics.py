import copy
import math

import numpy as np
import pytest

from mlpf.evaluation.document import fill
from mlpf.evaluation.physics import CLASSES, Claim, Measured, Pair, claims, larger, narrower, tables
from mlpf.evaluation.predictor import ALL
from mlpf.evaluation.run import evaluate
from mlpf.io.shards import ShardedDataset


def estimate(value, error=0.01, n=1000):
    return {"value": value, "low": value - error, "high": value + error, "n": n}


def test_a_width_that_is_smaller_by_more_than_asked():
    claim = narrower("", "", Pair(Measured(0.2, 0.002), Measured(0.1, 0.001)), 0.15)
    assert claim.gain.value == pytest.approx(0.5)
    rng = np.random.default_rng(0)  # toys: the ratio's error
    ratios = rng.normal(0.1, 0.001, 100_000) / rng.normal(0.2, 0.002, 100_000)
    assert claim.gain.error == pytest.approx(ratios.std(), rel=0.02)
    assert claim.sigmas == pytest.approx(0.35 / ratios.std(), rel=0.02)


def test_a_fraction_that_is_larger():
    claim = larger("", "", Pair(Measured(0.5, 0.03), Measured(0.6, 0.04)))
    assert claim.gain == pytest.approx((0.1, 0.05))
    assert claim.sigmas == pytest.approx(2.0)
    assert larger("", "", Pair(Measured(0.5, 0.03), Measured(0.4, 0.04))).sigmas == pytest.approx(-2.0)


@pytest.fixture
def evaluated(random_dataset, write_dataset, target_predictor, without_figures, tmp_path):  # noqa: ARG001
    """Parts of `metrics.json` of a model that is exact, and one that is 10 % high, and of rule-based particle flow."""
    dataset = ShardedDataset(write_dataset(random_dataset(300, 40.0)))
    models = {"exact": target_predictor(), "high": target_predictor(scale=1.1)}
    return evaluate(models, {"random": dataset}, tmp_path / "out", split=ALL).metrics["datasets"]["random"]


def points(model):
    row = {"pt": [1.0, 2.0], "fake_rate": estimate(0.5), "efficiency": estimate(0.6), "model": model}
    few = {**row, "efficiency": estimate(0.6, n=3)}
    return {name: [row, few] for name in ("charged_hadron", "photon", "neutral_hadron")}


def widened(entry, factor):
    """With jets and missing momentum of the model whose widths are a multiple of those of rule-based particle flow."""
    entry = copy.deepcopy(entry)
    for system, width, median in (("pf", 0.1, 0.9), ("exact", 0.1 * factor, 0.99)):
        response = entry["jets"][system]["central"]["response"]["pt"]
        response["iqr_over_median"], response["median"] = [estimate(width, 0.001)] * 6, [estimate(median, 0.001)] * 6
    entry["met"]["pf"]["residual"]["all"]["iqr"], entry["met"]["exact"]["residual"]["all"]["iqr"] = estimate(20.0, 0.1), estimate(20.0 * factor, 0.1)
    return entry


@pytest.mark.parametrize(("factor", "holds"), [(0.7, True), (0.86, False), (1.1, False)])
def test_claims_on_widths_hold_where_they_are_clear(evaluated, factor, holds):
    found = claims(widened(evaluated, factor), points(estimate(0.8)), "exact")
    widths = [claim for claim in found if claim.name in ("jet response 15 % narrower", "MET 15 % narrower")]
    assert [claim.where for claim in widths] == ["30-50", "50-80", "80-120", "all"]
    assert all((claim.sigmas > 3.0) == holds for claim in widths)
    closure = [claim for claim in found if "closes" in claim.name]
    assert all(claim.sigmas == pytest.approx(20.0) for claim in closure)  # (.03 - .01) / .001


def test_neutral_particles_are_compared_in_bins_with_enough_of_them(evaluated):
    found = [claim for claim in claims(evaluated, points(estimate(0.8)), "exact") if "same fake rate" in claim.name]
    assert [claim.where for claim in found] == ["1-2", "1-2"]
    assert all(claim.sigmas == pytest.approx(0.2 / math.hypot(0.01, 0.01)) for claim in found)
    lost = [claim for claim in claims(evaluated, points(None), "exact") if "same fake rate" in claim.name]
    assert [claim.sigmas for claim in lost] == [-math.inf] * 2  # too many fakes at any threshold is the worst, not nothing


def test_what_is_undefined_fails_and_shows_as_a_dash(evaluated):
    entry = widened(evaluated, 1.0)
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    entry["jets"]["exact"]["central"]["response"]["pt"]["iqr_over_median"] = [nothing] * 6
    found = [claim for claim in claims(entry, points(None), "exact") if claim.name == "jet response 15 % narrower"]
    assert [claim.sigmas for claim in found] == [-math.inf] * 3
    blocks = tables({"one": entry}, {"one": points(None)}, "exact")
    assert "nan" not in "".join(blocks.values())
    assert "| jet response 15 % narrower | 0 of 3, 3 against; least -inf σ" in blocks["verdict"]


def test_not_worse_leaves_a_margin(evaluated):
    same = Pair(Measured(0.9, 0.001), Measured(0.9, 0.001))
    assert larger("", "", same, margin=0.01).sigmas == pytest.approx(0.01 / math.hypot(0.001, 0.001))
    assert narrower("", "", same, -0.02).sigmas == pytest.approx(0.02 * 0.9 / math.hypot(0.001, 0.001))
    names = {claim.name for claim in claims(widened(evaluated, 1.0), points(None), "exact")}
    assert {"jets: matched not smaller by 0.01", "charged hadrons: pt not 2 % wider than the tracks'"} <= names


def test_with_pileup_there_are_no_claims_on_jets_and_missing_momentum(evaluated):
    entry = {**evaluated, "jets": {**evaluated["jets"], "exact_hard": evaluated["jets"]["exact"], "targets_hard": evaluated["jets"]["targets"]}}
    entry["met"] = {**evaluated["met"], "exact_hard": evaluated["met"]["exact"], "targets_hard": evaluated["met"]["targets"]}
    assert not [claim for claim in claims(entry, points(estimate(0.8)), "exact") if "jet" in claim.name or "MET" in claim.name]
    assert tables({"one": entry}, {"one": points(None)}, "exact")["pileup"].count("pileup removed") == 2


def test_tables_have_a_row_for_every_sample_and_bin_and_fill_a_document(evaluated):
    blocks = tables({"one": evaluated, "two": evaluated}, {"one": points(estimate(0.8)), "two": points(None)}, "high")
    header, line, *rows = blocks["particles"].splitlines()
    assert line.count("---") == header.count(" | ") + 1
    assert len(rows) == 2 * (len(CLASSES) + 2)
    assert all(row.count(" | ") == header.count(" | ") for row in rows)
    shown = fill("".join(f"<!-- measured: {name} -->\n<!-- end -->\n" for name in blocks), blocks, "a.md")
    assert shown.count("| sample |") == len(blocks) - 1
    assert "nan" not in shown


def test_a_verdict_names_the_worst_bin(evaluated, monkeypatch):
    one = Measured(1.0, 0.1)
    own = [Claim("a", "low", Pair(one, one), one, 5.0), Claim("a", "high", Pair(one, one), one, -4.0)]
    monkeypatch.setattr("mlpf.evaluation.physics.claims", lambda *_: own)
    verdict = tables({"one": evaluated}, {"one": points(None)}, "exact")["verdict"]
    assert verdict.splitlines()[-1] == "| a | 1 of 2, 1 against; least -4.0 σ (high) |"
