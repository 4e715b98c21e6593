"""Energy spots: what showers are made of before cells see them."""

from typing import NamedTuple

import numpy as np


class Spots(NamedTuple):
    """Energy spots, ``(K,)`` each, in particle order.

    Attributes:
        particle: which of the event's particles.
        section: ``SECTION_EB`` ... of `geometry`.
        eta, phi: place on the front of the section, seen from the centre of the detector.
        depth: nuclear lengths behind the front of the HCAL at normal incidence, 0 elsewhere.
        energy: visible energy [GeV].
    """

    particle: np.ndarray
    section: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    depth: np.ndarray
    energy: np.ndarray
