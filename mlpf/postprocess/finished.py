"""The finished dataset: what its manifest says of how it was made, and how it grows when files are added."""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlpf.errors import DatasetError, MlpfError
from mlpf.io.files import keep_only, write_text, writing
from mlpf.io.resumable import Unfinished
from mlpf.io.shards import MANIFEST, Shard, ShardedDataset, write_manifest
from mlpf.postprocess.duplicates import find_twins, repeated_numbers
from mlpf.postprocess.policy import AnyPolicy
from mlpf.postprocess.rows import NonFinite
from mlpf.postprocess.summary import Summary
from mlpf.postprocess.survey import Source
from mlpf.postprocess.tasks import Note, ShardDone, ShardTask, read_note, summary_from

SKIPPED = "skipped.txt"


def read_finished(folder: Path) -> dict[str, Any] | None:
    """Manifest of a dataset that is there; None if nothing is.

    Raises:
        MlpfError: the folder is something else, or a dataset that cannot grow.
    """
    if not folder.exists():
        return None
    try:
        manifest = ShardedDataset(folder).manifest
    except DatasetError as error:
        remedy = "choose another output or pass --overwrite" if (folder / MANIFEST).is_file() else "choose another output"
        raise MlpfError(f"{folder}: exists already and is no dataset that could grow ({error}); {remedy}") from error
    if "records" not in manifest:
        raise _not_the_same(folder)
    return manifest


def adopt(manifest: Mapping[str, Any], tasks: Sequence[ShardTask], unfinished: Unfinished) -> list[ShardTask]:
    """Take over the shards of a finished dataset that is to grow; it stays as it is.

    Returns:
        the tasks; those whose shard was taken over are trusted.

    Raises:
        MlpfError: it holds shards that the tasks would not make.
    """
    keys = {record["key"]: name for name, record in manifest["records"].items()}
    if not keys.keys() <= {task.key for task in tasks}:
        raise _not_the_same(unfinished.final)
    shards = {shard["name"]: Shard(**shard) for shard in manifest["shards"]}
    adopted = []
    for task in tasks:
        name = keys.get(task.key)
        if name is not None and read_note(task) is None:
            with writing(unfinished.final):
                _link(unfinished.final / name, task.shard)
            Note(task.key, replace(shards[name], name=task.shard.name), summary_from(manifest["records"][name]["summary"])).write(task.note)
        adopted.append(replace(task, trusted=name is not None))
    return adopted


def problems_of(sources: Sequence[Source], made: Sequence[tuple[ShardTask, ShardDone]]) -> dict[int, str]:
    """Index of each source that cannot be used -> reason: what the survey or the work found, or events that an earlier source has."""
    problems: dict[int, str] = {}
    for index, problem in [(source.index, source.problem) for source in sources] + [(task.source.index, done.problem) for task, done in made]:
        if problem:
            problems.setdefault(index, problem)
    paths = {source.index: source.path for source in sources}
    for index, twin in find_twins(join_marks((task, done) for task, done in made if task.source.index not in problems)).items():
        older = f"event {twin.older_entry} of {paths[twin.source]}"
        problems[index] = f"{paths[index]}: event {twin.entry}: duplicate of {older}, the same run, lumi, event number and element_energy"
    return dict(sorted(problems.items()))


def join_marks(made: Iterable[tuple[ShardTask, ShardDone]]) -> dict[int, np.ndarray]:
    """Source -> `event_marks` of its events from the first on."""
    marks: dict[int, list[np.ndarray]] = {}
    for task, done in made:
        marks.setdefault(task.source.index, []).append(done.marks)
    return {index: np.concatenate(parts) for index, parts in marks.items()}


def publish(
    unfinished: Unfinished,
    sources: Sequence[Source],
    made: Sequence[tuple[ShardTask, ShardDone]],
    problems: Mapping[int, str],
    policy: AnyPolicy,
    nonfinite: NonFinite,
) -> dict[str, Any]:
    """Give the dataset its manifest and its name.

    Args:
        unfinished: where its shards are.
        sources: all files.
        made: all shards of those that can be used.
        problems: index of the others -> reason.
        policy, nonfinite: how they were made.

    Returns:
        the part of the manifest that says how it was made.

    Raises:
        MlpfError: shards are not there, or the file system refuses.
    """
    notes = [done.note for _, done in made if done.note]
    description = {
        "made_by": "mlpf postprocess",
        "policy": policy.name,
        "policy_options": policy.model_dump(mode="json"),
        "nonfinite": nonfinite,
        "sources": [_entry(source, problems.get(source.index, "")) for source in sources],
        "missing_columns": list(dict.fromkeys(name for source in sources if source.index not in problems for name in source.missing)),
        "counts": {**vars(sum((note.summary for note in notes), Summary())), "repeated_numbers": repeated_numbers(join_marks(made))},
        "records": {note.shard.name: {"key": note.key, "summary": vars(note.summary)} for note in notes},
    }
    skipped = [f"{source.path}\t{problems[source.index]}\n" for source in sources if source.index in problems]
    keep_only(unfinished.new, {note.shard.name for note in notes})
    unseen = [note.shard.name for note in notes if not (unfinished.new / note.shard.name).is_file()]
    if unseen:
        raise MlpfError(f"{unfinished.new / unseen[0]}: made by a worker, but not there; workers must see the same file system as this command")
    if skipped:
        write_text(unfinished.new / SKIPPED, "".join(skipped))
    write_manifest(unfinished.new, [note.shard for note in notes], description)
    unfinished.publish()
    return description


def _entry(source: Source, problem: str) -> dict[str, Any]:
    if problem:
        return {"file": str(source.path), "skipped": problem}
    return {
        "file": str(source.path),
        "uuid": source.uuid,
        "size": source.size,
        "version": source.version,
        "num_events": source.num_events,
        "missing_columns": list(source.missing),
    }


def _link(old: Path, new: Path) -> None:
    new.unlink(missing_ok=True)
    try:
        os.link(old, new)
    except OSError:  # a file system without hard links
        shutil.copy2(old, new)


def _not_the_same(folder: Path) -> MlpfError:
    return MlpfError(f"{folder}: exists already; choose another output or pass --overwrite (it cannot grow: made of other files, or otherwise)")
