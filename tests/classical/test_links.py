"""Links against a slow loop over all pairs, and under the symmetries of the detector."""

import math

import numpy as np
import pytest

from mlpf.classical import boxes
from mlpf.classical.elements import elements_of
from mlpf.classical.links import Links, find_links, nearest_by_type
from mlpf.classical.on_device.links import find_links as find_links_on_device
from mlpf.schema import ElementType as T

HCAL_TOWERS = [(1.74, 0.087), (1.83, 0.09), (1.93, 0.1), (2.043, 0.113), (2.172, 0.129), (2.322, 0.15), (2.5, 0.178), (2.65, 0.15), (99, 0.35)]


def dphi(a, b):
    return math.remainder(a - b, 2 * math.pi)


def dr(a, b):
    return math.hypot(a[0] - b[0], dphi(a[1], b[1]))


def extent(width, cell):
    """Half the distance of the outermost of n cells with the given standard deviation, found from n itself."""
    n = math.sqrt(12 * (width / cell) ** 2 + 1)
    return (n - 1) / 2 * cell


def ecal_cell(c):
    """A crystal of .0174 in the barrel, of 2.862 cm at 317 cm in the endcaps, in eta and phi."""
    r = 317 / math.sinh(abs(c["eta"])) if c["eta"] else math.inf
    return (0.0174, 0.0174) if abs(c["eta"]) < 1.479 else (2.862 / r, 2.862 / r)


def hcal_cell(c):
    return next(width for edge, width in HCAL_TOWERS if abs(c["eta"]) < edge), 0.087 * (2 if abs(c["eta"]) >= 1.74 else 1)


def box(c, factor, cell):
    return extent(c["etaerror"], cell[0]) + factor * cell[0] / 2, extent(c["phierror"], cell[1]) + factor * cell[1] / 2


def in_box(point, c, half):
    return abs(point[0] - c["eta"]) < half[0] and abs(dphi(point[1], c["phi"])) < half[1]


def has_point(t, surface):
    return t[f"eta_{surface}"] != 0 or t[f"phi_{surface}"] != 0


def between(g):
    """The point of a GSF element without a track: its azimuth has turned half as far as its direction, which turned on after the last layer."""
    phi = g["phi_ecal"] + 0.5 * dphi(g["phi_hcal"], g["phi_ecal"]) * 129 / 110
    return {"eta_ecal": g["eta_ecal"], "phi_ecal": phi, "eta_hcal": g["eta_ecal"], "phi_hcal": phi}


def track_ecal(t, c):
    hits = max(c["num_hits"], 1)
    pt = math.inf if t["type"] == T.BREM else max(t["pt"], 0.4)
    half = box(c, 2 + (1 if abs(c["eta"]) < 1.479 else 0.5) / (hits * min(1, pt / 2)), ecal_cell(c))
    point = t["eta_ecal"], t["phi_ecal"]
    return dr(point, centre(c)) if has_point(t, "ecal") and in_box(point, c, half) else None


def track_hcal(t, c, factor=None):
    factor = factor or 1.5 + 0.5 / max(c["num_hits"], 1)
    half = box(c, factor, hcal_cell(c))
    point = t["eta_hcal"], t["phi_hcal"]
    return dr(point, centre(c)) if has_point(t, "hcal") and in_box(point, c, half) else None


def track_ho(t, c):
    return track_hcal(t, c, 1.15 * (1.5 + 0.5 / max(c["num_hits"], 1))) if t["pt"] > 3 else None


def centre(c):
    return c["eta"], c["phi"]


def ecal_hcal(e, h):
    d = dr(centre(e), centre(h))
    return d if abs(e["eta"]) > 2.5 and d < 0.2 else None


def hcal_ho(h, o):
    d = dr(centre(h), centre(o))
    return d if abs(h["eta"]) < 1.5 and d < 0.2 else None


def on_face(c, z):
    r = z / math.sinh(abs(c["eta"]))
    return r * math.cos(c["phi"]), r * math.sin(c["phi"])


def hfem_hfhad(a, b):
    d = math.dist(on_face(a, 1115), on_face(b, 1115))
    return d if a["eta"] * b["eta"] > 0 and min(abs(a["eta"]), abs(b["eta"])) > 2 and d < math.sqrt(0.1) else None


