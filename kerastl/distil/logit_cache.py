"""A teacher's answers to several views of every example, computed once and kept on disk beside the run.

A teacher and its student see the same view of a picture (Beyer et al. 2022, "Knowledge distillation: A good teacher is
patient and consistent"), and training asks for many views of each. Answers to them can be stored, as Shen &
Xing 2021 do ("A Fast Knowledge Distillation Framework for Visual Recognition", https://arxiv.org/abs/2112.01528)::

    def lesson(answers=None):
        return pipeline.batches(train, batch_size=128, shuffle=True, augment=augment, views=8, answers=answers)

    known = answers.write(folder, lesson(), teacher=teacher)
    train.fit(Distiller(student=student, teacher=None, loss=loss), lesson(known), schedule=schedule)

With ``views=8`` the ninth epoch is the first again: in its order, in what each batch is made of, in what happens to it.
So no view is stored, batches are made as fast as without, and whatever changes a batch will do, if it mixes the
pictures in it too. The other way, random states drawn for each example, would leave the orders free, but Keras' layers
then work example by example, which took 8 to 23 times as long: 11 to 34 ms in place of 1.5 for 128 small pictures, at a
student's step of 53.

A cache is found again by digests: of the teacher, of the examples in their order, of what changes them. Where one of
them differs it is refused. It appears whole or not at all; an interrupted `write` goes on where it was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from kerastl import types
from kerastl.distil import compatibility, fingerprints, logit_storage, numerics, teachers
from kerastl.system import atomic_files, bounded_json, digests, memory
from kerastl.training import callbacks

Facts = Mapping[str, Any]
"""What answers are of and how they are stored, as JSON takes it."""
Answer = Callable[[tf.Tensor], tf.Tensor]
"""A batch of inputs to the logits of all teachers together."""
_SCHEMA = 1
_ARRAY, _FACTS, _PROGRESS = "answers.npy", "answers.json", "progress.json"
_MEANING = {
    "teacher": "its layers, weights or view",
    "inputs": "the examples, or their order",
    "augment": "what changes them, or its random states",
    "views": "how many epochs differ",
    "shuffle": "whether epochs are shuffled",
    "seed": "of their orders",
    "batch_size": "examples a batch",
}


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LogitCache:
    """Stored answers, mapped into memory: what is asked for is read, and the system may let go of it at any time.

    ``answers[view, rows]`` are logits float32 ``(rows, classes)``, of a view counted from 0 and an array of indices.
    It is a `types.CachedLogits`: ``data.pipeline.batches`` takes it. Those of several outputs lie side by side.

    Attributes:
        folder: where they are.
        facts: what they are of and how they are stored, as in ``answers.json``.
        stored: ``(views, examples, classes)`` float16, or ``(views, examples)`` of records, see `compact.encoded`.
    """

    folder: Path
    facts: Facts
    stored: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(views, examples, classes)``."""
        views, examples = self.stored.shape[:2]
        return views, examples, self.facts["classes"]

    @property
    def outputs(self) -> dict[str, int]:
        return dict(self.facts.get("outputs", ()))

    def __getitem__(self, place: tuple[int, np.ndarray]) -> np.ndarray:
        view, rows = place
        return logit_storage.decoded(self.stored[view][rows], classes=self.facts["classes"])

    def check(self, course: types.BatchingSpec) -> None:
        """Compares what batches are made of with what was answered.

        Raises:
            ValueError: they are of other examples, in another order, or of other views.
        """
        self._refuse("of the very rows and views", fingerprints.of_course(course))
        if self.facts["drop_remainder"] and not course.drop_remainder:
            raise ValueError(
                f"The answers in {self.folder} were computed with drop_remainder=True: the last rows of each epoch "
                "have none. Received: batches with drop_remainder=False."
            )

    def check_teacher(self, teacher: fingerprints.Teaches | str) -> None:
        """Raises `ValueError` unless the answers are of this teacher, or of the one with this digest."""
        temperature = self.facts["temperature"]
        found = teacher if isinstance(teacher, str) else fingerprints.of_teacher(teacher, temperature=temperature)
        self._refuse("of the one teacher", {"teacher": found})

    def _refuse(self, words: str, theirs: Mapping[str, object]) -> None:
        mine = self.facts
        differing = [
            f"{name} ({_MEANING[name]}), {_short(theirs[name])} where the answers are of {_short(mine[name])}"
            for name in theirs
            if mine[name] != theirs[name]
        ]
        if differing:
            raise ValueError(
                f"Stored answers are {words} that they were computed of. Received: for those in {self.folder} other "
                f"{'; other '.join(differing)}. `distil.logit_cache.write` computes them anew."
            )


