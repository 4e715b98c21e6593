"""All metrics again, as slow readable loops over toys (`toy_particles`), and the comparison with what `mlpf.metrics.summary.Metrics` says.

Nothing here knows how the library computes them. A number is made from its entries at the very end: `Fraction`, `Spread` and `Mean` hold the entries.
"""

import functools
import itertools
import math
from dataclasses import dataclass

import fastjet
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog
from scipy.stats import binomtest
from toy_particles import GSF, Particle, classes, wrapped

CHARGED_CLASSES = (211, 11, 13)
CLASS_ORDER = (0, 211, 130, 1, 2, 22, 11, 13, 15)
COVERAGE = math.erf(math.sqrt(0.5))


@functools.cache
def clopper_pearson(passed, total):
    """68 % interval of a fraction."""
    interval = binomtest(passed, total).proportion_ci(COVERAGE, "exact")
    return interval.low, interval.high


@dataclass
class Fraction:
    """Entries are booleans."""

    entries: list

    def check(self, said, where, fineness):  # noqa: ARG002
        passed, total = sum(self.entries), len(self.entries)
        assert said["n"] == total, f"{where}: {said['n']} entries, {total} expected"
        if not total:
            assert said["value"] is said["low"] is said["high"] is None, where
            return
        expected = (passed / total, *clopper_pearson(passed, total))
        assert max(abs(said[name] - x) for name, x in zip(("value", "low", "high"), expected, strict=True)) < 1e-9, where


@dataclass
class Mean:
    """Entries are numbers."""

    entries: list

    def check(self, said, where, fineness):  # noqa: ARG002
        assert said["n"] == len(self.entries), where
        if len(self.entries) > 1:
            value, error = np.mean(self.entries), np.std(self.entries, ddof=1) / math.sqrt(len(self.entries))
            expected = (value, value - error, value + error)
            assert (said["value"], said["low"], said["high"]) == pytest.approx(expected, rel=1e-5, abs=1e-6), where


@dataclass
class Spread:
    """Entries are numbers; of each summary of them one number, or one per bin."""

    entries: list
    ratio: bool = True

    def names(self):
        return ("median", "iqr", "iqr_over_median", "tails") if self.ratio else ("median", "iqr", "tails")

    def check(self, said, where, fineness):
        n = len(self.entries)
        assert {said[name]["n"] for name in self.names()} == {n}, f"{where}: {said}, {n} entries expected"
        if n == 0:
            assert said["median"]["value"] is None, where
            return
        p25, median, p75 = (float(np.quantile(self.entries, q)) for q in (0.25, 0.5, 0.75))
        values, width = {"median": median, "iqr": p75 - p25, "iqr_over_median": (p75 - p25) / median if median else None}, p75 - p25
        for name in self.names()[:-1] if n > 1 else ("median",):
            if values[name] is not None:
                assert said[name]["value"] == pytest.approx(values[name], abs=fineness(where, self.entries)), f"{where} {name}"
            if n >= 5 and said[name]["low"] is not None:
                assert said[name]["low"] - 1e-9 <= said[name]["high"], where
        if n > 1:
            self._check_tails(said["tails"], median, width, where, fineness)

    def _check_tails(self, said, median, width, where, fineness):
        """Tails lie between those of a slightly larger and a slightly smaller cut."""
        blur = 8 * fineness(where, self.entries)
        least, most = (sum(abs(x - median) > 3 * width + shift for x in self.entries) for shift in (blur, -blur))
        assert least / len(self.entries) - 1e-9 <= said["value"] <= most / len(self.entries) + 1e-9, f"{where} tails"


