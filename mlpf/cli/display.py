"""``mlpf display``: a picture of one event, or of how its particles, elements and candidates belong together."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlpf.cli.console import console
from mlpf.errors import MlpfError

if TYPE_CHECKING:
    import networkx as nx

    from mlpf.events import Events
    from mlpf.postprocess.event_graph import Node


def run(
    path: Annotated[Path, typer.Argument(metavar="path", help="Ntuple, Delphes or EDM4hep file (.root), or dataset folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture: .png, .pdf or .svg (a graph also .graphml or .json); replaced if it exists.")],
    event: Annotated[int, typer.Option(min=0, help="Which event, counted from 0.")] = 0,
    predictions: Annotated[Path | None, typer.Option(help="Candidates of a model: .parquet (mlpf evaluate, mlpf produce) or .root (mlpf produce).")] = None,
    min_pt: Annotated[float, typer.Option(help="True particles and candidates below are not drawn [GeV]; not with --graph.")] = 0.5,
    graph: Annotated[bool, typer.Option("--graph", help="Of a file: which particles are linked to which elements, and joined them in the dataset.")] = False,
    particle: Annotated[int | None, typer.Option(help="Graph around a true particle: target_particle_number - 1 of a dataset.")] = None,
    element: Annotated[int | None, typer.Option(help="Graph around an element: element_index of a dataset.")] = None,
    candidate: Annotated[int | None, typer.Option(help="Graph around a rule-based candidate.")] = None,
    cone: Annotated[str | None, typer.Option(metavar="ETA,PHI,DR", help="Graph around the elements in a cone.")] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Graph of all that is so many links away, instead of truth, elements and candidates.")] = None,
) -> None:
    """Draw an event: elements, true particles and candidates in eta and phi; tracks and deposits in the view along the beam.

    With --graph: true particles, elements and candidates with the links between them, around the hardest particle or what is selected.

    Example: [bold]mlpf display data/ttbar.root --event 0 --output output/event.png[/]

    Example: [bold]mlpf display data/ttbar.root --event 87 --graph --cone -1.55,1.1,0.2 --output output/graph.png[/]
    """
    from mlpf.plotting.event import SUFFIXES
    from mlpf.plotting.event_files import read_event
    from mlpf.postprocess.association_graph import GRAPH_SUFFIXES

    given = {"particle": particle, "element": element, "candidate": candidate, "cone": cone, "steps": steps}
    if not graph and (useless := [f"--{name}" for name, value in given.items() if value is not None]):
        raise MlpfError(f"{', '.join(useless)}: for graphs only; add --graph")
    if graph and predictions is not None:
        raise MlpfError("--predictions: not with --graph, which shows the ntuple's own candidates")
    formats = (*SUFFIXES, *GRAPH_SUFFIXES) if graph else SUFFIXES
    if output.suffix not in formats:
        raise MlpfError(f"{output}: unknown format '{output.suffix}'; name the output {', '.join(formats)}")
    drawn = read_event(path, event)
    identity = f"{path}: event {event} ({', '.join(f'{name} {int(drawn[name][0])}' for name in ('run', 'lumi', 'event'))})"
    if graph:
        indices = {role: index for role, index in (("particle", particle), ("element", element), ("candidate", candidate)) if index is not None}
        _display_graph(drawn, output, identity, indices, cone, steps)
    else:
        _display_event(drawn, output, identity, predictions, min_pt)
    console.print(f"wrote {output}")


def _display_event(drawn: "Events", output: Path, identity: str, predictions: Path | None, min_pt: float) -> None:
    from mlpf.plotting.event import draw_event, true_particles
    from mlpf.plotting.event_files import find_candidates

    candidates = None if predictions is None else find_candidates(predictions, drawn)
    draw_event(drawn, output, {} if predictions is None or candidates is None else {predictions.stem: candidates}, min_pt)
    truth = true_particles(drawn).pt
    console.print(f"{identity}: {drawn.size('element')} elements, {(truth > min_pt).sum()} of {len(truth)} true particles above {min_pt:g} GeV")
    if candidates is not None:
        pt = candidates["mlpfcandidate_pt"]
        console.print(f"{predictions}: {(pt > min_pt).sum()} of {len(pt)} candidates above {min_pt:g} GeV")


def _display_graph(drawn: "Events", output: Path, identity: str, indices: dict[str, int], cone: str | None, steps: int | None) -> None:
    from mlpf.plotting.association_graph import draw_association_graph
    from mlpf.postprocess.association_graph import GRAPH_SUFFIXES, association_graph, neighbourhood, write_graph

    whole = association_graph(drawn, 0)
    nodes = _selected(whole, indices, cone)
    part = neighbourhood(whole, nodes, steps)
    hidden = []
    if output.suffix in GRAPH_SUFFIXES:
        write_graph(part, output)
    else:
        hidden = draw_association_graph(part, output)
    console.print(f"{identity}: {_counts(whole)}")
    around = f"{nodes[0][0]} {nodes[0][1]}" if len(nodes) == 1 else f"{len(nodes)} elements"
    console.print(f"around {around}: {_counts(part)}")
    for words in hidden:
        console.print(f"not drawn: {words}")


def _selected(whole: "nx.DiGraph", indices: dict[str, int], cone: str | None) -> "list[Node]":
    """Nodes to draw the surroundings of: one of an index, those of a cone, or the hardest particle."""
    from mlpf.postprocess.association_graph import elements_in_cone, find_node, hardest_particle

    if len(indices) + (cone is not None) > 1:
        raise MlpfError("--particle, --element, --candidate, --cone: give one of them")
    if cone is None:
        return [find_node(whole, role, index) for role, index in indices.items()] or [hardest_particle(whole)]
    try:
        eta, phi, radius = (float(number) for number in cone.split(","))
    except ValueError:
        raise MlpfError(f"--cone {cone}: expected three numbers, ETA,PHI,DR, for example -1.55,1.1,0.2") from None
    found = elements_in_cone(whole, eta, phi, radius)
    if not found:
        raise MlpfError(f"--cone {cone}: the event has no element in it; choose another direction or a larger radius")
    return found


def _counts(graph: "nx.DiGraph") -> str:
    counts = Counter(role for _, role in graph.nodes(data="role"))
    return ", ".join(f"{counts[role]} {role}s" for role in ("particle", "part", "element", "candidate")) + f", {graph.number_of_edges()} links"
