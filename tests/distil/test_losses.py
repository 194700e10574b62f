"""Distillation losses against NumPy twins and numbers worked out by hand."""

import functools

import numpy as np
import pytest

from kerastl.distil import losses


def numpy_softmax(logits, temperature=1.0):
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def numpy_kullback_leibler(teacher_logits, student_logits, temperature):
    teacher, student = numpy_softmax(teacher_logits, temperature), numpy_softmax(student_logits, temperature)
    return temperature**2 * (teacher * (np.log(teacher) - np.log(student))).sum(axis=-1)


@pytest.fixture(params=[1, 7])
def logits(request):
    generator = np.random.default_rng(3)
    shape = (request.param, 10)
    return generator.normal(0, 2, shape).astype("float32"), generator.normal(0, 2, shape).astype("float32")


def test_mean_squared_error_by_hand():
    teacher, student = np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    # 1/2 ((1/4)^2 + (1/4)^2) = 1/16
    np.testing.assert_allclose(losses.mean_squared_error(teacher, student), [0.0625, 0.0], atol=1e-6)


def test_mean_squared_error_equals_numpy(logits):
    teacher, student = (numpy_softmax(x) for x in logits)
    expected = 0.5 * ((student - teacher) ** 2).sum(axis=-1)
    np.testing.assert_allclose(losses.mean_squared_error(teacher, student), expected, atol=1e-6)


def test_kullback_leibler_by_hand():
    # at T = 1: softmax(0, ln 3) = (1/4, 3/4) against (1/2, 1/2): 1/4 ln(1/2) + 3/4 ln(3/2)
    loss = losses.kl_divergence(np.array([[0.0, np.log(3.0)]]), np.zeros((1, 2)), temperature=1.0)
    np.testing.assert_allclose(loss, [0.25 * np.log(0.5) + 0.75 * np.log(1.5)], atol=1e-6)
    # at T = 2 with logits twice as large the distributions are the same, and T^2 = 4 comes on top
    doubled = losses.kl_divergence(np.array([[0.0, 2 * np.log(3.0)]]), np.zeros((1, 2)), temperature=2.0)
    np.testing.assert_allclose(doubled, 4 * np.asarray(loss), atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
def test_kullback_leibler_equals_numpy(logits, temperature):
    expected = numpy_kullback_leibler(*logits, temperature)
    actual = losses.kl_divergence(*logits, temperature=temperature)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


def test_kullback_leibler_survives_extreme_and_half_precision_logits():
    import tensorflow as tf

    extreme = losses.kl_divergence(np.array([[1e4, -1e4]]), np.array([[1e4, -1e4]]), temperature=1.0)
    np.testing.assert_allclose(extreme, [0.0], atol=1e-6)
    half = losses.kl_divergence(
        tf.constant([[1.0, 2.0]], tf.bfloat16), tf.constant([[2.0, 1.0]], tf.bfloat16), temperature=2.0
    )
    assert half.dtype == tf.float32
    np.testing.assert_allclose(
        half, numpy_kullback_leibler(np.array([[1.0, 2.0]]), np.array([[2.0, 1.0]]), 2.0), atol=1e-6
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0])
@pytest.mark.parametrize(
    "loss",
    [
        losses.kl_divergence,
        functools.partial(losses.decoupled_kd, labels=np.zeros(1, "int32")),
        losses.dist,
        losses.standardized_kl_divergence,
    ],
)
def test_temperature_must_be_positive(loss, temperature):
    with pytest.raises(ValueError, match="above 0"):
        loss(np.zeros((1, 2)), np.zeros((1, 2)), temperature=temperature)


def test_decoupled_by_hand():
    """Probabilities 1/2, 1/4, 1/4 and 1/4, 1/4, 1/2, label 0."""
    teacher, student = np.log([[0.5, 0.25, 0.25]]), np.log([[0.25, 0.25, 0.5]])
    target = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    other = 0.5 * np.log(0.5 / (1 / 3)) + 0.5 * np.log(0.5 / (2 / 3))
    actual = losses.decoupled_kd(teacher, student, np.array([0]), temperature=1.0, target_weight=2.0, other_weight=3.0)
    np.testing.assert_allclose(actual, [2 * target + 3 * other], atol=1e-9)


