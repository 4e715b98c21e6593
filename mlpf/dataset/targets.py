"""Dataset columns -> training targets."""

from itertools import pairwise

import numpy as np
import torch

from mlpf import schema
from mlpf.dataset.batch import Targets
from mlpf.dataset.sample import Sample
from mlpf.errors import DatasetError
from mlpf.events import Events, event_index
from mlpf.features import class_positions, consumer_elements
from mlpf.metrics.matching import nearby_pairs

NEEDED_COLUMNS = tuple(f"target_{name}" for name in ("class", "pt", "eta", "sin_phi", "cos_phi", "energy", "charge"))
JET_COLUMNS = tuple(f"{collection}_{name}" for collection in ("genjet", "targetjet") for name in ("pt", "eta", "phi"))
TARGET_COLUMNS = (*NEEDED_COLUMNS, "target_ispu", "target_jet_index", *JET_COLUMNS, "num_pileup")  # ntuples of 2020 know nothing of pileup
JET_MATCH = 0.2  # in (eta, phi), between a jet of targets and the generated one
JET_SCALE = (0.5, 2.0)  # beyond, the two jets are not the same


def training_targets(events: Events) -> Targets:
    """Flat targets ``(N, ...)`` of all elements of a dataset's events.

    Elements that can never yield a candidate (`schema.NO_CANDIDATE_TYPES`, superclusters above all) become "no particle".

    Raises:
        DatasetError: a column of targets is missing, or a class is not in `schema.CLASSES`.
    """
    missing = [name for name in NEEDED_COLUMNS if name not in events]
    if missing:
        raise DatasetError(f"{events.source}: holds no {', '.join(missing)}; make the dataset with mlpf postprocess from an ntuple with truth")
    class_position = _class_position(events)
    particle = class_position > 0
    jet = _jets(events, particle)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_pt = np.log(events["target_pt"] / events["element_pt"])
        log_energy = np.log(events["target_energy"] / events["element_energy"])
    momentum = np.stack([log_pt, events["target_eta"], events["target_sin_phi"], events["target_cos_phi"], log_energy], axis=1)
    has_momentum = particle & np.isfinite(momentum).all(axis=1)
    momentum[~has_momentum] = 0.0
    return Targets(
        class_position=torch.from_numpy(class_position),
        momentum=torch.from_numpy(momentum.astype(np.float32)),
        has_momentum=torch.from_numpy(has_momentum),
        pileup=torch.from_numpy(np.where(particle, np.clip(events["target_ispu"], 0.0, 1.0), 0.0).astype(np.float32)),
        charge=torch.from_numpy(np.where(particle, np.clip(events["target_charge"], -1, 1), 0).astype(np.int64) + 1),
        jet=torch.from_numpy(jet),
        jet_scale=torch.from_numpy(_jet_scales(events, jet)),
    )


def has_target(sample: Sample) -> bool:
    """Whether any element of the sample's events should become a particle; reads no further than the first that does.

    Raises:
        DatasetError: as `training_targets`.
    """
    index = sample.index
    for first, last in pairwise(sample.group_offsets.tolist()):
        events = sample.dataset.read_groups(int(index.shard[first]), [int(index.group[first])], ("element_type", *TARGET_COLUMNS))
        wanted = np.zeros(len(events), dtype=bool)
        wanted[sample.place[first:last]] = True
        seen = np.repeat(wanted, events.counts("element")) & consumer_elements(events["element_type"])
        if (training_targets(events).class_position.numpy()[seen] > 0).any():
            return True
    return False


def _jets(events: Events, particle: np.ndarray) -> np.ndarray:
    """``(N,) int64`` jet of each particle, counted from 1 in its event; 0 without one."""
    if "target_jet_index" not in events:
        return np.zeros(len(particle), dtype=np.int64)
    return np.where(particle, np.maximum(events["target_jet_index"], -1) + 1, 0).astype(np.int64)


def _jet_scales(events: Events, jet: np.ndarray) -> np.ndarray:
    """``(N,) float32`` pt of the generated jet over that of the jet of targets to which each particle belongs.

    1 without a generated jet near it, and in events with pileup, whose particles are in the jets of targets, but not in the generated ones.
    """
    scale = np.ones(len(jet), dtype=np.float32)
    if not all(name in events for name in JET_COLUMNS):
        return scale
    target_pt, offsets = events["targetjet_pt"], events.collection_offsets("targetjet")
    targets = events["targetjet_eta"], events["targetjet_phi"], offsets
    generated = events["genjet_eta"], events["genjet_phi"], events.collection_offsets("genjet")
    t, g, distance = nearby_pairs(*targets, *generated, JET_MATCH)
    order = np.lexsort((distance, t))
    nearest, first = np.unique(t[order], return_index=True)
    of_jet = np.ones(len(target_pt))
    of_jet[nearest] = events["genjet_pt"][g[order][first]] / target_pt[nearest]
    of_jet[(of_jet < JET_SCALE[0]) | (of_jet > JET_SCALE[1])] = 1.0
    if "num_pileup" in events:
        of_jet[events["num_pileup"][event_index(offsets)] > 0] = 1.0
    inside = np.flatnonzero(jet)
    scale[inside] = of_jet[offsets[event_index(events.collection_offsets("element"))[inside]] + jet[inside] - 1]
    return scale


def _class_position(events: Events) -> np.ndarray:
    target_class = np.where(np.isin(events["element_type"], schema.NO_CANDIDATE_TYPES), 0, events["target_class"])
    position = class_positions(target_class)
    unknown = position < 0
    if unknown.any():
        first = int(np.argmax(unknown))
        event, element = events.locate("target_class", first)
        raise DatasetError(f"{events.source}: event {event}: target_class[{element}] = {target_class[first]} is none of {schema.CLASS_IDS}")
    return position
