import io

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