def write(
    folder: Path,
    batches: tf.data.Dataset,
    *,
    teacher: fingerprints.Teaches,
    storage: str = "float16",
    top: int | None = None,
    temperature: float = 1.0,
    progress: bool = True,
    every_seconds: float = 60,
) -> LogitCache:
    """Lets a teacher answer every view of every example, unless it has done so before.

    The same call finds what it wrote, or goes on where it was interrupted. Of what it finds or goes on with the first
    batch is answered again: code is in no digest, neither that of the teacher's layers nor that of what changes
    pictures. What stood in the folder before is replaced when all the new answers are there.

    Args:
        folder: for the answers alone, ``saved_models/RECIPE/TAG/answers`` for example.
        batches: of `data.pipeline.batches`, made as for training, ``views`` included where something changes them.
            Their labels do not count: they may be other ones, or none (-1), when the answers are used. Where nothing
            changes the examples there is one view, and the answers serve in any order and any size of batch.
        teacher: a model, or several whose answers are combined. Not a moving average: it changes.
        storage: ``"float16"``, 2 bytes a class; or ``"top_k"``, 4 bytes for each of the ``top`` likeliest classes and 2
            for all others, see `compact.encoded`: for losses of classes that exclude each other.
        top: how many.
        temperature: the one that the student's loss has. At it several teachers are combined and the other classes of
            ``"top_k"`` have their exact share of probability together; else it has no effect.
        progress: whether to say how large it will be, and to show a progress bar.
        every_seconds: after which what was computed is safe from a kill.

    Raises:
        ValueError: the batches are not of `data.pipeline` or of an unknown number of views, an argument is out of
            range, the folder holds something else, several outputs are of several teachers or ``"top_k"``, or an answer
            is not finite or beyond float16 (65,504).
        atomic_files.DiskFullError: there is no room, which is known before the teacher begins.
        MemoryError: a batch does not fit into memory.
    """
    folder, course = Path(folder), getattr(batches, "course", None)
    if not isinstance(course, types.BatchingSpec) or (course.drop_remainder and course.augment is None):
        raise ValueError(
            "Wanted batches of data.pipeline, of all examples where nothing changes them. Received: "
            f"{'drop_remainder=True' if course else 'batches of unknown examples'}."
        )
    numerics.check_temperature(temperature)
    asked = fingerprints.answering(teacher)
    widths = compatibility.stored_widths(asked, storage=storage)
    classes = sum(widths.values()) or asked[0].model.output_shape[-1]
    kind = logit_storage.kind_of(storage, classes=classes, top=top)
    facts = {
        "schema": _SCHEMA,
        "teacher": fingerprints.of_teacher(teacher, temperature=temperature),
        **fingerprints.of_course(course),
        "drop_remainder": course.drop_remainder,
        "examples": len(course.order(1)),
        "classes": classes,
        "storage": storage,
        "top": top,
        "temperature": float(temperature),
        **({"outputs": list(map(list, widths.items()))} if widths else {}),
    }
    found, (spec, *_) = _finished(folder, facts), cast(Sequence[tf.TypeSpec], batches.element_spec)
    with memory.release_graphs(), memory.explain_out_of_memory("a teacher answers"):
        answer = _answer(teacher, temperature, spec=spec)
        if found is not None and _still(found, batches, course, answer=answer):
            atomic_files.remove(_desk_of(folder))  # of other settings
            return found
        desk = _Desk(folder, facts, kind=kind)
        if desk.done and not _still(LogitCache(folder, facts, desk.stored), batches, course, answer=answer):
            desk.forget()
        if progress:
            print(f"answers: {desk.words}", flush=True)
        _fill(desk, batches, course, answer=answer, bar=progress, every_seconds=every_seconds)
    desk.commit()
    return read(folder, teacher=facts["teacher"])


def read(folder: Path, *, teacher: fingerprints.Teaches | str) -> LogitCache:
    """The answers that `write` wrote, every byte of them checked.

    Args:
        folder: where they are.
        teacher: the one that gave them, or its digest (`identity.of_teacher`), where it is not to be loaded.

    Raises:
        FileNotFoundError: there are none, or not all of them yet.
        ValueError: they are of another teacher, or not as they were written.
    """
    folder = Path(folder)
    answers = _opened(folder)
    answers.check_teacher(teacher)
    return answers