def compare(said, expected, where, fineness):
    """Check every number of ``expected`` in ``said``, and return how many there are.

    Args:
        said: results, as they go to JSON.
        expected: nested dictionaries of `Fraction`, `Spread`, `Mean`, plain numbers, and lists of one per bin; what is under "" lies beside the other keys.
        where: the place, for messages.
        fineness: (place, entries) -> how far one of their quantiles may be off.
    """
    if isinstance(expected, dict):
        for name in expected:
            assert not name or name in said, f"{where}: no {name}, only {list(said)}"
        return sum(compare(said[name] if name else said, value, f"{where} {name}", fineness) for name, value in expected.items())
    if isinstance(expected, list) and isinstance(expected[0], Spread):
        parts = [{name: said[name][i] for name in one.names()} for i, one in enumerate(expected)]
        return sum(compare(part, one, f"{where} bin {i}", fineness) for i, (part, one) in enumerate(zip(parts, expected, strict=True)))
    if isinstance(expected, list) and isinstance(expected[0], Fraction | Mean):
        return sum(compare(part, one, f"{where} bin {i}", fineness) for i, (part, one) in enumerate(zip(said, expected, strict=True)))
    if isinstance(expected, Fraction | Mean | Spread):
        expected.check(said, where, fineness)
    else:
        assert said == expected, where
    return 1


def binned(make, entries, edges):
    """``make`` of the values whose x falls into each bin; entries are (x, value)."""
    return [make([value for x, value in entries if low <= x < high]) for low, high in itertools.pairwise(edges)]


def particles_of(event, system):
    """[(position of the element, particle)] of a system."""
    hard = system.endswith("_hard")
    name = {"pf": "rule_based", "targets": "target"}.get(system.removesuffix("_hard"), "model")
    found = [(i, getattr(element, name)) for i, element in enumerate(event.elements)]
    return [(i, p) for i, p in found if p is not None and not (hard and p.pileup > 0.5)]


def delta_r(a, b):
    return math.hypot(a.eta - b.eta, wrapped(a.phi - b.phi))


def assignment(truths, candidates, allowed):
    """One to one: as many allowed pairs as possible and, among those, the least sum of sqrt((dpt/pt)^2 + dR^2)."""
    if not truths or not candidates:
        return {}
    cost = np.full((len(truths), len(candidates)), 1e6)
    for (i, (_, t)), (j, (_, c)) in itertools.product(enumerate(truths), enumerate(candidates)):
        if allowed(t, c):
            cost[i, j] = math.hypot((c.pt - t.pt) / t.pt, delta_r(t, c))
    rows, columns = linear_sum_assignment(cost)
    return {truths[i][0]: candidates[j] for i, j in zip(rows, columns, strict=True) if cost[i, j] < 1e6}


def assignment_by_permutation(truths, candidates, allowed):
    """As `assignment`, trying every possibility: for a handful of particles."""
    best, best_key = {}, (0, 0.0)
    places = [*range(len(candidates)), *[None] * len(truths)]
    for chosen in set(itertools.permutations(places, len(truths))):
        pairs = [(t, candidates[j]) for t, j in zip(truths, chosen, strict=True) if j is not None and allowed(t[1], candidates[j][1])]
        key = (-len(pairs), sum(math.hypot((c.pt - t.pt) / t.pt, delta_r(t, c)) for (_, t), (_, c) in pairs))
        if key < best_key:
            best, best_key = {t[0]: c for t, c in pairs}, key
    return best


def allowed_response(t, c):
    return 0.2 < c.pt / t.pt < 5


def match(event, system):
    """{element of the target: (element of the candidate, candidate)}: charged ones on their own track, neutral ones one to one nearby.

    An electron has two elements, a track and a GSF: where target and candidate chose different ones, what is left is matched as neutral ones are.
    """
    truths, found = particles_of(event, "targets"), particles_of(event, system)
    charged_truths, charged = ([(i, p) for i, p in side if p.category in CHARGED_CLASSES] for side in (truths, found))
    at = dict(charged)
    matched = {i: (i, at[i]) for i, t in charged_truths if i in at and allowed_response(t, at[i])}

    def near(t, c):
        return delta_r(t, c) < 0.15 and allowed_response(t, c)

    for on_gsf in (True, False):
        left = [(i, t) for i, t in charged_truths if i not in matched and (event.elements[i].kind == GSF) == on_gsf]
        taken = {c[0] for c in matched.values()}
        matched |= assignment(left, [(i, c) for i, c in charged if i not in taken and (event.elements[i].kind == GSF) != on_gsf], near)
    neutral_truths, neutral = ([(i, p) for i, p in side if p.category not in CHARGED_CLASSES] for side in (truths, found))
    return matched | assignment(neutral_truths, neutral, near)


