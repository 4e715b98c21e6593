"""What CMSSW's `MLPFProducer` does with a model's outputs, element by element, written after its C++ text (cms-sw/cmssw#50316) and nothing of this library.

An oracle for tests: slow, scalar, no schema, no shared constants.
"""

import math
from dataclasses import dataclass

PDGID_ENCODING = (0, 211, 130, 1, 2, 22, 11, 13, 15)
TRACK, PS1, PS2, GSF, BREM, HFEM, HFHAD = 1, 2, 3, 6, 7, 8, 9
PI_MASS = 0.13957
# Positions in the consumer's row of 55 features.
TYPE, PT, ETA, SIN_PHI, COS_PHI, ENERGY, CHARGE, MUON_TYPE = 0, 1, 2, 3, 4, 5, 8, 16


@dataclass
class Candidate:
    element: int  # position among the rows given to the model
    pdgid: int
    charge: int
    pt: float
    eta: float
    phi: float
    energy: float


def selected_rows(types):
    """Positions of the elements that become rows of the input tensor."""
    return [i for i, kind in enumerate(types) if kind not in (PS1, PS2, BREM)]


def arg_max(values):
    best = 0
    for i in range(1, len(values)):
        if values[i] > values[best]:
            best = i
    return best


def produce(rows, binary, pid_logits, p4, gsf_charge=False):
    """Candidates of one event.

    Args:
        rows: 55 features per element; binary, pid_logits, p4: 2, 9 and 5 outputs per element.
        gsf_charge: give GSF elements their own charge, which the C++ does not (every electron on a GSF element is negative there).
    """
    candidates = []
    for i, row in enumerate(rows):
        if not binary[i][1] > binary[i][0]:
            continue
        pid = PDGID_ENCODING[arg_max(pid_logits[i])]
        if pid == 0:
            continue
        kind = int(row[TYPE])
        if pid in (13, 211) and kind != TRACK:
            pid = 130
        pred_charge = 0
        if kind == TRACK:
            pred_charge = row[CHARGE]
            if pid == 13 and row[MUON_TYPE] == 0:
                pid = 211
            if pid == 15:
                pid = 211
        if kind == GSF and gsf_charge:
            pred_charge = row[CHARGE]
        if kind == HFEM:
            pid = 2
        if kind == HFHAD:
            pid = 1
        pt = math.exp(p4[i][0]) * row[PT]
        eta, sin_phi, cos_phi = p4[i][1], p4[i][2], p4[i][3]
        if kind == TRACK:
            eta, sin_phi, cos_phi = row[ETA], row[SIN_PHI], row[COS_PHI]
        candidates.append(make_candidate(i, pid, pred_charge, pt, eta, math.atan2(sin_phi, cos_phi)))
    return candidates


def make_candidate(element, pid, pred_charge, pt, eta, phi):
    """`makeCandidate`, with `setMass`, which throws the regressed energy away."""
    charge = 0
    if pid in (11, 13, 211):
        charge = 1 if pred_charge > 0 else -1
    pdgid = {211: 211 * charge, 11: -11 * charge, 13: -13 * charge, 130: 130, 22: 22, 1: 1, 2: 2}.get(pid, 0)
    mass = PI_MASS if pid == 211 else 0.0
    energy = math.sqrt((pt * math.cosh(eta)) ** 2 + mass**2)
    return Candidate(element, pdgid, charge, pt, eta, phi, energy)
