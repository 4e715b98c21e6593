"""A study: the trials of a search, in a folder that any number of processes may work on.

The folder: `parameters.yaml` (what all trials share, and the search), `journal.log` (every trial: Optuna's JSON journal, which asks no locks of the file
system), `trials/NUMBER/` (the run folders) and `trials/NUMBER.alive` (one per running trial, see `mlpf.tuning.heartbeat`).
"""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import yaml

from mlpf.errors import ConfigError, MlpfError
from mlpf.io.files import make_parent, write_text, writing
from mlpf.training.folder import unfinished
from mlpf.tuning import heartbeat
from mlpf.tuning.config import TuneConfig, Value
from mlpf.tuning.space import flatten

PARAMETERS = "parameters.yaml"
JOURNAL = "journal.log"
TRIALS = "trials"
LOST_SECONDS = 120.0  # without a sign of life; NFS may show an old one for 60


class TrialRow(NamedTuple):
    """One trial.

    Attributes:
        number: counted from 0, the name of its run folder.
        state: waiting, running, complete, pruned, failed, or lost: interrupted or killed, and done again under another number.
        value: the metric's best value if complete, its last one if pruned.
        num_validations: validations it had.
        seconds: wall time, of finished ones.
        values: value of each key of the search.
        failure: why it failed, or was pruned before it began.
    """

    number: int
    state: str
    value: float | None
    num_validations: int
    seconds: float | None
    values: dict[str, Value]
    failure: str


