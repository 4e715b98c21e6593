"""The study without trainings: a trial's value is a function of what it was given."""

import os
import subprocess
import sys
import time

import optuna
import pytest

from mlpf.errors import ConfigError, MlpfError
from mlpf.tuning import heartbeat, study
from mlpf.tuning.config import TuneConfig
from mlpf.tuning.space import suggest
from mlpf.tuning.study import open_study

FOREVER = float("inf")
SEARCH = {"model.x": {"low": 0.0, "high": 1.0}}


@pytest.fixture(autouse=True)
def _quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def make(folder, fixed=None, first=None, **tune):
    return open_study(folder, TuneConfig(**{"search": SEARCH, "trials": 4, **tune}), fixed or {"model": {"y": 1}}, first or {}, optuna)


def work(a_study, stop_after=1000):
    """Takes trials until there is none left; their values of x."""
    taken = []
    while len(taken) < stop_after and (trial := a_study.next_trial(FOREVER)) is not None:
        taken.append(suggest(trial, "model.x", a_study.config.search["model.x"]))
        a_study.complete(trial, taken[-1])
    return taken


def test_a_study_ends_after_its_trials_and_goes_on_where_it_ended(tmp_path):
    assert len(work(make(tmp_path / "a"))) == 4
    assert work(make(tmp_path / "a")) == []
    assert len(work(make(tmp_path / "a", trials=6))) == 2
    rows = make(tmp_path / "a").rows()
    assert [row.number for row in rows] == list(range(6))
    assert {row.state for row in rows} == {"complete"}


def test_equal_seeds_draw_equal_values_and_an_interruption_changes_nothing(tmp_path):
    whole = work(make(tmp_path / "whole", seed=3, trials=15))
    assert work(make(tmp_path / "parts", seed=3, trials=15), stop_after=6) + work(make(tmp_path / "parts", seed=3, trials=15)) == whole
    assert work(make(tmp_path / "other", seed=4, trials=15)) != whole
    assert len(set(whole)) == 15  # every trial has a seed of its own


def test_the_first_trial_has_the_values_that_were_given(tmp_path):
    assert work(make(tmp_path / "a", first={"model.x": 0.25}))[0] == 0.25
    assert work(make(tmp_path / "a", first={"model.x": 0.5}, trials=5)) != [0.5]  # only of a new study


@pytest.mark.parametrize(("direction", "pick"), [("minimize", min), ("maximize", max)])
def test_the_best_is_the_lowest_or_highest_of_the_complete_ones(tmp_path, direction, pick):
    a_study = make(tmp_path / "a", direction=direction)
    values = work(a_study, stop_after=3)
    trial = a_study.next_trial(FOREVER)
    trial.report(-5.0 if direction == "minimize" else 5.0, 1)
    a_study.prune(trial)
    assert a_study.best().value == pick(values)
    assert a_study.rows()[3].state == "pruned"


def test_another_search_or_other_parameters_are_refused(tmp_path):
    make(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"a: this study was made with model\.y=1, not 2; go back to that, or choose another --study"):
        make(tmp_path / "a", fixed={"model": {"y": 2}})
    with pytest.raises(ConfigError, match=r"made with tune\.search\.model\.x\.high=1\.0, not 2\.0"):
        make(tmp_path / "a", search={"model.x": {"low": 0.0, "high": 2.0}})
    with pytest.raises(ConfigError, match=r"made with tune\.direction=minimize, not maximize"):
        make(tmp_path / "a", direction="maximize")
    make(tmp_path / "a", trials=9, seed=5, pruner="none")  # how it goes on may change


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    with pytest.raises(MlpfError, match="thesis: holds no study"):
        make(tmp_path / "thesis")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


def test_a_damaged_journal_is_one_clear_line(tmp_path):
    work(make(tmp_path / "a"))
    journal = tmp_path / "a" / "journal.log"
    journal.write_text(journal.read_text().replace('"op_code":6', '"op_code"6', 1))
    with pytest.raises(MlpfError, match=r"journal\.log: line 4 is damaged"):
        make(tmp_path / "a")


@pytest.mark.parametrize("damage", [b"[1]\n", b"\0\0\0\n", b'"text"\n', b"\xff\n"])
def test_damage_at_the_end_of_a_journal_is_one_too(tmp_path, damage):
    work(make(tmp_path / "a"))
    journal = tmp_path / "a" / "journal.log"
    lines = journal.read_bytes().count(b"\n")
    journal.write_bytes(journal.read_bytes() + damage)
    with pytest.raises(MlpfError, match=rf"journal\.log: line {lines + 1} is damaged; bring back an intact copy, or choose another --study"):
        make(tmp_path / "a")


def test_half_a_line_that_a_full_disk_left_is_written_anew(tmp_path):
    work(make(tmp_path / "a"), stop_after=2)
    journal = tmp_path / "a" / "journal.log"
    journal.write_bytes(journal.read_bytes()[:-20])  # the value of the second
    rows = make(tmp_path / "a").rows()
    assert [row.state for row in rows] == ["complete", "running"]
    (tmp_path / "a" / "trials" / "0001.alive").unlink(missing_ok=True)
    assert len(work(make(tmp_path / "a"))) == 3
    assert [row.state for row in make(tmp_path / "a").rows()] == ["complete", "lost", "complete", "complete", "complete"]


