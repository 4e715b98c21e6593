"""Everything of one event that the page shows: collections of objects, links between them, and how many there are of what."""

from collections.abc import Mapping
from typing import NamedTuple

from mlpf import schema
from mlpf.events import Events
from mlpf.plotting.display.objects import Links, Objects, elements_of, jets_of, predicted_of, rule_based_of, targets_of
from mlpf.plotting.display.truth import truth_of
from mlpf.plotting.event_files import Predicted
from mlpf.plotting.looks import MIN_JET_PT

ELEMENT, TRUTH, RULE_BASED, JET = "element", "truth", "pf", "genjet"


class LinkKind(NamedTuple):
    """Links of one kind between two collections.

    Attributes:
        title: for people.
        first, second: keys of the collections.
        links: the pairs.
        weight: what the links' weight means, with its unit.
    """

    title: str
    first: str
    second: str
    links: Links
    weight: str = ""


class Display(NamedTuple):
    """One event, ready to be drawn.

    Attributes:
        event: as it was read; candidates alone if that is all there is (`schema.CANDIDATES`).
        objects: key -> collection; keys of models begin with ``model``.
        titles: key -> what the collection is called.
        links: kinds of links, those without any left out.
    """

    event: Events
    objects: dict[str, Objects]
    titles: dict[str, str]
    links: list[LinkKind]

    @property
    def systems(self) -> list[str]:
        """Keys of true particles and of candidates."""
        return [key for key in self.objects if key not in (ELEMENT, JET)]

    @property
    def num_undrawn(self) -> dict[str, int]:
        """Key -> how many cannot be drawn, for values that are not finite or a direction along the beam; collections of none are left out."""
        counts = {key: int((~objects.drawable).sum()) for key, objects in self.objects.items()}
        return {key: count for key, count in counts.items() if count}


def make_display(event: Events, predictions: Mapping[str, Predicted]) -> Display:
    """Collect what is drawn of an event.

    Args:
        event: one event of an ntuple or of a dataset, or the candidates of one event.
        predictions: name of a model -> its candidates of the same event.

    Raises:
        MlpfError: candidates of elements that the event does not have.
    """
    alone = event.layout is schema.CANDIDATES
    display = Display(event, {}, {}, []) if alone else _event_itself(event)
    for i, (name, (candidates, path)) in enumerate(predictions.items()):
        key = f"model_{i}"
        objects, links = predicted_of(candidates, None if alone else event, str(path))
        display.objects[key], display.titles[key] = objects, name
        if not alone:
            display.links.append(LinkKind(f"element – {name}", ELEMENT, key, links))
    return display


def _event_itself(event: Events) -> Display:
    is_dataset = event.layout is schema.DATASET
    truth, truth_links = targets_of(event) if is_dataset else truth_of(event)
    rule_based, rule_based_links = rule_based_of(event)
    objects = {ELEMENT: elements_of(event), TRUTH: truth, RULE_BASED: rule_based, JET: jets_of(event, MIN_JET_PT)}
    title = "targets" if is_dataset else "true particles"
    titles = {ELEMENT: "elements", TRUTH: title, RULE_BASED: "rule-based PF", JET: f"gen. jets > {MIN_JET_PT:g} GeV"}
    links = [LinkKind(f"element – {title.removesuffix('s')}", ELEMENT, TRUTH, truth_links, "" if is_dataset else "GeV shared")]
    links.append(LinkKind("element – rule-based PF", ELEMENT, RULE_BASED, rule_based_links))
    links.extend(_element_links(event, is_dataset))
    return Display(event, objects, titles, [kind for kind in links if len(kind.links.first)])


def _element_links(event: Events, is_dataset: bool) -> list[LinkKind]:
    """PF links of an ntuple; edges of a dataset, PF links apart from those of the graph."""
    if not is_dataset:
        pairs = Links(event["element_distance_i"], event["element_distance_j"], event["element_distance_d"])
        return [LinkKind("PF links", ELEMENT, ELEMENT, pairs, "link distance")]
    pairs = Links(event["edge_source"], event["edge_target"], event["edge_distance"])
    is_link = (event["edge_kind"] & schema.EdgeKind.LINK) != 0
    kinds = (("PF links", is_link), ("graph edges", ~is_link))
    return [LinkKind(title, ELEMENT, ELEMENT, Links(*(values[own] for values in pairs)), "distance") for title, own in kinds]