class Study:
    """See the module; `open_study` makes one.

    Args:
        folder: its folder.
        config: the ``tune`` section.
        optuna: the module.
        study: Optuna's, on the journal in the folder.
    """

    def __init__(self, folder: Path, config: TuneConfig, optuna: ModuleType, study: Any) -> None:
        self.folder = folder
        self.config = config
        self._optuna = optuna
        self._study = study
        self._states = optuna.trial.TrialState
        self._heartbeat: heartbeat.Heartbeat | None = None

    def run_folder(self, number: int) -> Path:
        """Where the run of a trial is."""
        return self.folder / TRIALS / f"{number:04d}"

    def rows(self) -> list[TrialRow]:
        """All trials, by number."""
        return [self._row(trial) for trial in self._study.get_trials(deepcopy=False)]

    def _row(self, trial: Any) -> TrialRow:
        failure = trial.user_attrs.get("failure", "")
        state = ("failed" if failure else "lost") if trial.state == self._states.FAIL else trial.state.name.lower()
        seconds = trial.duration.total_seconds() if trial.duration else None
        return TrialRow(trial.number, state, trial.value, len(trial.intermediate_values), seconds, trial.params, failure)

    def best(self) -> TrialRow | None:
        """The complete trial with the best value, the earlier one of equals."""
        sign = 1.0 if self.config.direction == "minimize" else -1.0
        complete = [row for row in self.rows() if row.state == "complete"]
        return min(complete, key=lambda row: sign * (row.value or 0.0), default=None)

    def importances(self) -> dict[str, float]:
        """Share of each key in what distinguishes the good trials (PED-ANOVA, arXiv:2304.10255), largest first; nothing before there are enough to tell."""
        complete = [row for row in self.rows() if row.state == "complete"]
        if len(complete) < max(4, 2 * len(self.config.search)) or len({row.value for row in complete}) == 1:
            return {}
        return dict(self._optuna.importance.get_param_importances(self._study))

    def next_trial(self, stop_at: float) -> Any | None:
        """Start a trial (an Optuna trial, not sampled yet), or none where all are done or on their way in living processes.

        Trials of dead processes are given out again. Those that run elsewhere must show a sign of life before they are relied upon.

        Args:
            stop_at: `time.monotonic` after which none is started.

        Raises:
            MlpfError: too many have failed.
        """
        first_beats = None
        while time.monotonic() < stop_at:
            with _alone(self._optuna, self.folder):
                beats = self._redo_lost()
                rows = self.rows()
                self._check_failures(rows)
                if sum(row.state in ("complete", "pruned", "failed", "running") for row in rows) < self.config.trials:
                    return self._ask(len(rows))
            first_beats = beats if first_beats is None else first_beats
            if all(beat != first_beats.get(number) for number, beat in beats.items()):
                return None
            time.sleep(heartbeat.BEAT_SECONDS / 4)
        return None

    def _ask(self, num_trials: int) -> Any:
        # A seed of its own for each trial: workers, and commands that continue a study, would all draw the same values otherwise
        seed = int(np.random.SeedSequence([self.config.seed, num_trials]).generate_state(1)[0])
        self._study.sampler = self._optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
        trial = self._study.ask()
        self._heartbeat = heartbeat.Heartbeat(self._alive(trial.number))
        return trial

    def _alive(self, number: int) -> Path:
        return self.folder / TRIALS / f"{number:04d}.alive"

    def _redo_lost(self) -> dict[int, float]:
        """Queue the trials of dead processes again; the last beats of the others."""
        beats = {}
        for trial in self._study.get_trials(deepcopy=False, states=(self._states.RUNNING,)):
            beat = heartbeat.last_beat(self._alive(trial.number))
            if heartbeat.file_system_time(self.folder / TRIALS) - beat > LOST_SECONDS:
                self._lose(trial.number, trial.params)
            else:
                beats[trial.number] = beat
        return beats

    def _lose(self, number: int, params: dict[str, Any]) -> None:
        self._study.tell(number, state=self._states.FAIL, skip_if_finished=True)
        if params:
            self._study.enqueue_trial(params)
        shutil.rmtree(unfinished(self.run_folder(number)), ignore_errors=True)
        self._alive(number).unlink(missing_ok=True)

    def _check_failures(self, rows: list[TrialRow]) -> None:
        failed = [row for row in rows if row.state == "failed"]
        if len(failed) >= self.config.max_failed:
            last = failed[-1]
            raise MlpfError(
                f"{self.folder}: {len(failed)} trials failed, the last one, {last.number}, with: {last.failure}; "
                "narrow the search in another study, or raise tune.max_failed"
            )

    def complete(self, trial: Any, value: float) -> None:
        """Enter the value of a trial that ended."""
        self._end(trial, self._states.COMPLETE, value)

    def prune(self, trial: Any, failure: str = "") -> None:
        """Enter that a trial was ended early, and why if not by comparison with others."""
        if failure:
            trial.set_user_attr("failure", failure)
        self._end(trial, self._states.PRUNED)

    def fail(self, trial: Any, failure: str) -> None:
        """Enter that a trial broke, and why."""
        trial.set_user_attr("failure", failure)
        self._end(trial, self._states.FAIL)

    def give_up(self, trial: Any) -> None:
        """Leave a trial to whoever works on the study next."""
        with _alone(self._optuna, self.folder):
            self._lose(trial.number, trial.params)
        self._stop_heartbeat()

    def _end(self, trial: Any, state: Any, value: float | None = None) -> None:
        self._study.tell(trial, value, state, skip_if_finished=True)  # finished: taken for dead, after a long sleep of the machine
        self._stop_heartbeat()

    def _stop_heartbeat(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None


def open_study(folder: Path, config: TuneConfig, fixed: Mapping[str, Any], first: Mapping[str, Value], optuna: ModuleType) -> Study:
    """Make a study, or go on with one.

    Args:
        folder: its folder.
        config: the ``tune`` section.
        fixed: what all trials share: the resolved parameters, the fingerprint of the data.
        first: values of the first trial of a new study.
        optuna: the module.

    Raises:
        ConfigError: the study there has other parameters or searches elsewhere.
        MlpfError: the folder holds something else, or the journal is damaged.
    """
    folder = folder.resolve()  # links in the folder would break with relative names
    if folder.exists() and not (folder / PARAMETERS).is_file() and not _is_empty(folder):
        raise MlpfError(f"{folder}: holds no study; choose another --study or --output")
    make_parent(folder / TRIALS / "first")
    with writing(folder), _alone(optuna, folder):
        _check_fixed(folder, {**fixed, "tune": config.model_dump(mode="json", include={"search", "metric", "direction"})})
        storage = _open_journal(folder / JOURNAL, optuna)
        is_new = not optuna.get_all_study_names(storage)
        study = optuna.create_study(storage=storage, study_name="mlpf", direction=config.direction, pruner=_pruner(config, optuna), load_if_exists=True)
        if is_new and first:
            study.enqueue_trial(dict(first))
    return Study(folder, config, optuna, study)


def _is_empty(folder: Path) -> bool:
    """Or as an interrupted first command left it."""
    return folder.is_dir() and all(path.name in (TRIALS, "next.lock") for path in folder.iterdir())


def _open_journal(path: Path, optuna: ModuleType) -> Any:
    """Optuna's storage on a journal, whose last line goes if a kill or a full disk left only half of it: the next one would be written behind it."""
    journal = optuna.storages.journal
    lock = journal.JournalFileOpenLock(str(path))
    path.touch()
    with _holding(lock):
        content = path.read_bytes()
        lines = content.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            os.truncate(path, len(content) - len(lines.pop()))
    for number, line in enumerate(lines, 1):
        try:
            is_entry = "op_code" in json.loads(line)
        except (ValueError, TypeError):
            is_entry = False
        if not is_entry:
            raise MlpfError(f"{path}: line {number} is damaged; bring back an intact copy, or choose another --study")
    return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path), lock))


def _check_fixed(folder: Path, fixed: dict[str, Any]) -> None:
    text = yaml.safe_dump(fixed, sort_keys=False)
    path = folder / PARAMETERS
    if not path.is_file():
        write_text(path, text)
        return
    try:
        earlier, now = (flatten(yaml.safe_load(content)) for content in (path.read_text(), text))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise MlpfError(f"{path}: damaged; bring back an intact copy, or choose another --study") from error
    for key in [*earlier, *now]:
        if earlier.get(key) != now.get(key):
            raise ConfigError(f"{folder}: this study was made with {key}={earlier.get(key)}, not {now.get(key)}; go back to that, or choose another --study")


def _pruner(config: TuneConfig, optuna: ModuleType) -> Any:
    if config.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=config.pruner_startup, n_warmup_steps=config.min_validations)
    if config.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=config.min_validations)
    return optuna.pruners.NopPruner()


@contextmanager
def _alone(optuna: ModuleType, folder: Path) -> Iterator[None]:
    """Nobody else starts a trial meanwhile; a dead process is waited for half a minute."""
    with _holding(optuna.storages.journal.JournalFileOpenLock(str(folder / "next"))):
        yield


@contextmanager
def _holding(lock: Any) -> Iterator[None]:
    lock.acquire()
    try:
        yield
    finally:
        with suppress(RuntimeError):  # taken from us, as if we were dead
            lock.release()