def test_decoupled_takes_labels_as_columns(logits):
    labels = np.arange(len(logits[0])) % 10
    column = losses.decoupled_kd(*logits, labels[:, None])
    np.testing.assert_array_equal(column, losses.decoupled_kd(*logits, labels))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_decoupled_is_the_divergence_where_others_count_as_much_as_the_teacher_gives_them(logits, temperature):
    labels = np.arange(len(logits[0])) % 10
    share = 1 - numpy_softmax(logits[0], temperature)[np.arange(len(labels)), labels]
    actual = losses.decoupled_kd(*logits, labels, temperature=temperature, other_weight=share)
    np.testing.assert_allclose(actual, numpy_kullback_leibler(*logits, temperature), rtol=2e-6, atol=1e-6)


def numpy_correlation(one, other):
    one, other = one - one.mean(), other - other.mean()
    return (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())


def test_correlation_distance_equals_numpy(logits):
    teacher, student = (numpy_softmax(values, 2.0) for values in logits)
    if len(teacher) == 1:  # no correlation over a batch of one
        by_class = [1.0] * 10
    else:
        by_class = [1 - numpy_correlation(teacher[:, column], student[:, column]) for column in range(10)]
    by_example = [1 - numpy_correlation(*rows) for rows in zip(teacher, student, strict=True)]
    expected = 4 * (0.5 * np.array(by_example) + 3 * np.mean(by_class))
    options = {"temperature": 2.0, "within_example": 0.5, "within_class": 3.0}
    np.testing.assert_allclose(losses.dist(*logits, **options), expected, rtol=2e-6, atol=2e-6)
    padded = [np.concatenate([values, 9 * values[:1]]) for values in logits]
    masked = losses.dist(*padded, **options, mask=[True] * len(teacher) + [False])
    np.testing.assert_allclose(masked, [*expected, 0.0], rtol=2e-6, atol=2e-6)


def test_correlation_distance_of_answers_that_are_told_louder_is_nothing():
    """At first order a softmax is linear: small logits, ten times as large, are correlated as before."""
    teacher = np.random.default_rng(0).normal(0, 1e-3, (5, 4))
    np.testing.assert_allclose(losses.dist(teacher, 10 * teacher + 3), np.zeros(5), atol=1e-4)


def test_standardized_equals_numpy_and_knows_no_size(logits):
    def shaped(values):
        values = values.astype(np.float64)
        return (values - values.mean(-1, keepdims=True)) / values.std(-1, keepdims=True, ddof=1)

    expected = numpy_kullback_leibler(*map(shaped, logits), 2.0)
    np.testing.assert_allclose(losses.standardized_kl_divergence(*logits), expected, rtol=1e-5, atol=1e-6)
    louder = losses.standardized_kl_divergence(logits[0], 7 * logits[1] - 2)
    np.testing.assert_allclose(louder, expected, rtol=1e-5, atol=1e-6)


LABELS = np.array([0, 2, 1])
BY_LOGITS = {
    "mean_squared_error": losses.mean_squared_error,
    "kl_divergence": lambda teacher, student: losses.kl_divergence(teacher, student, temperature=3.0),
    "decoupled_kd": lambda teacher, student: losses.decoupled_kd(teacher, student, LABELS),
    "dist": losses.dist,
    "standardized_kl_divergence": losses.standardized_kl_divergence,
    "cross_entropy": lambda teacher, student: losses.cross_entropy(LABELS, student, smoothing=0.1),
    "pseudo_label_cross_entropy": functools.partial(losses.pseudo_label_cross_entropy, threshold=0.0),
    "distillation_loss": lambda teacher, student: losses.distillation_loss(temperature=2.0, weight=0.5)(
        LABELS, student, teacher
    ),
}


