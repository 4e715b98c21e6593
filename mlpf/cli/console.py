"""The consoles that all commands print to: results on standard output, errors and progress on standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(soft_wrap=True, highlight=False)
errors = Console(stderr=True, soft_wrap=True, highlight=False)


def progress() -> Progress:
    """A progress bar with count, elapsed and remaining time, where the output is a terminal; vanishes when done.

    It shares `console` if it can: lines printed there during its life then appear above it instead of in it.
    """
    screen = console if console.is_terminal else errors
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal)


def rate(count: int, seconds: float) -> str:
    """``count`` per second in words, for example ``12.3 events/s`` without the unit."""
    return f"{count / max(seconds, 1e-9):.3g}/s"