def element_numbers(events, system, bins):
    """Per element: equality of the classes."""
    pairs = []
    for event in events:
        truth, found = dict(particles_of(event, "targets")), dict(particles_of(event, system))
        pairs += [(truth.get(i), found.get(i)) for i in range(len(event.elements))]
    none = Particle(0, 0.0, 0.0, 0.0)
    pairs = [(t or none, c or none) for t, c in pairs]
    efficiency, fake_rate = {}, {}
    for name, category in classes().items():
        efficiency[name] = _fractions([(t, c.category == category) for t, c in pairs if t.category == category], bins)
        fake_rate[name] = _fractions([(c, t.category != category) for t, c in pairs if c.category == category], bins)
    efficiency["any"] = {"all": Fraction([c.category != 0 for t, c in pairs if t.category])}
    fake_rate["any"] = {"all": Fraction([t.category == 0 for t, c in pairs if c.category])}
    confusion = [[sum((t.category, c.category) == (row, column) for t, c in pairs) for column in CLASS_ORDER] for row in CLASS_ORDER]
    return {"efficiency": efficiency, "fake_rate": fake_rate, "confusion": confusion}


def _fractions(entries, bins, collisions=None):
    """Entries are (particle, passed)."""
    numbers = {"all": Fraction([passed for _, passed in entries])}
    for variable in ("pt", "eta"):
        numbers[variable] = binned(Fraction, [(getattr(p, variable), passed) for p, passed in entries], bins[f"particle_{variable}"])
    if collisions is not None:
        numbers["vertices"] = binned(Fraction, [(n, passed) for n, (_, passed) in zip(collisions, entries, strict=True)], bins["vertices"])
    return numbers


def has_collisions(events):
    return any((event.num_pileup or 0) > 0 for event in events)


def particle_numbers(events, system, bins):
    """Per particle: one-to-one matching, efficiencies, fakes and residuals."""
    truths, found = [], []  # (number of collisions, target, candidate or None); (number of collisions, candidate, is matched, target of its element or None)
    for event in events:
        matched, n = match(event, system), -1 if event.num_pileup is None else event.num_pileup
        taken = {c[0] for c in matched.values()}
        truths += [(n, t, matched[i][1] if i in matched else None) for i, t in particles_of(event, "targets")]
        target_at = dict(particles_of(event, "targets"))
        found += [(n, c, i in taken, target_at.get(i)) for i, c in particles_of(event, system)]
    numbers = {"efficiency": {}, "fake_rate": {}, "right_class": {}, "residuals": {}}
    pileup_known = any(t.pileup > 0.5 for _, t, _ in truths)
    for name, category in classes().items():
        of_class = [entry for entry in truths if entry[1].category == category]
        pairs = [entry for entry in of_class if entry[2]]
        fakes = [entry for entry in found if entry[1].category == category]
        for kind, entries, passed in (
            ("efficiency", of_class, lambda entry: entry[2] is not None),
            ("fake_rate", fakes, lambda entry: not entry[2]),
            ("right_class", pairs, lambda entry: entry[2].category == entry[1].category),
        ):
            collisions = [entry[0] for entry in entries] if has_collisions(events) and kind != "right_class" else None
            numbers[kind][name] = _fractions([(entry[1], passed(entry)) for entry in entries], bins, collisions)
        if pileup_known:
            numbers["efficiency"][name]["hard"] = Fraction([c is not None for _, t, c in of_class if t.pileup <= 0.5])
            numbers["efficiency"][name]["pileup"] = Fraction([c is not None for _, t, c in of_class if t.pileup > 0.5])
            numbers["fake_rate"][name]["hard"] = Fraction([not is_matched for _, _, is_matched, t in fakes if t and t.pileup <= 0.5])
            numbers["fake_rate"][name]["pileup"] = Fraction([not is_matched for _, _, is_matched, t in fakes if t and t.pileup > 0.5])
        numbers["residuals"][name] = _residuals(pairs, bins, has_collisions(events))
    return numbers


