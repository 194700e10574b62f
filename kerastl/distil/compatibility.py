"""Whether a student, its teachers, the terms of its loss and the batches fit together: what a distiller refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from kerastl.distil import teachers, terms


def check_terms(loss: terms.Loss | None, weight: float | None, losses: Mapping[str, terms.Term] | None) -> None:
    """Raises `ValueError` unless there is one of a loss, with its weight, and terms by name."""
    if (loss is None) == (losses is None):
        raise ValueError(
            f"Wanted either `loss`, with its `weight`, or `losses`. Received: {'neither' if loss is None else 'both'}."
        )
    if weight is not None and (losses is not None or not 0 <= weight <= 1):
        raise ValueError(
            "`weight` is the share of `loss`, from 0 to 1; each of `losses` has its own. Received: "
            f"weight={weight}{'' if losses is None else ' beside `losses`'}."
        )
    if losses is not None and (not losses or not all(isinstance(term, terms.Term) for term in losses.values())):
        raise ValueError(
            "Wanted one or more of terms.LabelLoss, terms.LogitLoss and terms.FeatureLoss by name. Received: "
            f"{ {key: type(term).__name__ for key, term in losses.items()} }."
        )


def check_shapes(student: keras.Model, teacher: keras.Model) -> None:
    """Raises `ValueError` where a teacher answers in another shape than the student."""
    teachers.check_outputs(teacher)
    if student.output_shape != teacher.output_shape:
        raise ValueError(
            "Teacher and student must answer in the same shape. Received: "
            f"student {student.output_shape}, teacher {teacher.output_shape}."
        )


def check_answers(student: keras.Model, answers: tf.Tensor | Mapping[str, tf.Tensor]) -> None:
    """Raises `ValueError` where stored answers are of other classes, or of other outputs, than the student."""
    named = isinstance(answers, Mapping)
    given = {key: one.shape[-1] for key, one in answers.items()} if named else answers.shape[-1]
    if given != (teachers.output_widths(student) or student.output_shape[-1]):
        shapes = {key: one.shape for key, one in answers.items()} if named else answers.shape
        raise ValueError(
            "Stored answers have as many classes as the student. Received: "
            f"student {student.output_shape}, answers {shapes}."
        )


def stored_widths(asked: Sequence[teachers.Teacher], *, storage: str) -> dict[str, int]:
    """Numbers of each of the several outputs of a teacher whose answers are stored; nothing where all have one.

    Raises:
        ValueError: several teachers have several outputs, or they are not stored as float16.
    """
    widths = [teachers.output_widths(one.model) for one in asked]
    if any(widths) and (len(asked) > 1 or storage != "float16"):
        raise ValueError(
            "Answers of several outputs are stored of one teacher, as float16; distil.teachers.one_per_task makes one "
            f"of several. Received: {len(asked)} teachers, storage={storage!r}."
        )
    return widths[0]


def check_named_outputs(
    student: keras.Model, named: Mapping[str, terms.Term], found: Sequence[teachers.Teacher | teachers.EMATeacher]
) -> None:
    """Raises `ValueError` where what is asked for cannot be done with a tensor for each of several outputs."""
    for key, term in named.items():
        if isinstance(term, terms.LabelLoss) and term.ignore_label is not None:
            raise ValueError(
                f"Rows without a label are left out of models of one output. Received: {key!r} with ignore_label of "
                f"{student.name!r}, which has the outputs {', '.join(student.output_names)}."
            )
        if isinstance(term, terms.LogitLoss) and term.teacher_index is None and len(found) > 1:
            raise ValueError(
                f"Probabilities of several teachers are combined for models of one output. Received: {key!r} of "
                f"{student.name!r}, which has the outputs {', '.join(student.output_names)}; say which teacher it is "
                "of."
            )
    if any(one.align is not None for one in found):
        raise ValueError(
            "Answers are brought to equal shares for models of one output. Received: a teacher with `align` of "
            f"{student.name!r}, which has the outputs {', '.join(student.output_names)}."
        )


def check_listening(named: Mapping[str, terms.Term], found: Sequence[teachers.Teacher | teachers.EMATeacher]) -> None:
    """Raises `ValueError` where a teacher is not there that a term speaks of."""
    for key, term in named.items():
        if isinstance(term, terms.FeatureLoss) and not found:
            raise ValueError(
                "Features are compared with those of a teacher that is there: stored answers hold its logits alone. "
                f"Received: teacher=None with {key!r}, a term of features."
            )
        place = None if isinstance(term, terms.LabelLoss) else term.teacher_index
        if place is not None and not 0 <= place < max(len(found), 1):
            raise ValueError(
                f"Wanted the place of one of {max(len(found), 1)} teachers, counted from 0. Received: {key!r} with "
                f"teacher_index={place}."
            )
        several = isinstance(term, terms.LogitLoss) and term.independent
        if several and any(one.align is not None for one in (found if place is None else found[place : place + 1])):
            raise ValueError(
                f"Answers are brought to equal shares where they sum to one. Received: {key!r} with independent=True "
                "of a teacher with `align`."
            )
        if several and place is None and len(found) > 1:
            raise ValueError(
                "Probabilities of several teachers are combined where they sum to one. Received: "
                f"{key!r} with independent=True; say which teacher it is of."
            )


def check_labels(labels: tf.Tensor | None, named: Sequence[tuple[str, terms.Term]]) -> None:
    """Raises `ValueError` for labels that are one an output under a loss of answers that sum to one."""
    if labels is None or isinstance(labels, Mapping) or not terms.are_one_an_output(labels):
        return
    if any(isinstance(term, terms.LogitLoss) and not term.independent for _, term in named):
        raise ValueError(
            "Distillation is for examples of one class each: its losses compare answers that sum to one. Received: "
            f"labels of shape {labels.shape}, one an output. A loss of outputs that are questions of their own "
            "says so: LogitLoss(loss, independent=True)."
        )
