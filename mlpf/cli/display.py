"""``mlpf display``: one event as an interactive page or as a picture, or how its particles, elements and candidates belong together."""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mlpf.cli.console import console
from mlpf.errors import MlpfError

if TYPE_CHECKING:
    import networkx as nx

    from mlpf.events import Events
    from mlpf.postprocess.event_graph import Node

PAGE = ".html"


def run(
    path: Annotated[Path, typer.Argument(metavar="path", help="Ntuple, Delphes or EDM4hep file (.root), dataset folder, or file of candidates.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Page: .html; picture: .png, .pdf or .svg (a graph also .graphml or .json); replaced if it exists.")
    ],
    event: Annotated[int, typer.Option(min=0, help="Which event, counted from 0.")] = 0,
    predictions: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="Candidates of a model: .parquet (mlpf evaluate, mlpf produce) or .root (mlpf produce); may be repeated."),
    ] = None,
    min_pt: Annotated[
        float,
        typer.Option(min=0.0, help="Elements, true particles and candidates below are not drawn [GeV]; a page has a slider. Not with --graph."),
    ] = 0.5,
    graph: Annotated[bool, typer.Option("--graph", help="Of a file: which particles are linked to which elements, and joined them in the dataset.")] = False,
    particle: Annotated[int | None, typer.Option(help="Graph around a true particle: target_particle_number - 1 of a dataset.")] = None,
    element: Annotated[int | None, typer.Option(help="Graph around an element: element_index of a dataset.")] = None,
    candidate: Annotated[int | None, typer.Option(help="Graph around a rule-based candidate.")] = None,
    cone: Annotated[str | None, typer.Option(metavar="ETA,PHI,DR", help="Graph around the elements in a cone.")] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Graph of all that is so many links away, instead of truth, elements and candidates.")] = None,
) -> None:
    """Show an event: elements, true particles, candidates of several models, generated jets and links.

    As .html: one page that works offline and can be mailed; in 3-D and in eta and phi, to rotate, zoom, point at, switch on and off. As .png, .pdf or .svg: a
    picture for papers. With --graph: true particles, elements and candidates with the links between them, around the hardest particle or what is selected.

    Example: [bold]mlpf display data/ttbar.root --event 87 --output output/event.html[/]

    Example: [bold]mlpf display output/dataset --event 87 --predictions tiny=output/evaluation/predictions.parquet --output output/event.html[/]

    Example: [bold]mlpf display data/ttbar.root --event 87 --output output/event.png[/]

    Example: [bold]mlpf display data/ttbar.root --event 87 --graph --cone -1.55,1.1,0.2 --output output/graph.png[/]
    """
    from mlpf.plotting.event import SUFFIXES
    from mlpf.plotting.event_files import is_candidates, read_event, read_predicted_event
    from mlpf.postprocess.association_graph import GRAPH_SUFFIXES

    start = time.perf_counter()
    given = {"particle": particle, "element": element, "candidate": candidate, "cone": cone, "steps": steps}
    if not graph and (useless := [f"--{name}" for name, value in given.items() if value is not None]):
        raise MlpfError(f"{', '.join(useless)}: for graphs only; add --graph")
    if graph and predictions:
        raise MlpfError("--predictions: not with --graph, which shows the ntuple's own candidates")
    formats = (*SUFFIXES, *GRAPH_SUFFIXES) if graph else (PAGE, *SUFFIXES)
    if output.suffix not in formats:
        raise MlpfError(f"{output}: unknown format '{output.suffix}'; name the output {', '.join(formats)}")
    alone = is_candidates(path)
    if alone and output.suffix != PAGE:
        raise MlpfError(f"{path}: holds candidates alone, which only a page shows; name the output {PAGE}, or give the events and --predictions {path}")
    drawn = read_predicted_event(path, event) if alone else read_event(path, event)
    identity = f"{path}: event {event} ({', '.join(f'{name} {int(drawn[name][0])}' for name in ('run', 'lumi', 'event'))})"
    if graph:
        indices = {role: index for role, index in (("particle", particle), ("element", element), ("candidate", candidate)) if index is not None}
        _display_graph(drawn, output, identity, indices, cone, steps)
    elif output.suffix == PAGE:
        _display_page(drawn, path if alone else None, output, identity, predictions or [], min_pt)
    else:
        _display_event(drawn, output, identity, predictions or [], min_pt)
    console.print(escape(f"wrote {output}: {output.stat().st_size / 1e6:.1f} MB in {time.perf_counter() - start:.1f} s"))


def _display_page(drawn: "Events", own_path: Path | None, output: Path, identity: str, predictions: list[str], min_pt: float) -> None:
    """``own_path``: of the file of candidates if the event is nothing but those."""
    from mlpf.plotting.display.event import make_display
    from mlpf.plotting.display.page import write_page
    from mlpf.plotting.event_files import Predicted, find_all_candidates

    own = {} if own_path is None else {own_path.stem: Predicted(drawn, own_path)}
    found = find_all_candidates(predictions, drawn, own)
    display = make_display(drawn, found)
    write_page(display, output, identity, min_pt)
    counts = [f"{len(objects)} {display.titles[key]}" for key, objects in display.objects.items() if not key.startswith("model")]
    console.print(escape(f"{identity}: {', '.join(counts) or 'candidates alone'}"))
    for name, (candidates, path) in found.items():
        console.print(escape(f"{path}: {candidates.size('mlpfcandidate')} candidates of {name}"))
    for key, count in display.num_undrawn.items():
        console.print(escape(f"not drawn: {count} of {len(display.objects[key])} {display.titles[key]}, with values that are not finite or along the beam"))


def _display_event(drawn: "Events", output: Path, identity: str, predictions: list[str], min_pt: float) -> None:
    from mlpf.plotting.event import draw_event, true_particles
    from mlpf.plotting.event_files import find_all_candidates

    found = find_all_candidates(predictions, drawn)
    draw_event(drawn, output, {name: candidates for name, (candidates, _) in found.items()}, min_pt)
    truth = true_particles(drawn).pt
    console.print(escape(f"{identity}: {drawn.size('element')} elements, {(truth > min_pt).sum()} of {len(truth)} true particles above {min_pt:g} GeV"))
    for candidates, path in found.values():
        pt = candidates["mlpfcandidate_pt"]
        console.print(escape(f"{path}: {(pt > min_pt).sum()} of {len(pt)} candidates above {min_pt:g} GeV"))


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
