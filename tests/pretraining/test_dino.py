"""DINO's loss and centre against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.pretraining import dino


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.fixture
def pair():
    generator = np.random.default_rng(3)
    return generator.normal(0, 0.2, (6, 4)), generator.normal(0, 0.2, (6, 4))


CENTER = np.array([0.1, -0.2, 0.3, 0.0])


@pytest.mark.parametrize(("student_temperature", "teacher_temperature"), [(0.1, 0.04), (1.0, 0.5)])
def test_it_is_the_cross_entropy_of_the_centred_teacher(pair, student_temperature, teacher_temperature):
    student, teacher = pair
    probabilities = softmax((teacher - CENTER) / teacher_temperature)
    wanted = -(probabilities * np.log(softmax(student / student_temperature))).sum(1).mean()
    options = {"student_temperature": student_temperature, "teacher_temperature": teacher_temperature}
    np.testing.assert_allclose(dino.loss(student, teacher, center=CENTER, **options), wanted, rtol=1e-10)
    single = dino.loss(student.astype("float32"), teacher.astype("float32"), center=CENTER, **options)
    np.testing.assert_allclose(single, wanted, rtol=1e-6)


def test_neither_examples_nor_an_offset_of_all_outputs_matter(pair):
    wanted = float(dino.loss(*pair, center=CENTER))
    order = np.random.default_rng(0).permutation(6)
    np.testing.assert_allclose(dino.loss(pair[0][order], pair[1][order], center=CENTER), wanted, rtol=1e-10)
    np.testing.assert_allclose(dino.loss(pair[0] + 3, pair[1] - 5, center=CENTER + 1), wanted, rtol=1e-10)


def test_the_centre_takes_an_output_that_wins_everywhere_its_lead(pair):
    lead = np.array([0.0, 9, 0, 0])
    without = dino.loss(pair[0], pair[1] + lead, center=np.zeros(4))
    alone = -np.log(softmax(pair[0] / 0.1))[:, 1].mean()
    np.testing.assert_allclose(without, alone, rtol=1e-6)
    with_it = dino.loss(pair[0], pair[1] + lead, center=lead)
    np.testing.assert_allclose(with_it, dino.loss(*pair, center=np.zeros(4)), rtol=1e-10)


def test_no_gradient_goes_to_the_teacher(pair):
    student, teacher = map(tf.constant, pair)
    with tf.GradientTape() as tape:
        tape.watch([student, teacher])
        loss = dino.loss(student, teacher, center=CENTER)
    found = tape.gradient(loss, [student, teacher])
    assert np.abs(found[0]).max() > 1e-3
    assert found[1] is None


def test_a_centre_moves_towards_the_teachers_mean(pair):
    found = dino.moved_center(CENTER, pair[1], momentum=0.75)
    np.testing.assert_allclose(found, 0.75 * CENTER + 0.25 * pair[1].mean(0), rtol=1e-10)
    for momentum in (-0.1, 1.0):
        with pytest.raises(ValueError, match="momentum="):
            dino.moved_center(CENTER, pair[1], momentum=momentum)


def test_bad_settings_are_refused(pair):
    for center in (np.zeros(3), np.zeros((1, 4)), 0.0):
        with pytest.raises(ValueError, match=r"one number an output, \(4,\)"):
            dino.loss(*pair, center=center)
    for name in ("student_temperature", "teacher_temperature"):
        with pytest.raises(ValueError, match="above 0"):
            dino.loss(*pair, center=CENTER, **{name: 0.0})
