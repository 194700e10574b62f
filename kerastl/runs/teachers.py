"""A finished run as a teacher: the data set that it learnt from, loaded again, and its model.

A student is measured on examples that its teacher must not have learnt from. So both have the same split, or the
teacher is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kerastl.runs import finished, reverification
from kerastl.tasks import single_label
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, History, Task

if TYPE_CHECKING:
    from kerastl.training import Trained

_FILES = ("config.json", "report.json", "model.keras")
_READING = ("sequence_length", "vocabulary", "vocabulary_size", "size", "channels")
"""Arguments of a data set in which a teacher and its student may differ: each reads the examples its own way."""


def load_data(folder: Path | str, *, student: Dataset) -> Dataset:
    """The data set of a finished run as the run itself read it: the student's examples, each in the same place.

    Args:
        folder: ``saved_models/RECIPE/TAG``.
        student: the data set that is learnt from under this teacher.

    Raises:
        FileNotFoundError: the folder holds no finished run.
        ValueError: its data cannot be had as it was, it is of several classes an example where the student's is of one,
            or of another split.
    """
    if lacking := [name for name in _FILES if not Path(folder, name).is_file()]:
        raise FileNotFoundError(f"A teacher is a finished run. Received: {folder} without {', '.join(lacking)}.")
    config = finished.read_json(Path(folder, "config.json"))
    data = reverification.load_data(config)
    if data.digest != config["data"]["digest"]:
        raise ValueError(
            f"The examples of a teacher have to be as they were. Received: {folder}, which learnt from those of digest "
            f"{config['data']['digest']}; {data.source} gives {data.digest} today."
        )
    if isinstance(student.task.target, SingleLabel):
        single_label.require(data.task, where=str(folder))
    check_same_split(data, student=student, where=str(folder))
    return data


def check_same_split(teacher: Dataset, *, student: Dataset, where: str) -> None:
    """Raises `ValueError` unless two data sets hold the same examples of the same classes in the same places.

    Args:
        teacher, student: each as it is read by one of them. What they hold is told by `types.Dataset.origin`, and
            where a source does not say that, by the digest.
        where: the teacher's came from, for the message.
    """
    mine, its = ((one.origin or one.digest, one.task.target.names) for one in (student, teacher))
    if mine == its:
        return
    stated, wanted = ({"source": one.source, **one.arguments} for one in (teacher, student))
    other = [
        f"{name} {stated.get(name)!r} where the student has {wanted.get(name)!r}"
        for name in sorted({*stated, *wanted})
        if name not in _READING and stated.get(name) != wanted.get(name)
    ]
    raise ValueError(
        "A teacher and its student learn from the same examples: the teacher's other ones may be those that the "
        f"student is measured on. Received: {where}, with {', '.join(other) or 'other examples in the file'}."
    )


def load_model(folder: Path | str, *, task: Task, stage: str) -> Trained:
    """The model of a finished run, answering in logits, as the result of a stage that trained nothing.

    Args:
        folder: ``saved_models/RECIPE/TAG``.
        task: of the run's data.
        stage: name of the stage.

    Raises:
        FileNotFoundError: there is no model in it.
        ValueError: the file, which may be anybody's, is refused, see `untrusted.keras_file.load`.
    """
    from kerastl.export import serving
    from kerastl.training import fitting
    from kerastl.untrusted import keras_file

    model = keras_file.load(Path(folder, "model.keras"))
    return fitting.Trained(serving.with_logits(model, task), History(stage, {}))
