"""``mlpf display``: a picture of one event."""

from pathlib import Path
from typing import Annotated

import typer

from mlpf.cli.console import console


def run(
    path: Annotated[Path, typer.Argument(metavar="path", help="Ntuple (.root) or dataset folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Picture: .png, .pdf or .svg; replaced if it exists.")],
    event: Annotated[int, typer.Option(min=0, help="Which event, counted from 0.")] = 0,
    predictions: Annotated[Path | None, typer.Option(help="Candidates of a model: .parquet (mlpf evaluate, mlpf produce) or .root (mlpf produce).")] = None,
    min_pt: Annotated[float, typer.Option(help="True particles and candidates below are not drawn [GeV].")] = 0.5,
) -> None:
    """Draw an event: elements, true particles and candidates in eta and phi; tracks and deposits in the view along the beam.

    Example: [bold]mlpf display data/ttbar.root --event 0 --output output/event.png[/]
    """
    from mlpf.plotting.event import check_format, draw_event, true_particles
    from mlpf.plotting.event_files import find_candidates, read_event

    check_format(output)
    drawn = read_event(path, event)
    candidates = None if predictions is None else find_candidates(predictions, drawn)
    draw_event(drawn, output, candidates, min_pt)
    identity = ", ".join(f"{name} {int(drawn[name][0])}" for name in ("run", "lumi", "event"))
    truth = true_particles(drawn).pt
    console.print(
        f"{path}: event {event} ({identity}): {drawn.size('element')} elements, {(truth > min_pt).sum()} of {len(truth)} true particles above {min_pt:g} GeV"
    )
    if candidates is not None:
        pt = candidates["mlpfcandidate_pt"]
        console.print(f"{predictions}: {(pt > min_pt).sum()} of {len(pt)} candidates above {min_pt:g} GeV")
    console.print(f"wrote {output}")
