"""A CSV file that grows by a row now and then, and that can be cut back to an earlier step of the training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mlpf.io.files import write_text, writing

Value = int | float


def append_rows(path: Path, rows: Sequence[Mapping[str, Value]]) -> None:
    """Append rows, which all have the same columns; a new file gets them as its header. Numbers keep all digits that a float32 has."""
    if not rows:
        return
    with writing(path), path.open("a") as stream:
        if stream.tell() == 0:
            stream.write(",".join(rows[0]) + "\n")
        stream.writelines(",".join(str(value) if isinstance(value, int) else f"{value:.9g}" for value in row.values()) + "\n" for row in rows)


def cut_rows(path: Path, last_step: int) -> None:
    """Remove the rows of steps (column ``step``) after ``last_step``, and a line that was not written to its end."""
    if not path.is_file():
        return
    lines = path.read_text().split("\n")[:-1]  # behind the last end of line is nothing, or half of a line
    if not lines:
        path.unlink()
        return
    step = lines[0].split(",").index("step")
    kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[step]) <= last_step)]
    write_text(path, "\n".join(kept) + "\n")
