"""A CSV file that grows by a row now and then, and that can be cut back to an earlier step of the training."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlpf.io.files import write_text

Value = int | float


def append_rows(path: Path, rows: Sequence[Mapping[str, Value]]) -> None:
    """Append rows, which all have the same columns; a new file gets them as its header. Numbers keep all digits that a float32 has."""
    if not rows:
        return
    with path.open("a", newline="") as stream:
        writer = csv.writer(stream)
        if stream.tell() == 0:
            writer.writerow(rows[0])
        writer.writerows([[value if isinstance(value, int) else f"{value:.9g}" for value in row.values()] for row in rows])


def cut_rows(path: Path, last_step: int) -> None:
    """Remove the rows of steps (column ``step``) after ``last_step``, and one that was not written to its end."""
    if not path.is_file():
        return
    with path.open(newline="") as stream:
        header, *rows = csv.reader(stream.read().splitlines()) or [[]]
    kept = io.StringIO()
    writer = csv.writer(kept)
    writer.writerow(header)
    writer.writerows(row for row in rows if len(row) == len(header) and int(row[header.index("step")]) <= last_step)
    write_text(path, kept.getvalue())
