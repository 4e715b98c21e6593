import io
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from rich.console import Console

from mlpf.cli import console


@pytest.fixture
def screens(monkeypatch):
    """Puts consoles of chosen kinds in the place of standard output and standard error."""

    def make(output_is_terminal, errors_is_terminal):
        made = [Console(file=io.StringIO(), force_terminal=terminal) for terminal in (output_is_terminal, errors_is_terminal)]
        monkeypatch.setattr(console, "console", made[0])
        monkeypatch.setattr(console, "errors", made[1])
        return made

    return make


def use():
    with console.progress() as bar:
        bar.update(bar.add_task("work", total=3), advance=3)


def test_a_bar_draws_nothing_where_nobody_watches(screens):
    made = screens(False, False)
    use()
    assert [screen.file.getvalue() for screen in made] == ["", ""]


def test_a_bar_stays_out_of_notebooks_and_logs_that_force_colours():
    code = "from mlpf.cli.console import console, progress\nwith progress() as bar: bar.add_task('work')\nconsole.print('[red]done[/]')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "FORCE_COLOR": "1"})
    assert done.stdout == "\x1b[31mdone\x1b[0m\n"
    assert done.stderr == ""


def test_a_bar_shares_the_console_of_the_lines_printed_beside_it(screens):
    output, errors = screens(True, True)
    use()
    assert "work" in output.file.getvalue()
    assert not errors.file.getvalue()


def test_a_bar_stays_out_of_redirected_output(screens):
    output, errors = screens(False, True)
    use()
    assert "work" in errors.file.getvalue()
    assert not output.file.getvalue()


def test_a_log_gets_the_rate_and_the_time_left_of_the_work_alone(screens, monkeypatch):
    _, errors = screens(False, False)
    clock = iter([1000.0, 1031.0, 1040.0, 1062.0])  # the files were looked at until second 1000
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with console.event_progress() as show:
        for made in (0, 310, 400, 620):
            show(made, 1000)
    assert errors.file.getvalue().splitlines() == ["310 of 1000 events, 10/s, 0:01:09 left", "620 of 1000 events, 10/s, 0:00:38 left"]