def _residuals(pairs, bins, with_collisions):
    numbers = {}
    for name, residual in (
        ("pt_response", lambda t, c: c.pt / t.pt),
        ("energy_response", lambda t, c: c.energy / t.energy),
        ("delta_eta", lambda t, c: c.eta - t.eta),
        ("delta_phi", lambda t, c: wrapped(c.phi - t.phi)),
    ):
        is_response = name.endswith("response")
        values = [(n, t, residual(t, c)) for n, t, c in pairs]
        entries = {"": Spread([value for _, _, value in values], is_response)}
        entries["pt"] = binned(lambda inside, ratio=is_response: Spread(inside, ratio), [(t.pt, value) for _, t, value in values], bins["particle_pt"])
        if is_response:
            entries["eta"] = binned(Spread, [(t.eta, value) for _, t, value in values], bins["particle_eta"])
            entries["histogram"] = _histogram([value for _, _, value in values], bins["response"])
            if with_collisions:
                entries["vertices"] = binned(Spread, [(n, value) for n, _, value in values], bins["vertices"])
        numbers[name] = entries
    return numbers


def _histogram(values, edges):
    return [sum(low <= value < high for value in values) for low, high in itertools.pairwise(edges)]


def cluster(particles):
    """Anti-kt 0.4 jets above 3 GeV by fastjet, of `Particle`, as (pt, eta, phi, mass)."""
    momenta = [fastjet.PseudoJet(p.pt * math.cos(p.phi), p.pt * math.sin(p.phi), p.pt * math.sinh(p.eta), p.energy) for p in particles if p.pt > 0]
    sequence = fastjet.ClusterSequence(momenta, fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4))
    jets = []
    for jet in fastjet.sorted_by_pt(sequence.inclusive_jets(3.0)):
        found = Particle(0, jet.pt(), math.asinh(jet.pz() / jet.pt()), wrapped(jet.phi()), jet.e())
        jets.append(found)
    return jets


def mass(jet):
    return math.sqrt(max(jet.energy**2 - (jet.pt * math.cosh(jet.eta)) ** 2, 0.0))


def unique_matches(truths, found, max_delta_r):
    """{index of the truth: index of the jet}: the closest pair first, each jet at most once."""
    pairs = sorted((delta_r(t, f), i, j) for i, t in enumerate(truths) for j, f in enumerate(found))
    matched = {}
    for distance, i, j in pairs:
        if distance < max_delta_r and i not in matched and j not in matched.values():
            matched[i] = j
    return matched


REGIONS = {"central": lambda jet: abs(jet.eta) < 2.5, "forward": lambda jet: 2.5 <= abs(jet.eta) < 5}


def jet_numbers(events, system, bins):
    """Jets of a system against the generated ones."""
    truths, found = [], []  # (collisions, jet, partner within 0.1, partner within 0.2), (collisions, jet, is matched)
    for event in events:
        jets, n = cluster([p for _, p in particles_of(event, system)]), -1 if event.num_pileup is None else event.num_pileup
        near, wide = (unique_matches(event.genjets, jets, cut) for cut in (0.1, 0.2))
        truths += [(n, jet, jets[near[i]] if i in near else None, i in wide) for i, jet in enumerate(event.genjets)]
        found += [(n, jet, j in near.values()) for j, jet in enumerate(jets)]
    return {region: _jets_of_region(truths, found, inside, bins, has_collisions(events)) for region, inside in REGIONS.items()}