class _Desk:
    """Answers in the making, in a hidden folder beside the one that they will be in."""

    def __init__(self, folder: Path, facts: Facts, *, kind: np.dtype) -> None:
        self._folder, self._facts = folder, facts
        self._desk = _desk_of(folder)
        shape = (facts["views"], facts["examples"], *(() if kind.names else (facts["classes"],)))
        size = kind.itemsize * math.prod(shape)
        self.words = (
            f"{facts['views']} views of {facts['examples']:,} examples, {facts['classes']} classes as "
            f"{facts['storage']}: {size:,} bytes in {folder}"
        )
        begun = self._begun()
        if begun is None:
            atomic_files.remove(self._desk)
            with atomic_files.atomic_replace(self._desk / _ARRAY, needed_bytes=size, flush=False) as temporary:
                _reserve(temporary, shape, kind)
        self.stored: Any = np.load(self._desk / _ARRAY, mmap_mode="r+")
        self.done = begun or 0

    def _begun(self) -> int | None:
        """Batches that were answered before an interruption; ``None`` where there is nothing to go on from."""
        try:
            before = bounded_json.read_object(self._desk / _PROGRESS)
            np.load(self._desk / _ARRAY, mmap_mode="r")
            return before["batches"] if before["facts"] == self._facts else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def forget(self) -> None:
        """Begins anew, in the same place."""
        atomic_files.remove(self._desk / _PROGRESS)
        self.done = 0

    def encode(self, view: int, rows: np.ndarray, logits: np.ndarray) -> None:
        """Puts the answers to a batch in their places."""
        made = logit_storage.encoded(logits, kind=self.stored.dtype, temperature=self._facts["temperature"])
        self.stored[view, rows] = made
        self.done += 1

    def keep(self) -> None:
        """What was answered up to here stays."""
        self.stored.flush()
        atomic_files.write_json(self._desk / _PROGRESS, {"batches": self.done, "facts": self._facts})

    def commit(self) -> None:
        """The answers take their place."""
        self.stored.flush()
        del self.stored
        array = self._desk / _ARRAY
        file = {"sha256": digests.of_file(array), "bytes": array.stat().st_size}
        with atomic_files.atomic_replace(self._folder) as temporary:
            temporary.mkdir()
            atomic_files.write_json(temporary / _FACTS, {**self._facts, "file": file})
            os.rename(array, temporary / _ARRAY)
        atomic_files.remove(self._desk)


