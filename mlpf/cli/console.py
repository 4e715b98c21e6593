"""The consoles that all commands print to: results on standard output, errors and progress on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# FORCE_COLOR, which notebooks and CI set, makes rich take any output for a terminal: colours are fine there, moving bars are not
console = Console(soft_wrap=True, highlight=False, force_interactive=sys.stdout.isatty())
errors = Console(stderr=True, soft_wrap=True, highlight=False, force_interactive=sys.stderr.isatty())


def progress() -> Progress:
    """A progress bar with count, elapsed and remaining time, where the output is a terminal; vanishes when done.

    It shares `console` if it can: lines printed there during its life then appear above it instead of in it.
    """
    screen = console if console.is_interactive else errors
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(*columns, console=screen, transient=True, disable=not screen.is_interactive)


@contextmanager
def event_progress(seconds_between_lines: float = 30.0) -> Iterator[Callable[[int, int], None]]:
    """Gives a function to call with events made and events to make; shows them, their rate and the remaining time.

    In a terminal that is a bar; elsewhere, as in the log of a job, a line on standard error now and then. The clock starts with the first call.
    """
    start = last = 0.0
    with progress() as bar:
        task = bar.add_task("events", start=False)

        def show(made: int, total: int) -> None:
            nonlocal start, last
            now = time.monotonic()
            if not start:
                start = last = now
                bar.start_task(task)
            bar.update(task, description=f"events, {rate(made, now - start)}", completed=made, total=total)
            if bar.disable and now - last >= seconds_between_lines:
                last = now
                left = timedelta(seconds=round((total - made) * (now - start) / max(made, 1)))
                errors.print(f"{made} of {total} events, {rate(made, now - start)}, {left} left")

        yield show


def rate(count: int, seconds: float) -> str:
    """``count`` per second in words, for example ``12.3 events/s`` without the unit."""
    return f"{count / max(seconds, 1e-9):.3g}/s"
