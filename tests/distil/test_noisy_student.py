"""Noisy student: examples that are balanced by hand, and a loss of labels and soft answers together against NumPy."""

import functools

import numpy as np
import pytest
import toy

from kerastl.distil import distiller, losses, noisy_student

SHARES = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.97, 0.02, 0.01], [0.35, 0.33, 0.32]])
LOGITS = np.log(SHARES + 1e-9)


def test_every_class_that_is_named_has_as_many_the_surest_first():
    found = noisy_student.balanced(LOGITS, each=3)
    assert found.rows.tolist() == [3, 0, 2, 1, 1, 1]  # the third class is never named
    np.testing.assert_allclose(found.logits, LOGITS[found.rows], rtol=1e-6)
    assert noisy_student.balanced(LOGITS, each=1).rows.tolist() == [3, 1]
    assert noisy_student.balanced(LOGITS, each=4).rows.tolist() == [3, 0, 2, 4, 1, 1, 1, 1]
    assert noisy_student.balanced(LOGITS, each=4, threshold=0.5).rows.tolist() == [3, 0, 2, 3, 1, 1, 1, 1]
    with pytest.raises(ValueError, match=r"none above threshold=0\.99"):
        noisy_student.balanced(LOGITS, each=2, threshold=0.99)


def test_labels_and_soft_answers_in_one_batch_are_one_cross_entropy():
    """What a `Distiller` of stored answers costs is the divergence from labels as from a teacher."""
    student = toy.small_model()
    inputs = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    labels = np.array([2, 0], "int32")
    answers = np.concatenate([noisy_student.labels_as_logits(labels, classes=3), LOGITS[:3].astype("float32")])
    said = np.log(toy.softmax(np.asarray(student(inputs))))
    hard = -said[[0, 1], labels]
    wanted = toy.softmax(LOGITS[:3])
    soft = (wanted * (np.log(wanted) - said[2:])).sum(-1)
    loss = functools.partial(losses.kl_divergence, temperature=1.0)
    model = toy.compiled(distiller.Distiller(student=student, teacher=None, loss=loss, weight=1.0), 0.0)
    none = np.zeros(5, "int32")  # at weight 1 no label is looked at
    logs = model.train_on_batch(inputs, (none, answers), return_dict=True)
    assert logs["loss"] == pytest.approx(np.concatenate([hard, soft]).mean(), rel=1e-5)


def test_labels_that_are_no_classes_are_refused():
    for labels in (np.array([3]), np.array([-1]), np.array([0.5])):
        with pytest.raises(ValueError, match="class indices below 3"):
            noisy_student.labels_as_logits(labels, classes=3)