def test_damaged_parameters_of_a_study_are_one_clear_line(tmp_path):
    make(tmp_path / "a")
    (tmp_path / "a" / "parameters.yaml").write_text("model: [")
    with pytest.raises(MlpfError, match=r"parameters\.yaml: damaged"):
        make(tmp_path / "a")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(MlpfError, match="a: holds no study"):
        make(tmp_path / "a")


def test_failed_trials_count_up_to_a_limit(tmp_path):
    a_study = make(tmp_path / "a", max_failed=2)
    for number in range(2):
        trial = a_study.next_trial(FOREVER)
        a_study.fail(trial, f"loss {number} is nan")
    with pytest.raises(MlpfError, match=r"2 trials failed, the last one, 1, with: loss 1 is nan; narrow the search"):
        a_study.next_trial(FOREVER)
    assert [(row.state, row.failure) for row in a_study.rows()] == [("failed", "loss 0 is nan"), ("failed", "loss 1 is nan")]
    assert len(work(make(tmp_path / "a", max_failed=3))) == 2  # of 4


def test_no_trial_starts_after_the_time_is_up(tmp_path):
    assert make(tmp_path / "a").next_trial(time.monotonic()) is None


def test_an_interrupted_trial_comes_first_when_the_study_goes_on(tmp_path):
    a_study = make(tmp_path / "a")
    trial = a_study.next_trial(FOREVER)
    x = suggest(trial, "model.x", a_study.config.search["model.x"])
    a_study.give_up(trial)
    assert not list((tmp_path / "a" / "trials").iterdir())
    again = work(make(tmp_path / "a"))
    assert again[0] == x
    assert [row.state for row in a_study.rows()] == ["lost", "complete", "complete", "complete", "complete"]


def test_the_trial_of_a_killed_process_is_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(study, "LOST_SECONDS", 2.0)
    killed = make(tmp_path / "a")
    trial = killed.next_trial(FOREVER)
    x = suggest(trial, "model.x", killed.config.search["model.x"])
    left = killed.run_folder(0).with_name("0000.partial")
    left.mkdir()
    killed._heartbeat._stopped.set()  # as a kill does: no more beats, and no word
    killed._heartbeat._thread.join()
    start = time.monotonic()
    values = work(make(tmp_path / "a", trials=2))  # waits for the sign of life that does not come
    assert x in values
    assert len(values) == 2
    assert 1.0 < time.monotonic() - start < 30.0
    assert not left.exists()
    killed.complete(trial, 9.0)  # it wakes up: too late
    assert [row.state for row in killed.rows()] == ["lost", "complete", "complete"]


def test_a_clock_that_steps_back_is_no_sign_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(study, "LOST_SECONDS", 2.0)
    killed = make(tmp_path / "a")
    x = suggest(killed.next_trial(FOREVER), "model.x", killed.config.search["model.x"])
    killed._heartbeat._stopped.set()
    killed._heartbeat._thread.join()
    beat = time.time() + 3.0  # the file was touched before the clock was set
    os.utime(tmp_path / "a" / "trials" / "0000.alive", (beat, beat))
    assert x in work(make(tmp_path / "a", trials=2))


def test_living_processes_keep_their_trials(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.2)
    monkeypatch.setattr(study, "LOST_SECONDS", 5.0)
    slow = make(tmp_path / "a", trials=2)
    trial = slow.next_trial(FOREVER)
    assert len(work(make(tmp_path / "a", trials=2))) == 1  # the other one is on its way
    slow.complete(trial, 0.5)
    assert [row.state for row in slow.rows()] == ["complete", "complete"]


WORKER = """
import sys, optuna
sys.path.insert(0, {tests!r})
from test_study import make, work
from pathlib import Path
print(len(work(make(Path({folder!r}), trials=12))))
"""


def test_processes_share_the_trials_of_a_study(tmp_path):
    code = WORKER.format(tests=os.path.dirname(__file__), folder=str(tmp_path / "a"))  # noqa: PTH120
    workers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert sum(counts) == 12
    rows = make(tmp_path / "a", trials=12).rows()
    assert [row.state for row in rows] == ["complete"] * 12
    assert len({row.values["model.x"] for row in rows}) == 12


def test_importances_tell_what_matters(tmp_path):
    search = {"model.x": {"low": 0.0, "high": 1.0}, "model.y": {"low": 0.0, "high": 1.0}}
    a_study = make(tmp_path / "a", search=search, trials=30)
    assert a_study.importances() == {}
    while (trial := a_study.next_trial(FOREVER)) is not None:
        x, _ = (suggest(trial, key, a_study.config.search[key]) for key in search)
        a_study.complete(trial, x)
    shares = a_study.importances()
    assert list(shares) == ["model.x", "model.y"]
    assert shares["model.x"] > 0.8
    assert sum(shares.values()) == pytest.approx(1.0)