def _jets_of_region(truths, found, inside, bins, with_collisions):
    truths = [entry for entry in truths if entry[1].pt > 20 and inside(entry[1])]
    found = [entry for entry in found if entry[1].pt > 20 and inside(entry[1])]
    matched = [(n, jet, partner) for n, jet, partner, _ in truths if partner]
    responses = {
        "response": [(n, jet, partner.pt / jet.pt) for n, jet, partner in matched],
        "mass_response": [(n, jet, mass(partner) / mass(jet)) for n, jet, partner in matched if mass(jet) > 1],
    }
    fractions = {
        "matched": [(n, jet, partner is not None) for n, jet, partner, _ in truths],
        "matched_wide": [(n, jet, wide) for n, jet, _, wide in truths],
        "purity": found,
    }
    numbers = {
        name: {"all": Spread([v for *_, v in entries]), "histogram": _histogram([v for *_, v in entries], bins["response"])}
        for name, entries in responses.items()
    }
    numbers |= {name: {"all": Fraction([passed for *_, passed in entries])} for name, entries in fractions.items()}
    for name, entries in (responses | fractions).items():
        make = Spread if name in responses else Fraction
        for variable in ("pt", "eta"):
            numbers[name][variable] = binned(make, [(getattr(jet, variable), value) for _, jet, value in entries], bins[f"jet_{variable}"])
        if with_collisions:
            numbers[name]["vertices"] = binned(make, [(n, value) for n, _, value in entries], bins["vertices"])
    return numbers


def met_numbers(events, system, bins):
    """Missing transverse momentum and HT."""
    residuals, ratios, ht_ratios = [], [], []  # (true MET, collisions, value)
    for event in events:
        particles, (true, phi), n = [p for _, p in particles_of(event, system)], event.met, -1 if event.num_pileup is None else event.num_pileup
        x, y = (-math.fsum(p.pt * direction(p.phi) for p in particles) for direction in (math.cos, math.sin))
        residuals += [(true, n, x - true * math.cos(phi)), (true, n, y - true * math.sin(phi))]
        if true > 10:
            ratios.append((true, n, math.hypot(x, y) / true))
        true_ht, ht = (sum(jet.pt for jet in jets if jet.pt > 30 and abs(jet.eta) < 2.5) for jets in (event.genjets, cluster(particles)))
        if true_ht:
            ht_ratios.append((true, n, ht / true_ht))
    numbers = {"ht_ratio": Spread([value for *_, value in ht_ratios])}
    for name, entries, ratio in (("residual", residuals, False), ("ratio", ratios, True)):

        def make(inside, ratio=ratio):
            return Spread(inside, ratio)

        numbers[name] = {"all": make([v for *_, v in entries]), "genmet": binned(make, [(true, v) for true, _, v in entries], bins["met"])}
        if has_collisions(events):
            numbers[name]["vertices"] = binned(make, [(n, v) for _, n, v in entries], bins["vertices"])
    numbers["residual"]["histogram"] = _histogram([v for *_, v in residuals], bins["residual"])
    return numbers


def multiplicity_numbers(events, system):
    """Candidates per event and class."""
    numbers = {}
    for name, category in classes().items():
        number, truth = ([sum(p.category == category for _, p in particles_of(event, s)) for event in events] for s in (system, "targets"))
        difference = [a - b for a, b in zip(number, truth, strict=True)]
        numbers[name] = {"number": Mean(number), "difference": {"mean": Mean(difference)}}
    return numbers


def energy_movers_distance(found, truths, radius=0.4):
    """Linear program over all pairs: cost distance / radius, at most 2, and 1 for each GeV that one side has more."""
    if not found or not truths:
        return sum(p.pt for p in (*found, *truths))
    cost = np.array([[min(delta_r(a, b) / radius, 2.0) for b in truths] for a in found])
    sides = np.zeros((len(found) + len(truths), *cost.shape))
    for i, j in np.ndindex(cost.shape):
        sides[i, i, j] = sides[len(found) + j, i, j] = 1.0
    limits = np.array([p.pt for p in (*found, *truths)])
    less, more = sorted((sum(p.pt for p in found), sum(p.pt for p in truths)))
    solved = linprog(cost.ravel(), A_ub=sides.reshape(len(limits), -1), b_ub=limits, A_eq=np.ones((1, cost.size)), b_eq=[less], method="highs")
    return solved.fun + more - less
