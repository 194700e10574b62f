"""Answers brought to equal shares, against NumPy."""

import keras
import numpy as np
import pytest

from kerastl.distil import alignment, identity, losses, teachers
from kerastl.distil.distiller import Distiller
from kerastl.distil.terms import Soft

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(40, 4)).astype("float32")


def dense_model(seed, **options):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="vector")
    return keras.Model(inputs, keras.layers.Dense(3, name="logits", bias_initializer="normal", **options)(inputs))


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_a_running_mean_divides_the_answers():
    """Three batches one after another: what comes out, and what stays."""
    shares = keras.Variable(np.full(3, 1 / 3, "float32"), trainable=False)
    expected = np.full(3, 1 / 3)
    for _ in range(3):
        logits = GENERATOR.normal(size=(6, 3)).astype("float32") * 2
        found = np.asarray(alignment.aligned(keras.ops.convert_to_tensor(logits), shares, decay=0.8))
        expected = 0.8 * expected + 0.2 * softmax(logits).mean(0)
        wanted = softmax(logits) / expected
        np.testing.assert_allclose(softmax(found), wanted / wanted.sum(-1, keepdims=True), atol=1e-6)
        np.testing.assert_allclose(shares.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("average", [False, True])
def test_a_student_hears_aligned_answers(average):
    """The loss of the first step is that of answers divided by the mean that it has just moved; checkpoints hold it."""
    teacher = dense_model(2)
    student = dense_model(1)
    options = {"align": 0.5}
    distiller = Distiller(
        student=student,
        teacher=teachers.MovingAverage(0.9, **options) if average else teachers.Teacher(teacher, **options),
        losses={"soft": Soft(losses.temperature_kullback_leibler, temperature=1.0)},
    )
    distiller.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    probabilities = softmax((student if average else teacher)(INPUTS).numpy())
    answers = softmax(student(INPUTS).numpy())
    history = distiller.fit(INPUTS, batch_size=40, epochs=1, verbose=0).history
    shares = 0.5 / 3 + 0.5 * probabilities.mean(0)
    aligned = probabilities / shares
    aligned /= aligned.sum(-1, keepdims=True)
    expected = (aligned * np.log(aligned / answers)).sum(-1).mean()
    assert history["soft_loss"][0] == pytest.approx(expected, rel=1e-4)
    (held,) = [weight for weight in distiller.non_trainable_weights if weight.name == "shares_0"]
    np.testing.assert_allclose(held.numpy(), shares, atol=1e-6)
    assert len(student.weights) == 2, "shares belong to the distiller"


def test_balanced_answers_have_equal_shares_and_the_model_stays_as_it_was():
    model = dense_model(3)
    before = [weight.copy() for weight in model.get_weights()]
    copy = alignment.balanced(model, INPUTS)
    uneven, even = (softmax(one(INPUTS).numpy()).mean(0) for one in (model, copy))
    assert np.abs(uneven - 1 / 3).max() > 0.05
    np.testing.assert_allclose(even, 1 / 3, atol=2e-4)
    for one, other in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    # one number a class was added, and it is the only bias that does it
    change = copy(INPUTS).numpy() - model(INPUTS).numpy()
    np.testing.assert_allclose(change, np.broadcast_to(change[:1], change.shape), atol=1e-5)
    again = alignment.balanced(model, INPUTS)
    assert identity.of_teacher(copy) == identity.of_teacher(again), "stored answers are found again"


def test_balance_mends_a_teacher_that_prefers_a_class():
    """Labels that are as frequent as each other, answers that name one of them too often."""
    labels = np.arange(300) % 3
    pictures = (np.eye(3)[labels] * 2 + GENERATOR.normal(size=(300, 3))).astype("float32")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    model.set_weights([2 * np.eye(3, dtype="float32"), np.array([3.0, 0.0, 0.0], "float32")])

    def accuracy(one):
        return (one.predict(pictures, verbose=0).argmax(-1) == labels).mean()

    assert accuracy(alignment.balanced(model, pictures)) > accuracy(model) + 0.1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: alignment.balanced(dense_model(1, activation="softmax"), INPUTS), "Dense 'logits'"),
        (lambda: alignment.balanced(keras.Sequential([keras.Input((4,)), keras.layers.ReLU()]), INPUTS), "ReLU"),
        (lambda: alignment.balanced(dense_model(1), INPUTS, rounds=1, tolerance=1e-9), "shares"),
        (lambda: teachers.Teacher(dense_model(1), align=1.0), "align=1.0"),
        (lambda: teachers.MovingAverage(align=-0.1), "align=-0.1"),
    ],
)
def test_what_cannot_be_aligned_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