def _fill(
    desk: _Desk,
    batches: tf.data.Dataset,
    course: types.BatchingSpec,
    *,
    answer: Answer,
    bar: bool,
    every_seconds: float,
) -> None:
    """Goes through the views, and leaves the count of the caller's batches as it was."""
    views, size = desk.stored.shape[0], course.batch_size
    steps, last = int(batches.cardinality()), time.monotonic()
    shown = callbacks.ProgressBar("answers") if bar else keras.callbacks.Callback()
    shown.set_params({"epochs": views, "steps": steps})
    shown.on_train_begin()
    if desk.done and isinstance(shown, callbacks.ProgressBar):
        shown.set_state({"done": desk.done})
    with _counting(batches) as counter:
        try:
            for view in range(desk.done // steps, views):
                counter.assign(view)
                order, first = course.order(view + 1), desk.done - view * steps
                for step, (inputs, *_) in enumerate(batches.skip(first), start=first):
                    desk.encode(view, order[step * size : (step + 1) * size], answer(inputs).numpy())
                    shown.on_train_batch_end(step)
                    if time.monotonic() - last >= every_seconds:
                        desk.keep()
                        last = time.monotonic()
                shown.on_epoch_end(view)
        except BaseException:
            if isinstance(shown, callbacks.ProgressBar):
                shown.close()
            desk.keep()
            raise
    shown.on_train_end()


def _answer(teacher: fingerprints.Teaches, temperature: float, *, spec: tf.TypeSpec) -> Answer:
    """Inputs to logits ``(batch, classes)``, in inference mode, of all teachers together."""
    found, by = fingerprints.answering(teacher), teacher.combine if isinstance(teacher, teachers.Ensemble) else "mean"
    widths = teachers.output_widths(found[0].model)

    @tf.function(input_signature=[spec], autograph=False, jit_compile=False)
    def answer(inputs: tf.Tensor) -> tf.Tensor:
        logits = [one.model(inputs if one.view is None else one.view(inputs), training=False) for one in found]
        logits = [teachers.side_by_side(found[0].model, logits[0], names=tuple(widths))] if widths else logits
        return tf.cast(teachers.ensemble_logits(logits, combine=by, temperature=temperature), tf.float32)

    return answer


def _desk_of(folder: Path) -> Path:
    return folder.with_name(f".work-{folder.name}")


def _reserve(path: Path, shape: tuple[int, ...], kind: np.dtype) -> None:
    """An array file of zeros, really written: on a disk that is full a mapped page has no way to say so."""
    descr: Any = np.lib.format.dtype_to_descr(kind)
    left, block = kind.itemsize * math.prod(shape), bytes(2**20)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
        while left > 0:
            left -= file.write(block[: min(left, len(block))])


def _finished(folder: Path, facts: Facts) -> LogitCache | None:
    """The answers that are there, if they are of these facts; damaged ones are passed over, which is said."""
    others = sorted(path.name for path in folder.glob("*") if path.name not in (_ARRAY, _FACTS))
    if others or (folder.exists() and not folder.is_dir()):
        raise ValueError(
            f"Answers have a folder of their own. Received: {folder}, where there is {others or 'a file'}."
        )
    try:
        found = _opened(folder)
    except FileNotFoundError:
        return None
    except ValueError as error:
        print(f"kerastl: {error} They are computed anew.", file=sys.stderr)
        return None
    wanted = {**facts, "file": found.facts["file"]}
    if not found.facts["drop_remainder"]:
        wanted["drop_remainder"] = False  # answers to all will do for most
    return found if wanted == found.facts else None


def _still(found: LogitCache, batches: tf.data.Dataset, course: types.BatchingSpec, *, answer: Answer) -> bool:
    """Whether a teacher answers the first batch of the first view as it did, as near as other machines come."""
    with _counting(batches) as counter:
        counter.assign(0)
        logits = next(iter(answer(inputs).numpy() for inputs, *_ in batches.take(1)))
    again = logit_storage.encoded(logits, kind=found.stored.dtype, temperature=found.facts["temperature"])
    before = found[0, course.order(1)[: len(logits)]]
    apart = np.abs(before - logit_storage.decoded(again, classes=found.shape[2])).max(1)
    # of two classes that are nearly as likely either may be the last of the likeliest
    alike = float(np.mean(apart <= 0.02 * (1 + np.abs(before).max(1))))
    if alike < 0.9:
        print(
            f"kerastl: the answers in {found.folder} are not what this teacher says today (of the first {len(logits)}, "
            f"{alike:.0%} are alike): they are computed anew.",
            file=sys.stderr,
        )
    return alike >= 0.9


@contextlib.contextmanager
def _counting(batches: tf.data.Dataset) -> Iterator[tf.Variable]:
    """The caller's count of epochs, which is afterwards as it was."""
    counter = batches.epochs_begun
    begun = int(counter)
    try:
        yield counter
    finally:
        counter.assign(begun)


def _opened(folder: Path) -> LogitCache:
    """Answers whose every byte is as it was written. Raises as `read`."""
    array = folder / _ARRAY
    try:
        facts = bounded_json.read_object(folder / _FACTS)
        size, wanted = array.stat().st_size, (facts["file"]["bytes"], facts["file"]["sha256"])
        if facts["schema"] != _SCHEMA:
            raise ValueError(facts["schema"])
    except FileNotFoundError as error:
        begun = _desk_of(folder).exists()
        raise FileNotFoundError(
            f"Wanted the answers of a teacher, as `distil.logit_cache.write` leaves them. Received: {folder}, where "
            f"{'their writing was interrupted: the same call goes on with it' if begun else 'there are none'}."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"Stored answers are read as they were written. Received: {folder / _FACTS}, which is damaged or of "
            "another version."
        ) from error
    if size != wanted[0] or digests.of_file(array) != wanted[1]:
        raise ValueError(
            f"Stored answers are read as they were written. Received: {array} of {size:,} bytes where "
            f"{wanted[0]:,} were written{'' if size != wanted[0] else ', with other contents'}."
        )
    return LogitCache(folder, facts, np.load(array, mmap_mode="r"))


def _short(value: object) -> str:
    return f"{value[:12]}..." if isinstance(value, str) else str(value)