def ps_ecal(p, e):
    """The strip's rectangle touches that of the cluster's cells, on the ECAL's face in cm."""
    if p["eta"] * e["eta"] < 0 or min(abs(p["eta"]), abs(e["eta"])) < 1.479:
        return None
    strip = (0.19 * 1.072, 6.1 * 1.072) if p["type"] == T.PS1 else (6.1 * 1.057, 0.19 * 1.057)
    r, (cell, _) = 317 / math.sinh(abs(e["eta"])), ecal_cell(e)
    along_r, along_phi = r * extent(e["etaerror"], cell), r * extent(e["phierror"], cell)
    c, s = abs(math.cos(e["phi"])), abs(math.sin(e["phi"]))
    half = c * along_r + s * along_phi + 1.05 * 2.862 / 2 + strip[0] / 2, s * along_r + c * along_phi + 1.05 * 2.862 / 2 + strip[1] / 2
    a, b = on_face(p, 317), on_face(e, 317)
    return math.dist(a, b) / 1000 if abs(a[0] - b[0]) < half[0] and abs(a[1] - b[1]) < half[1] else None


def ecal_sc(e, s):
    half = max(3 * s["etaerror"], 1.5 * ecal_cell(s)[0]), max(3 * s["phierror"], 1.5 * ecal_cell(s)[1])
    return dr(centre(e), centre(s)) if in_box(centre(e), s, half) else None


def same_track(a, b):
    d = dr(centre(a), centre(b))
    return d if a["charge"] == b["charge"] and d < 0.05 else None


RULES = [  # types, rule, keep the nearest of each first element, distance if constant
    (T.TRACK, T.ECAL, track_ecal, False, None),
    (T.GSF, T.ECAL, track_ecal, False, None),
    (T.TRACK, T.HCAL, track_hcal, True, None),
    (T.GSF, T.HCAL, track_hcal, True, None),
    (T.TRACK, T.HO, track_ho, False, None),
    (T.ECAL, T.HCAL, ecal_hcal, False, None),
    (T.HCAL, T.HO, hcal_ho, False, None),
    (T.HFEM, T.HFHAD, hfem_hfhad, False, None),
    (T.PS1, T.ECAL, ps_ecal, False, None),
    (T.PS2, T.ECAL, ps_ecal, False, None),
    (T.ECAL, T.SC, ecal_sc, True, 0.001),
    (T.BREM, T.GSF, same_track, True, 0.001),
    (T.BREM, T.ECAL, track_ecal, False, None),
]


def brem_point(brem, gsf):
    """Where the tangent at the trajectory point meets the ECAL: the azimuth of a parabola's tangent, which runs ahead of the curve."""
    layers = gsf["num_hits"] if gsf["num_hits"] > 1 else 14
    u = min(max((brem["trajpoint"] - 2) / (layers - 1), 0), 1) * 110 / 129
    at_ecal = dphi(gsf["phi_hcal"], gsf["phi_ecal"]) / 2 * 129 / 110  # the azimuth of the helix itself grows as u, its direction's as 2 u
    return {"eta_ecal": gsf["eta_ecal"], "phi_ecal": gsf["phi_ecal"] + u * at_ecal + (1 - u) * u * at_ecal}


def with_points(rows, by_type, track_of_gsf):
    """Rows in which GSF and BREM elements have points at the calorimeters."""
    points = ("eta_ecal", "phi_ecal", "eta_hcal", "phi_hcal")
    changed = list(rows)
    for i in by_type[T.GSF]:
        changed[i] = rows[i] | ({name: rows[track_of_gsf[i]][name] for name in points} if i in track_of_gsf else between(rows[i]))
    for i in by_type[T.BREM]:
        partners = {g: d for g in by_type[T.GSF] if (d := same_track(rows[i], rows[g])) is not None}
        if partners:
            changed[i] = rows[i] | brem_point(rows[i], rows[min(partners, key=lambda g: (partners[g], g))])
    return changed


def brute_force(rows):
    """All links of one event as {(i, j): distance}."""
    by_type = {kind: [i for i, row in enumerate(rows) if row["type"] == kind] for kind in T}
    track_of_gsf = same_tracks(rows, by_type)
    found = {(min(t, g), max(t, g)): 0.001 for g, t in track_of_gsf.items()}
    rows = with_points(rows, by_type, track_of_gsf)
    for first_type, second_type, rule, nearest_only, constant in RULES:
        for i in by_type[first_type]:
            partners = {j: d for j in by_type[second_type] if (d := rule(rows[i], rows[j])) is not None}
            if nearest_only and partners:
                best = min(partners, key=lambda j: (partners[j], j))
                partners = {best: partners[best]}
            found |= {(min(i, j), max(i, j)): d if constant is None else constant for j, d in partners.items()}
    supercluster = {i: j for pair in found for i, j in (pair, pair[::-1]) if (rows[i]["type"], rows[j]["type"]) == (T.ECAL, T.SC)}
    mates = [(i, j) for i in supercluster for j in supercluster if i < j and supercluster[i] == supercluster[j]]
    return found | {(i, j): dr(centre(rows[i]), centre(rows[j])) for i, j in mates}


