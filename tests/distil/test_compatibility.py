"""What a distiller refuses before and in its first step; `test_distiller.py` sees each from the outside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.distil import compatibility, losses, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import FeatureLoss, LabelLoss, LogitLoss


def two_ended(width: int = 2) -> keras.Model:
    inputs = keras.Input((3,))
    ends = {name: keras.layers.Dense(width, name=name)(inputs) for name in ("near", "far")}
    return keras.Model(inputs, ends, name="two_ended")


SOFT = LogitLoss(lambda teacher, student: tf.reduce_mean(tf.square(teacher["near"] - student["near"]), -1))


def test_either_a_loss_with_its_weight_or_terms():
    compatibility.check_terms(losses.kl_divergence, 0.5, None)
    compatibility.check_terms(None, None, {"labels": LabelLoss()})
    for loss, weight, terms, words in (
        (None, None, None, "neither"),
        (losses.kl_divergence, None, {"labels": LabelLoss()}, "both"),
        (losses.kl_divergence, 1.5, None, "weight=1.5"),
        (None, 0.5, {"labels": LabelLoss()}, "weight=0.5 beside `losses`"),
        (None, None, {}, "by name. Received: {}"),
        (None, None, {"soft": losses.kl_divergence}, "'soft': 'function'"),
    ):
        with pytest.raises(ValueError, match=words):
            compatibility.check_terms(loss, weight, terms)


@pytest.mark.parametrize(
    ("named", "teacher", "words"),
    [
        ({"labels": LabelLoss(ignore_label=-1), "soft": SOFT}, lambda model: model, "'labels' with ignore_label"),
        ({"soft": SOFT}, lambda model: teachers.Ensemble([model, model]), "'soft' .*say which teacher it is of"),
        ({"soft": SOFT}, lambda model: teachers.Teacher(model, align=0.9), "a teacher with `align`"),
    ],
    ids=["missing labels", "several teachers", "aligned"],
)
def test_what_several_outputs_cannot_have_is_refused(named, teacher, words):
    with pytest.raises(ValueError, match=words):
        Distiller(student=two_ended(), teacher=teacher(two_ended()), losses=named)


@pytest.mark.parametrize(
    "answers",
    [
        np.zeros((4, 2), "float32"),
        {"near": np.zeros((4, 2), "float32")},
        {"near": np.zeros((4, 2), "float32"), "far": np.zeros((4, 3), "float32")},
    ],
    ids=["of one output", "an output lacks", "another width"],
)
def test_stored_answers_are_of_the_students_outputs(answers):
    distiller = Distiller(student=two_ended(), teacher=None, losses={"soft": SOFT})
    distiller.compile("sgd")
    labels = {name: np.zeros((4, 2), "float32") for name in ("near", "far")}
    batches = tf.data.Dataset.from_tensors((np.zeros((4, 3), "float32"), (labels, answers)))
    with pytest.raises(ValueError, match="Stored answers have as many classes as the student"):
        distiller.fit(batches, verbose=0)


def test_a_teacher_of_other_ends_is_refused():
    with pytest.raises(ValueError, match="must answer in the same shape"):
        Distiller(student=two_ended(), teacher=two_ended(width=3), losses={"soft": SOFT})


def test_a_term_speaks_of_a_teacher_that_is_there():
    hint = FeatureLoss(losses.kl_divergence, student="near", teacher="near")
    with pytest.raises(ValueError, match="teacher=None with 'hint'"):
        compatibility.check_listening({"hint": hint}, [])
    soft = LogitLoss(losses.kl_divergence, teacher_index=2)
    with pytest.raises(ValueError, match="'soft' with teacher_index=2"):
        compatibility.check_listening({"soft": soft}, [teachers.Teacher(two_ended())] * 2)
    several = LogitLoss(losses.kl_divergence, independent=True)
    with pytest.raises(ValueError, match="independent=True; say which"):
        compatibility.check_listening({"soft": several}, [teachers.Teacher(two_ended())] * 2)


def test_labels_one_an_output_want_a_loss_of_independent_outputs():
    sets = tf.zeros((4, 3), tf.int32)
    for labels in (None, {"near": sets}, tf.zeros(4, tf.int32), tf.zeros((4, 1), tf.int32)):
        compatibility.check_labels(labels, [("soft", LogitLoss(losses.kl_divergence))])
    compatibility.check_labels(sets, [("soft", LogitLoss(losses.kl_divergence, independent=True))])
    with pytest.raises(ValueError, match=r"labels of shape \(4, 3\), one an output"):
        compatibility.check_labels(sets, [("soft", LogitLoss(losses.kl_divergence))])