@pytest.mark.parametrize("name", BY_LOGITS)
def test_gradients_are_finite_differences(name):
    import tensorflow as tf

    generator = np.random.default_rng(1)
    teacher, student = (generator.normal(0, 2, (3, 4)) for _ in range(2))
    computed, measured = tf.test.compute_gradient(lambda logits: BY_LOGITS[name](teacher, logits), [student])
    np.testing.assert_allclose(computed, measured, atol=1e-6)
    assert np.abs(computed[0]).max() > 1e-3


@pytest.mark.parametrize("name", BY_LOGITS)
def test_equal_answers_and_half_precision_leave_finite_gradients(name):
    import tensorflow as tf

    for answers in (np.zeros((3, 4)), np.eye(3, 4) * 1e4):
        student = tf.Variable(tf.cast(answers, tf.bfloat16))
        with tf.GradientTape() as tape:
            loss = BY_LOGITS[name](tf.constant(answers, tf.float32), student)
        assert loss.dtype == tf.float32
        assert loss.shape == (3,)
        assert np.isfinite(loss).all()
        assert np.isfinite(np.asarray(tape.gradient(loss, student), np.float32)).all()


def test_every_loss_is_tested():
    import inspect

    public = {name for name, _ in inspect.getmembers(losses, inspect.isfunction) if not name.startswith("_")}
    assert public - {"standardized"} == set(BY_LOGITS)
    assert len(BY_LOGITS) == 8


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_of_labels_equals_numpy(logits, smoothing):
    student = logits[1]
    labels = np.arange(len(student), dtype="int32") % 10
    targets = (1 - smoothing) * np.eye(10)[labels] + smoothing / 10
    expected = -(targets * np.log(numpy_softmax(student))).sum(-1)
    for shape in ((-1,), (-1, 1)):
        found = losses.cross_entropy(labels.reshape(shape), student, smoothing=smoothing)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="smoothing=1"):
        losses.cross_entropy(labels, student, smoothing=1)


def test_the_class_that_a_sure_teacher_names_is_the_label():
    teacher = np.log(np.array([[0.96, 0.03, 0.01], [0.5, 0.3, 0.2], [0.02, 0.08, 0.9]], "float32"))
    student = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]], "float32"))
    found = losses.pseudo_label_cross_entropy(teacher, student, threshold=0.89)
    np.testing.assert_allclose(found, [np.log(2), 0, -np.log(0.6)], rtol=1e-5)
    found = losses.pseudo_label_cross_entropy(teacher, student)
    np.testing.assert_allclose(found, [np.log(2), 0, 0], rtol=1e-5)
    for threshold in (90, -0.1, np.nan):
        with pytest.raises(ValueError, match="is a probability"):
            losses.pseudo_label_cross_entropy(teacher, student, threshold=threshold)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_loss_of_labels_and_teacher_is_their_weighted_sum(logits, weight):
    teacher, student = logits
    labels = np.arange(len(student)) % 10
    soft = numpy_kullback_leibler(teacher, student, 2.0)
    hard = -np.log(numpy_softmax(student)[np.arange(len(student)), labels])
    loss = losses.distillation_loss(temperature=2.0, weight=weight)
    np.testing.assert_allclose(
        loss(labels, student, teacher), weight * soft + (1 - weight) * hard, rtol=1e-5, atol=1e-6
    )


def test_a_teacher_alone_looks_at_no_label(logits):
    unlabelled = np.full(len(logits[0]), -1)
    assert np.isfinite(losses.distillation_loss(temperature=2.0)(unlabelled, *logits)).all()


@pytest.mark.parametrize(("temperature", "weight"), [(0.0, 0.5), (2.0, 1.5), (2.0, -0.1)])
def test_a_loss_out_of_range_is_refused_before_any_batch(temperature, weight):
    with pytest.raises(ValueError, match="Received"):
        losses.distillation_loss(temperature=temperature, weight=weight)
