"""Answers brought to equal shares, against NumPy."""

import keras
import numpy as np
import pytest
from toy import softmax

from kerastl.distil import distribution_alignment, fingerprints, losses, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import LogitLoss

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(40, 4)).astype("float32")


def dense_model(seed, **options):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="vector")
    return keras.Model(inputs, keras.layers.Dense(3, name="logits", bias_initializer="normal", **options)(inputs))


def step(odds, logits, decay):
    """What alignment does in one step: the new odds, and the answers under them."""
    shares = np.maximum(softmax(logits + odds).mean(0), 1e-6)
    odds = odds - (1 - decay) * np.log(shares * len(shares))
    return odds, softmax(logits + odds)


def test_odds_follow_the_shares_of_the_classes():
    """Three batches one after another: what comes out, and what stays."""
    odds = keras.Variable(np.zeros(3, "float32"), trainable=False)
    expected = np.zeros(3)
    for _ in range(3):
        logits = GENERATOR.normal(size=(6, 3)).astype("float32") * 2
        found = np.asarray(distribution_alignment.align(keras.ops.convert_to_tensor(logits), odds, decay=0.8))
        expected, answers = step(expected, logits, 0.8)
        np.testing.assert_allclose(softmax(found), answers, atol=1e-6)
        np.testing.assert_allclose(odds.numpy(), expected, atol=1e-6)


def test_at_rest_all_classes_come_equally_often():
    """Answers that are sure, 70, 20 and 10 of a hundred: one division by their mean would leave them as they are."""
    labels = np.repeat([0, 1, 2], [70, 20, 10])
    logits = (np.eye(3)[labels] * 6 + GENERATOR.normal(size=(100, 3))).astype("float32")
    odds = keras.Variable(np.zeros(3, "float32"), trainable=False)
    for _ in range(400):
        found = np.asarray(distribution_alignment.align(keras.ops.convert_to_tensor(logits), odds, decay=0.9))
    np.testing.assert_allclose(softmax(found).mean(0), 1 / 3, atol=1e-4)


@pytest.mark.parametrize("policy", ["bfloat16", "float16", "float64"])
def test_other_types_are_aligned_in_theirs_or_better(policy):
    logits = GENERATOR.normal(size=(6, 3))
    odds = keras.Variable(np.zeros(3, "float32"), trainable=False, dtype="float32")
    found = distribution_alignment.align(keras.ops.cast(logits, policy), odds, decay=0.5)
    assert found.dtype.name == ("float64" if policy == "float64" else "float32")
    coarse = np.asarray(keras.ops.cast(keras.ops.cast(logits, policy), "float64"))
    np.testing.assert_allclose(softmax(np.asarray(found)), step(np.zeros(3), coarse, 0.5)[1], atol=1e-6)


def test_a_class_that_never_comes_leaves_numbers_finite():
    logits = np.tile(np.array([[3.0, 0.0, -1e9]], "float32"), (8, 1))
    odds = keras.Variable(np.zeros(3, "float32"), trainable=False)
    for _ in range(50):
        found = np.asarray(distribution_alignment.align(keras.ops.convert_to_tensor(logits), odds, decay=0.0))
    assert np.isfinite(found).all()
    assert np.isfinite(odds.numpy()).all()


@pytest.mark.parametrize("average", [False, True])
def test_a_student_hears_aligned_answers(average):
    """The loss of the first step is that of answers under the odds that it has just moved; checkpoints hold them."""
    teacher = dense_model(2)
    student = dense_model(1)
    options = {"align": 0.5}
    distiller = Distiller(
        student=student,
        teacher=teachers.EMATeacher(0.9, **options) if average else teachers.Teacher(teacher, **options),
        losses={"soft": LogitLoss(losses.kl_divergence, temperature=1.0)},
    )
    distiller.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    odds, aligned = step(np.zeros(3), (student if average else teacher)(INPUTS).numpy(), 0.5)
    answers = softmax(student(INPUTS).numpy())
    history = distiller.fit(INPUTS, batch_size=40, epochs=1, verbose=0).history
    expected = (aligned * np.log(aligned / answers)).sum(-1).mean()
    assert history["soft_loss"][0] == pytest.approx(expected, rel=1e-4)
    (held,) = [weight for weight in distiller.non_trainable_weights if weight.name == "odds_0"]
    np.testing.assert_allclose(held.numpy(), odds, atol=1e-6)
    assert len(student.weights) == 2, "odds belong to the distiller"


def test_balanced_answers_have_equal_shares_and_the_model_stays_as_it_was():
    model = dense_model(3)
    before = [weight.copy() for weight in model.get_weights()]
    copy = distribution_alignment.prior_correction(model, INPUTS)
    uneven, even = (softmax(one(INPUTS).numpy()).mean(0) for one in (model, copy))
    assert np.abs(uneven - 1 / 3).max() > 0.05
    np.testing.assert_allclose(even, 1 / 3, atol=2e-4)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    # one number a class was added, and it is the only bias that does it
    change = copy(INPUTS).numpy() - model(INPUTS).numpy()
    np.testing.assert_allclose(change, np.broadcast_to(change[:1], change.shape), atol=1e-5)
    again = distribution_alignment.prior_correction(model, INPUTS)
    assert fingerprints.of_teacher(copy) == fingerprints.of_teacher(again), "stored answers are found again"


def test_balance_mends_a_teacher_that_prefers_a_class():
    """Labels that are as frequent as each other, answers that name one of them too often."""
    labels = np.arange(300) % 3
    pictures = (np.eye(3)[labels] * 2 + GENERATOR.normal(size=(300, 3))).astype("float32")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.set_weights([2 * np.eye(3, dtype="float32"), np.array([3.0, 0.0, 0.0], "float32")])

    def accuracy(one):
        return (one.predict(pictures, verbose=0).argmax(-1) == labels).mean()

    assert accuracy(distribution_alignment.prior_correction(model, pictures)) > accuracy(model) + 0.1


def two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, [keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs)])


def aligned_teacher():
    return teachers.Teacher(dense_model(2), align=0.9)


def several():
    return {"soft": LogitLoss(losses.mean_squared_error, independent=True)}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: distribution_alignment.prior_correction(dense_model(1, activation="softmax"), INPUTS),
            "Dense 'logits'",
        ),
        (
            lambda: distribution_alignment.prior_correction(
                keras.Sequential([keras.Input((4,)), keras.layers.ReLU()]), INPUTS
            ),
            "ReLU",
        ),
        (lambda: distribution_alignment.prior_correction(dense_model(1, use_bias=False), INPUTS), "Dense 'logits'"),
        (
            lambda: distribution_alignment.prior_correction(dense_model(1), INPUTS, rounds=1, tolerance=1e-9),
            "equal shares",
        ),
        (lambda: distribution_alignment.prior_correction(two_outputs(), INPUTS), "2 outputs"),
        (lambda: Distiller(student=dense_model(1), teacher=aligned_teacher(), losses=several()), "independent"),
        (lambda: teachers.Teacher(dense_model(1), align=1.0), "align=1.0"),
        (lambda: teachers.EMATeacher(align=-0.1), "align=-0.1"),
    ],
)
def test_what_cannot_be_aligned_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
