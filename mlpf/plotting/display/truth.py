"""True particles of an ntuple's event, and their links to its elements."""

import numpy as np

from mlpf.events import Events
from mlpf.plotting.display.names import charge_of_particle
from mlpf.plotting.display.objects import NO_LINKS, Links, Objects, particles_of

_COLUMNS = ("pid", "pt", "eta", "phi", "energy", "charge", "ev")


def truth_of(event: Events) -> tuple[Objects, Links]:
    """`linked_particles`, with their places in the detector."""
    columns, links = linked_particles(event)
    return particles_of(columns, links, event), links


def linked_particles(event: Events) -> tuple[dict[str, np.ndarray], Links]:
    """Columns of the true particles of an ntuple's event that are linked to an element (all of them where the file has no links), and these links.

    They are the CaloParticles, whose tracks are those of their TrackingParticles; in files without any, the TrackingParticles, whose deposits are those of
    their SimClusters, and the SimClusters without a TrackingParticle.
    """
    first, second, weight = _calo_links(event) if event.size("caloparticle") else _tracking_links(event)
    collections = ("caloparticle",) if event.size("caloparticle") else ("trackingparticle", "simcluster")
    stacked = {name: np.concatenate([event[f"{collection}_{name}"] for collection in collections]) for name in _COLUMNS}
    has_links = any(f"{collection}_to_element.first" in event for collection in collections)
    kept = np.unique(second) if has_links else np.arange(len(stacked["pt"]))
    number = np.full(len(stacked["pt"]), -1, dtype=np.int32)
    number[kept] = np.arange(len(kept))
    columns = {"index": kept.astype(np.int32), "pdgid": stacked.pop("pid")[kept], "pileup": (stacked.pop("ev")[kept] != 0).astype(np.float32)}
    columns |= {name: values[kept] for name, values in stacked.items()}
    if f"{collections[0]}_charge" not in event:
        columns["charge"] = charge_of_particle(columns["pdgid"])
    return columns, Links(first, number[second], weight)


def _calo_links(event: Events) -> Links:
    return _join(_direct(event, "caloparticle"), _through(event["caloparticle_idx_trackingparticle"], _direct(event, "trackingparticle")))


def _tracking_links(event: Events) -> Links:
    """TrackingParticles are counted first, then SimClusters."""
    deposits, particle = _direct(event, "simcluster"), event["simcluster_idx_trackingparticle"]
    particle = np.where(particle >= 0, particle, event.size("trackingparticle") + np.arange(len(particle)))
    return _join(_direct(event, "trackingparticle"), deposits._replace(second=particle[deposits.second].astype(np.int32)))


def _direct(event: Events, collection: str) -> Links:
    """Elements and what of a collection the file links to them; weights are kept of deposits only, since those of tracks are none of energy."""
    first, second = (event[f"{collection}_to_element.{side}"] for side in ("second", "first"))
    weight = event[f"{collection}_to_element_cmp"] if collection != "trackingparticle" else np.full(len(first), np.nan, dtype=np.float32)
    return Links(first, second, weight)


def _through(part_of_whole: np.ndarray, links: Links) -> Links:
    """Links to parts as links to their wholes. ``part_of_whole``: ``(W,)``, -1 where there is none; several wholes may have the same part."""
    whole = np.flatnonzero(part_of_whole >= 0)
    whole = whole[np.argsort(part_of_whole[whole], kind="stable")]
    part = part_of_whole[whole]
    start, stop = np.searchsorted(part, links.second, side="left"), np.searchsorted(part, links.second, side="right")
    row = np.repeat(np.arange(len(links.second)), stop - start)
    inner = np.arange(len(row)) - np.repeat(np.cumsum(stop - start) - (stop - start), stop - start)
    return Links(links.first[row], whole[start[row] + inner].astype(np.int32), links.weight[row])


def _join(*parts: Links) -> Links:
    """All links, each pair once."""
    first, second, weight = (np.concatenate(values) for values in zip(*parts, strict=True))
    if not len(first):
        return NO_LINKS
    _, kept = np.unique(np.stack([first, second], axis=1), axis=0, return_index=True)
    return Links(first[kept], second[kept], weight[kept])
