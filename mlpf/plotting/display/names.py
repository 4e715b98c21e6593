"""Names and charges of particles by their pdgId, and names of layers of the calorimeters."""
# ruff: noqa: RUF001 (Greek letters are what particles are called)

import numpy as np

# pdgId -> symbol and charge [e], Review of Particle Physics
_PARTICLES = {
    11: ("e", -1), 12: ("νₑ", 0), 13: ("μ", -1), 14: ("ν_μ", 0), 15: ("τ", -1), 16: ("ν_τ", 0), 22: ("γ", 0), 24: ("W", 1),
    111: ("π", 0), 113: ("ρ", 0), 130: ("K_L", 0), 211: ("π", 1), 213: ("ρ", 1), 221: ("η", 0), 310: ("K_S", 0), 311: ("K", 0), 321: ("K", 1),
    411: ("D", 1), 421: ("D", 0), 431: ("D_s", 1), 511: ("B", 0), 521: ("B", 1), 531: ("B_s", 0), 2112: ("n", 0), 2212: ("p", 1),
    3112: ("Σ", -1), 3122: ("Λ", 0), 3212: ("Σ", 0), 3222: ("Σ", 1), 3312: ("Ξ", -1), 3322: ("Ξ", 0), 3334: ("Ω", -1), 4122: ("Λ_c", 1), 5122: ("Λ_b", 0),
}  # fmt: skip
_BARRED = (12, 14, 16, 311, 421, 511, 531)  # antiparticles that a flipped charge does not tell; so are all baryons
_BARE = (22, 12, 14, 16, 2112, 2212, 3122)  # by custom without the charge of the particle
_SUPERSCRIPT = {-1: "⁻", 0: "⁰", 1: "⁺"}
_CANDIDATES = {0: "of no class", 1: "HF hadronic", 2: "HF electromagnetic", 22: "photon", 130: "neutral hadron"}
_CHARGED_CANDIDATES = {11: "electron", 13: "muon", 15: "tau", 211: "charged hadron"}

# PFLayer::Layer of CMSSW (DataFormats/ParticleFlowReco/interface/PFLayer.h)
LAYERS = {
    -12: "preshower 2", -11: "preshower 1", -2: "ECAL endcap", -1: "ECAL barrel", 1: "HCAL barrel", 2: "HCAL outer barrel", 3: "HCAL endcap",
    11: "HF electromagnetic", 12: "HF hadronic", 13: "HGCAL",
}  # fmt: skip


def particle_name(pdgid: int) -> str:
    """Symbol of a particle, for example ``π⁺``; its pdgId where it is none of the common ones."""
    number = abs(pdgid)
    if number not in _PARTICLES:
        return str(pdgid)
    symbol, charge = _PARTICLES[number]
    if pdgid < 0 and (number in _BARRED or number > 1000):
        symbol = f"{symbol[0]}\N{COMBINING OVERLINE}{symbol[1:]}"
    return symbol if number in _BARE else symbol + _SUPERSCRIPT[charge if pdgid > 0 else -charge]


def candidate_name(pdgid: int) -> str:
    """Class of a candidate in words, charged ones with their sign."""
    number = abs(pdgid)
    if number in _CHARGED_CANDIDATES:
        positive = (pdgid > 0) == (number == 211)  # leptons count the other way round
        return f"{_CHARGED_CANDIDATES[number]} {'+' if positive else '−'}"
    return _CANDIDATES.get(number, str(pdgid))


def charge_of_particle(pdgid: np.ndarray) -> np.ndarray:
    """``(P,) int32`` charge [e] by the pdgId, 0 for those that are none of the common ones."""
    numbers, inverse = np.unique(pdgid, return_inverse=True)
    charges = [np.sign(number) * _PARTICLES.get(abs(number), ("", 0))[1] for number in numbers.tolist()]
    return np.array(charges, dtype=np.int32)[inverse]
