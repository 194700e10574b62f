"""Enrolment: names for the vectors of a finished run's file, kept in its bundle and searched by `predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.runs import run_folder
from kerastl.system import atomic_files, bounded_json, digests
from kerastl.tasks import enrolment, pair_metrics
from kerastl.tasks.embedding import Embedding
from kerastl.types import Split

if TYPE_CHECKING:
    from kerastl.runs.finished import FinishedRun

NAME = "index.json"
_EACH, _LEAST = 20, 20


def index_of(run: FinishedRun) -> enrolment.Index | None:
    """The bundle's index, ``None`` where it has none.

    Raises:
        ValueError: it cannot be read, or was made with another file than the bundle's.
    """
    path = run.bundle / NAME
    if path.is_symlink() or not path.is_file():
        return None
    found = enrolment.restored_index(bounded_json.read_object(path))
    if found.file != digests.of_file(run.file):
        raise ValueError(f"{path} holds vectors of another file than {run.file}: enrol anew, into a fresh bundle.")
    return found


def begin(
    run: FinishedRun, held: Split, *, known: Split | None = None, false_accept_rate: float = 0.05
) -> enrolment.Index:
    """The first index of a finished run: a threshold from what was held out, and known examples by their groups.

    The threshold is read off searches: each held-out example's nearest of another group, of which no more than the
    wanted share may be accepted. With more names in the index there are more to be taken for, and it is that share of
    an index as large as what was held out.

    Args:
        run: of an embedding.
        held: examples that nothing was learnt from, of two groups at least: validation.
        known: examples to enrol, 20 of each group at most.
        false_accept_rate: share of unknown examples that may be taken for somebody.

    Raises:
        ValueError: the run answers with something else than vectors, or there are too few examples to measure on.
    """
    target, labels = _target(run), np.asarray(held.labels)
    groups = len(np.unique(labels))
    if len(held) < _LEAST or groups < 2:
        raise ValueError(
            f"A threshold needs {_LEAST} held-out examples of two groups or more. Received: {len(held)} of {groups}."
        )
    vectors = _vectors(run, held.inputs)
    nearest = np.where(labels[:, None] == labels, -1.0, vectors @ vectors.T).max(-1)
    operating = pair_metrics.threshold_for(nearest, false_accept_rate=false_accept_rate)
    words = f"{len(held)} held-out examples of {groups} groups, each searched among all others"
    index = enrolment.empty(vectors.shape[-1], operating=operating, file=digests.of_file(run.file), measured_on=words)
    if known is not None:
        of_known = np.asarray(known.labels)
        for group in np.unique(of_known):
            rows = np.flatnonzero(of_known == group)[:_EACH]
            index = index.enrolled(target.groups[group], _vectors(run, known.subset(rows).inputs))
    write(run, index)
    return index


def enrol(run: FinishedRun, name: str, inputs: Sequence[str | Path] | Any) -> enrolment.Index:
    """Adds the vectors of examples to the bundle's index under a name; nothing is trained.

    Args:
        run: of an embedding, with an index.
        name: new, or one that is there already and gets more vectors.
        inputs: as `FinishedRun.predict` takes them.

    Returns:
        The index as it stands now in the bundle.

    Raises:
        FileNotFoundError: there is no such input.
        ValueError: the run has no index, an input cannot be read, or there is none.
    """
    _target(run)
    index = index_of(run)
    if index is None:
        raise ValueError(f"{run.bundle} has no {NAME}, which `kerastl run similarity` writes: there is no threshold.")
    answers = run.predict(inputs)
    if not answers:
        raise ValueError(f"Wanted examples of {name!r}. Received: none.")
    index = index.enrolled(name, np.array([answer["vector"] for answer in answers], np.float32))
    write(run, index)
    return index


def write(run: FinishedRun, index: enrolment.Index) -> None:
    """Puts the index into the bundle and pins it in the run's `files.json`, where there is one.

    Raises:
        ValueError: another process works in the folder, or one of the files is a link.
    """
    path, content = run.bundle / NAME, (json.dumps(index.described()) + "\n").encode()
    pins = run.folder / run_folder.FILES
    if pins.is_file() or pins.is_symlink():
        run_folder.add(run.folder, {path.relative_to(run.folder).as_posix(): content})
    elif path.is_symlink():
        raise ValueError(f"Nothing is written through links. Received: {run.folder}, where {path.name} is one.")
    else:
        atomic_files.write_bytes(path, content)
    run.__dict__.pop("index", None)


def _target(run: FinishedRun) -> Embedding:
    target = run.task.target
    if not isinstance(target, Embedding):
        raise ValueError(f"Only vectors can be enrolled. Received: {run.folder}, whose file answers {target.kind}.")
    return target


def _vectors(run: FinishedRun, examples: Any) -> np.ndarray:
    """Of length 1, float32 ``(examples, width)``."""
    found = np.asarray(run.answers(examples), np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=-1, keepdims=True), 1e-12)