def same_tracks(rows, by_type):
    """Each track its nearest GSF, then each GSF its nearest of these: {gsf: track}."""
    tracks_of_gsf = {}
    for t in by_type[T.TRACK]:
        partners = {g: d for g in by_type[T.GSF] if (d := same_track(rows[t], rows[g])) is not None}
        if partners:
            g = min(partners, key=lambda g: (partners[g], g))
            tracks_of_gsf.setdefault(g, []).append((partners[g], t))
    return {g: min(tracks)[1] for g, tracks in tracks_of_gsf.items()}


def rows_of(events, event):
    part = events.slice(event, event + 1)
    names = [name for name in part.columns if name.startswith("element_")]
    return [{name.removeprefix("element_"): float(part[name][i]) for name in names} for i in range(part.size("element"))]


def links_of(events, event):
    links = find_links(elements_of(events))
    start, stop = events.offsets["element"][event : event + 2]
    inside = (links.i >= start) & (links.i < stop)
    assert np.all((links.j[inside] >= start) & (links.j[inside] < stop))
    return dict(zip(zip((links.i[inside] - start).tolist(), (links.j[inside] - start).tolist(), strict=True), links.distance[inside].tolist(), strict=True))


def test_links_equal_those_of_a_loop_over_all_pairs(random_events):
    pairs = 0
    kinds = set()
    for event in range(len(random_events)):
        rows = rows_of(random_events, event)
        expected, found = brute_force(rows), links_of(random_events, event)
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, abs=1e-9)
        pairs += len(found)
        kinds |= {frozenset((rows[i]["type"], rows[j]["type"])) for i, j in found}
    assert pairs > 500
    assert len(kinds) == len(RULES) + 2, "the random events miss a rule"


def test_links_are_sorted_pairs(random_events):
    links = find_links(elements_of(random_events))
    assert np.all(links.i < links.j)
    assert np.all(np.diff(links.i * len(random_events["element_type"]) + links.j) > 0)


@pytest.mark.parametrize("turn", [1.0, np.pi, 5.0])
def test_turning_an_event_around_the_beam_changes_no_link_but_those_of_strips(random_events, turn):
    phis = ("element_phi", "element_phi_ecal", "element_phi_hcal")
    turned = random_events.with_columns({name: np.where(random_events[name] != 0, random_events[name] + turn, 0) for name in phis})
    strips = () if turn == np.pi else (T.PS1, T.PS2)  # half a turn leaves vertical strips vertical
    assert_same_links(*(without(find_links(elements_of(events)), events["element_type"], strips) for events in (turned, random_events)))


def without(links, element_type, types):
    """Links of which neither element is of these types."""
    kept = ~np.isin(element_type[links.i], types) & ~np.isin(element_type[links.j], types)
    return Links(*(values[kept] for values in links))


def test_mirroring_an_event_changes_no_link(random_events):
    mirrored = random_events.with_columns({name: -random_events[name] for name in ("element_eta", "element_eta_ecal", "element_eta_hcal")})
    assert_same_links(find_links(elements_of(mirrored)), find_links(elements_of(random_events)))


def assert_same_links(found, expected):
    np.testing.assert_array_equal(found.i, expected.i)
    np.testing.assert_array_equal(found.j, expected.j)
    np.testing.assert_allclose(found.distance, expected.distance, atol=2e-3)  # float32 angles, times metres for the HF


def test_a_gsf_element_points_where_its_track_points_and_alone_between_its_directions(make_events):
    gsf = {"type": T.GSF, "pt": 5, "charge": 1, "eta": 0.5, "phi": 1, "eta_ecal": 0.5, "phi_ecal": 1.0, "eta_hcal": 0.5, "phi_hcal": 1.2}
    track = gsf | {"type": T.TRACK, "phi_ecal": 1.15, "phi_hcal": 1.17}
    clusters = [{"type": T.ECAL, "energy": 5, "eta": 0.5, "phi": phi} for phi in (1.0, 1.12, 1.16)]  # straight on; 1 + .1 x 129 / 110; at the track
    alone = find_links(elements_of(make_events([gsf, *clusters])))
    assert (alone.i.tolist(), alone.j.tolist()) == ([0], [2])
    together = find_links(elements_of(make_events([gsf, *clusters, track])))
    assert list(zip(together.i.tolist(), together.j.tolist(), strict=True)) == [(0, 3), (0, 4), (3, 4)]


def test_a_link_crosses_phi_of_pi(make_events):
    track = {"type": T.TRACK, "pt": 5, "energy": 5, "eta_ecal": 0.0, "phi_ecal": 3.14, "phi": 3.1}
    cluster = {"type": T.ECAL, "energy": 2, "phi": -3.14, "num_hits": 1}
    links = find_links(elements_of(make_events([track, cluster])))
    assert links.distance == pytest.approx([2 * np.pi - 6.28], abs=1e-6)  # .0032, not 6.28


