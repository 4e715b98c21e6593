"""What a study found: `best.yaml` for `mlpf train`, `trials.csv`, `study.png`."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import yaml

from mlpf.io.files import write_text
from mlpf.training.config import RunParameters
from mlpf.tuning.picture import draw_study
from mlpf.tuning.space import with_values
from mlpf.tuning.study import Study, TrialRow

BEST, TABLE, PICTURE = "best.yaml", "trials.csv", "study.png"


def write_results(study: Study, parameters: Mapping[str, Any]) -> None:
    """Write them, as of now; no `best.yaml` before a trial is complete.

    Args:
        study: the study.
        parameters: those that the values of a trial change.
    """
    rows, best = study.rows(), study.best()
    write_text(study.folder / TABLE, _table(rows, list(study.config.search)))
    if best is not None:
        merged = with_values({name: parameters[name] for name in RunParameters._fields if name in parameters}, best.values)
        title = f"# Trial {best.number} of {len(rows)} of {study.folder.name}: {study.config.metric} {best.value:.6g}\n"
        write_text(study.folder / BEST, title + yaml.safe_dump(merged, sort_keys=False))
        draw_study(rows, study.config, study.importances(), study.folder / PICTURE)


def _table(rows: list[TrialRow], keys: list[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["trial", "state", "value", "validations", "seconds", *keys, "failure"])
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        writer.writerow([row.number, row.state, row.value, row.num_validations, seconds, *(row.values.get(key, "") for key in keys), row.failure])
    return stream.getvalue()
