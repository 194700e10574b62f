"""Recordings of one's own: a folder a class, or a table of files, labels, speakers and times.

Folders stand as ``CLASS/RECORDING``, or in ``train``, ``validation`` and ``test`` as ``train/CLASS/RECORDING``. A table
names files from its own folder; with columns of times a long recording is cut into its parts. Every recording is read
before anything is trained. What cannot be is listed with its reason: all of it at once.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kerastl import types
from kerastl.data import class_order, enough, left_out, recording_listing, splits
from kerastl.data.recording_listing import Clip, Columns
from kerastl.data.tables.table import Layout, stored
from kerastl.inputs import recordings
from kerastl.inputs.waveform import Waveform
from kerastl.tasks.single_label import SingleLabel


def load(
    path: str | Path,
    *,
    seconds: float = 1.0,
    rate: int = 16_000,
    trim: bool = False,
    policy: str = "fail",
    validation: int | float = 0.15,
    test: int | float = 0.15,
    seed: int = 0,
    limit: int | None = None,
    class_names: Sequence[str] | None = None,
    path_column: str = "path",
    label_column: str = "label",
    split_column: str | None = "split",
    group_column: str | None = None,
    group_pattern: str | None = None,
    start_column: str = "start",
    end_column: str = "end",
    layout: Layout | Mapping[str, str] = Layout(),  # noqa: B008  frozen
) -> types.Dataset:
    """Recordings in three splits.

    Args:
        path: a folder or a table, see `recording_listing.listed`.
        seconds: of an example. A longer recording is cut to its loudest stretch, a shorter one stands in the middle of
            silence.
        rate: samples a second; recordings of other rates are resampled.
        trim: whether silence at both ends is taken off first, see `recordings.trimmed`.
        policy: what becomes of recordings that cannot be read: ``"fail"`` raises and lists them all, ``"skip"`` lists
            them on stderr and leaves them out.
        validation, test: how many recordings (int), or what share (float), where there is no such split yet. Copies of
            a recording, sample for sample, are left out first.
        seed: decides which recordings validate and test, and the order.
        limit: keeps so many training recordings, see `splits.dataset`.
        class_names: the order of the classes, where it must be one that is known already.
        path_column, label_column, split_column: names of a table's columns; those of files and classes are found where
            no column is called so.
        group_column, group_pattern: who speaks, see `recording_listing.Columns`: one speaker stands in one split.
        start_column, end_column: seconds of the part of a recording that an example is; may be absent.
        layout: how a table is written, and which folders are classes.

    Returns:
        Inputs int16 ``(examples, seconds * rate)``; labels int32 ``(examples,)``; origins are file names, with times
        behind them where there are any.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: unreadable recordings under ``"fail"``; a class with too few for all splits; one recording in two
            classes; a speaker in two splits; classes that are not the ``class_names`` given; a table that is not taken.
    """
    skip, path, layout = splits.skips(policy), Path(path), stored(layout)
    columns = Columns(path_column, label_column, split_column, group_column, group_pattern, start_column, end_column)
    clips, said = recording_listing.listed(path, columns, layout)
    left_out.tell(said)
    names = sorted({clip.label for clip in clips}, key=class_order.natural)
    class_order.check(names, class_names, what="classes")
    enough.require_two(names, where=f"{path} (a folder, or a label of a table, is a class)")
    target = SingleLabel(tuple(class_names or names))
    task = types.Task(path.resolve().stem, Waveform(round(seconds * rate), rate), target)
    read = read_all(clips, rate=rate)
    problems = [found for _, found in read if isinstance(found, str)]
    left_out.refuse_or_tell(problems, skip=skip, what="recording", where=path)
    kept = _without_copies([(clip, found) for clip, found in read if not isinstance(found, str)])
    if trim:
        kept = [(clip, recordings.trimmed(found)) for clip, found in kept]
    inputs = np.stack([recordings.of_length(found, task.inputs.shape[0]) for _, found in kept])
    few = [clip for clip, _ in kept]
    labels = class_order.indices([clip.label for clip in few], target.names)
    root = path if path.is_dir() else path.parent
    origins = np.array([Path(os.path.relpath(clip.file, root)).as_posix() + clip.times for clip in few], object)
    groups = np.array([clip.group for clip in few]) if group_column or group_pattern else None
    places = _places(few, labels, target.names, groups=groups, test=test, seed=seed)
    arrays = {}
    for name, rows in places.items():
        arrays |= {f"{name}_inputs": inputs[rows], f"{name}_labels": labels[rows], f"{name}_origins": origins[rows]}
    again = {"path": os.path.abspath(path), "seconds": seconds, "rate": rate, "trim": trim, "policy": policy}
    again |= {"test": test, "class_names": list(target.names), "layout": layout.changed()}
    again |= {"group_pattern": columns.pattern}
    names_of = {field.name: getattr(columns, field.name) for field in dataclasses.fields(columns)}
    again |= {f"{what}_column": name for what, name in names_of.items() if what != "pattern"}
    return splits.dataset(
        task,
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="audio_folder",
        arguments=again,
        groups=None if groups is None else groups[places["train"]],
    )


def read_all(clips: Sequence[Clip], *, rate: int) -> list[tuple[Clip, np.ndarray | str]]:
    """Each clip with its samples, int16 at a rate, or with the reason why it has none."""

    def read(clip: Clip) -> np.ndarray | str:
        try:
            return recordings.read(clip.file, rate=rate, start=clip.start, end=clip.end)
        except (recordings.RecordingError, OSError) as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(zip(clips, pool.map(read, clips), strict=True))


def _without_copies(read: Sequence[tuple[Clip, np.ndarray]]) -> list[tuple[Clip, np.ndarray]]:
    """The first of equal recordings of a split.

    Raises:
        ValueError: one stands in two classes.
    """
    first: dict[bytes, Clip] = {}
    kept = []
    for clip, samples in read:
        digest = hashlib.sha256(samples.tobytes()).digest()
        earlier = first.setdefault(digest, clip)
        if earlier.label != clip.label:
            raise ValueError(
                f"A recording belongs to one class. Received: the same one in {earlier.label!r} and {clip.label!r}: "
                f"{earlier.file}{earlier.times} and {clip.file}{clip.times}; `kerastl audit` finds all of them."
            )
        if earlier is clip or earlier.split != clip.split:
            kept.append((clip, samples))
    return kept


def _places(
    clips: Sequence[Clip],
    labels: np.ndarray,
    names: Sequence[str],
    *,
    groups: np.ndarray | None,
    test: int | float,
    seed: int,
) -> dict[str, np.ndarray]:
    """Split -> indices of its recordings: those that are given, and a test split where there is none."""
    places = {name: np.array(rows, int) for name, rows in recording_listing.parts_of(list(clips))}
    if "train" not in places:
        raise ValueError(f"Wanted recordings to train on. Received: {', '.join(places)} alone.")
    for name, rows in places.items():
        if lacking := [one for label, one in enumerate(names) if label not in labels[rows]]:
            raise ValueError(f"Every class needs recordings in {name}. Received: none that can be read of {lacking}.")
    if groups is not None:
        stands: dict[str, str] = {}
        for name, rows in places.items():
            for group in np.unique(groups[rows]).tolist():
                if stands.setdefault(group, name) != name:
                    raise ValueError(
                        f"A speaker stands in one split. Received: {group!r} in {stands[group]} and {name}."
                    )
    missing = [name for name in ("test", "validation") if name not in places]
    whole = places["train"]
    enough.require_of_each(
        labels[whole],
        names,
        missing=missing,
        what="recordings" if groups is None else "speakers",
        units=None if groups is None else groups[whole],
    )
    if "test" in missing:
        rest, taken = (
            splits.divided(labels[whole], validation=test, seed=seed, leave=len(missing))
            if groups is None
            else splits.grouped(labels[whole], groups[whole], validation=test, seed=seed, leave=len(missing))
        )
        places["train"], places["test"] = whole[rest], whole[taken]
    return places