def test_a_track_keeps_only_its_nearest_hcal_cluster_but_all_ecal_clusters(make_events):
    track = {"type": T.TRACK, "pt": 5, "energy": 5, "eta_ecal": 0.5, "phi_ecal": 1, "eta_hcal": 0.5, "phi_hcal": 1}
    clusters = [{"type": kind, "eta": 0.5 + shift, "phi": 1, "num_hits": 1} for kind in (T.ECAL, T.HCAL) for shift in (0.01, -0.005)]
    links = find_links(elements_of(make_events([track, *clusters])))
    assert links.j.tolist() == [1, 2, 4]
    assert links.distance == pytest.approx([0.01, 0.005, 0.005], abs=1e-6)


def nearly_as_near(make_events):
    """A track and two HCAL clusters whose squared distances differ in the last bit, while the distances are the same number; the second is nearer."""
    shift, dphi_squared = float(np.float32(1.2e-10)), (float(np.float32(1.01)) - 1.0) ** 2
    assert shift**2 + dphi_squared > dphi_squared
    assert math.sqrt(shift**2 + dphi_squared) == math.sqrt(dphi_squared)
    clusters = [{"type": T.HCAL, "eta": eta, "phi": 1.01} for eta in (shift, 0.0)]
    return elements_of(make_events([{"type": T.TRACK, "pt": 5, "phi_hcal": 1.0}, *clusters]))


def test_the_nearest_does_not_depend_on_the_rounding_of_square_roots(make_events):
    assert find_links(nearly_as_near(make_events)).j.tolist() == [2]
    assert find_links_on_device(nearly_as_near(make_events)).j.tolist() == [2]


def test_a_track_without_extrapolation_links_to_no_cluster(make_events):
    rows = [{"type": T.TRACK, "pt": 5, "energy": 5}, {"type": T.ECAL, "energy": 1}, {"type": T.HCAL, "energy": 1}]
    assert len(find_links(elements_of(make_events(rows))).i) == 0


def test_links_do_not_depend_on_the_number_of_threads(random_events, monkeypatch):
    monkeypatch.setattr(boxes, "PART", 7)
    elements = elements_of(random_events)
    alone, together = (find_links(elements, threads) for threads in (1, 3))
    for name in Links._fields:
        np.testing.assert_array_equal(getattr(alone, name), getattr(together, name))


def test_links_of_20_000_elements_are_those_of_their_parts(make_events, make_rows):
    """40 jets of 500 elements around the detector, some across the seam of phi; each has the links that it has alone."""
    rng = np.random.default_rng(11)
    jets = [isolated(make_rows(rng, 500), 2.5, eta, phi) for eta in (-3.0, -1.6, -0.2, 1.0, 2.2) for phi in np.arange(8) * np.pi / 4 - np.pi]
    apart, together = elements_of(make_events(*jets)), elements_of(make_events([row for jet in jets for row in jet]))
    assert len(together.type) == 20_000
    expected, found = find_links(apart), find_links(together)
    assert len(found.i) > 20_000
    np.testing.assert_array_equal(found.i, expected.i)
    np.testing.assert_array_equal(found.j, expected.j)
    np.testing.assert_allclose(found.distance, expected.distance, atol=1e-12)


def isolated(rows, size, eta, phi):
    """The elements folded into 1 / size of the plane around a direction, so that two such directions share no link."""
    moved = []
    for row in rows:
        changes = {name: eta + math.remainder(row[name], 1.2) / size for name in row if name in ("eta", "eta_ecal", "eta_hcal")}
        changes |= {name: dphi(phi + math.remainder(row[name], 1.2) / size, 0) for name in row if name in ("phi", "phi_ecal", "phi_hcal")}
        moved.append(row | changes | {"etaerror": 0.0, "phierror": 0.0})
    return moved


def test_no_events_and_empty_events_have_no_links(make_events):
    assert len(find_links(elements_of(make_events())).i) == 0
    assert len(find_links(elements_of(make_events([], []))).i) == 0


def test_nearest_by_type_takes_the_shortest_link_and_the_smaller_index_of_equal_ones(make_events):
    track = {"type": T.TRACK, "pt": 5, "energy": 5, "eta_ecal": 0.5, "phi_ecal": 1}
    clusters = [{"type": T.ECAL, "eta": 0.5 + shift, "phi": 1} for shift in (0.0125, 0.0078125, 0.0078125)]
    elements = elements_of(make_events([track, *clusters]))
    nearest = nearest_by_type(elements.type, find_links(elements))
    assert nearest[0, T.ECAL] == 2
    assert nearest[1:, T.TRACK].tolist() == [0, 0, 0]
    assert nearest[0, T.HCAL] == -1
