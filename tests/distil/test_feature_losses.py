"""Losses on features against loops in NumPy and numbers worked out by hand; masks, gradients, half precision."""

from __future__ import annotations

import inspect
import itertools

import numpy as np
import pytest
import tensorflow as tf
from toy import softmax

from kerastl.distil import feature_losses

GENERATOR = np.random.default_rng(7)
TEACHER, STUDENT = GENERATOR.normal(0, 1, (6, 5)), GENERATOR.normal(0, 2, (6, 5))
MAPS = GENERATOR.normal(0, 1, (3, 4, 4, 8)), GENERATOR.normal(0, 1, (3, 4, 4, 2))
STATES = GENERATOR.normal(0, 1, (2, 5, 12)), GENERATOR.normal(0, 1, (2, 5, 12))
NARROW = GENERATOR.normal(0, 1, (2, 5, 6))
REAL_TOKENS = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]], bool)


ATTENTION = [softmax(GENERATOR.normal(0, 1, (2, 3, 5, 5))) for _ in range(2)]


def huber(difference):
    return 0.5 * difference**2 if abs(difference) <= 1 else abs(difference) - 0.5


def divergence(teacher, student):
    return float((teacher * (np.log(teacher) - np.log(student))).sum())


# -------------------------------------------------------------------------------------------------------- NumPy twins


def numpy_hint(teacher, student):
    return [0.5 * ((one - other) ** 2).mean() for one, other in zip(teacher, student, strict=True)]


def numpy_attention_transfer(teacher, student):
    found = []
    for one, other in zip(teacher, student, strict=True):
        maps = [(features**2).sum(-1).ravel() for features in (one, other)]
        maps = [values / np.linalg.norm(values) for values in maps]
        found.append(0.5 * ((maps[0] - maps[1]) ** 2).sum())
    return found


def numpy_relational_distance(teacher, student):
    count = len(teacher)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    means = [np.mean([np.linalg.norm(x[i] - x[j]) for i, j in pairs]) for x in (teacher, student)]
    return [
        np.mean(
            [
                huber(
                    np.linalg.norm(teacher[i] - teacher[j]) / means[0]
                    - np.linalg.norm(student[i] - student[j]) / means[1]
                )
                for j in range(count)
                if j != i
            ]
        )
        for i in range(count)
    ]


def numpy_relational_angle(teacher, student):
    def cosine(x, i, j, k):
        one, other = x[i] - x[j], x[k] - x[j]
        return one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    return [
        np.mean(
            [
                huber(cosine(teacher, i, j, k) - cosine(student, i, j, k))
                for i, k in itertools.permutations([n for n in range(len(teacher)) if n != j], 2)
            ]
        )
        for j in range(len(teacher))
    ]


def numpy_similarity_preserving(teacher, student):
    grams = [x.reshape(len(x), -1) @ x.reshape(len(x), -1).T for x in (teacher, student)]
    grams = [gram / np.linalg.norm(gram, axis=1, keepdims=True) for gram in grams]
    return ((grams[0] - grams[1]) ** 2).mean(1)


def numpy_contrastive(teacher, student, temperature=0.1):
    teacher, student = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (teacher, student))
    return [-np.log(softmax(row @ teacher.T / temperature)[place]) for place, row in enumerate(student)]


def numpy_hidden_state(teacher, student, mask=None):
    mask = np.ones(teacher.shape[:2], bool) if mask is None else mask
    return [((one - other)[real] ** 2).mean() for one, other, real in zip(teacher, student, mask, strict=True)]


def numpy_attention_distribution(teacher, student, mask=None):
    found = []
    for text in range(len(teacher)):
        real = np.ones(teacher.shape[-1], bool) if mask is None else mask[text]
        values = []
        for head in range(teacher.shape[1]):
            for token in np.flatnonzero(real):
                one, other = teacher[text, head, token, real], student[text, head, token, real]
                values.append(divergence(one / one.sum(), other / other.sum()))
        found.append(np.mean(values))
    return found


def numpy_self_attention_relation(teacher, student, heads, mask=None):
    relations = []
    for vectors in (teacher, student):
        parts = np.split(vectors, heads, axis=-1)
        width = vectors.shape[-1] // heads
        relations.append(softmax(np.stack([part @ part.transpose(0, 2, 1) / np.sqrt(width) for part in parts], 1)))
    return numpy_attention_distribution(*relations, mask=mask)


def relation_of_three(teacher, student, **options):
    return feature_losses.self_attention_relation(teacher, student, heads=3, **options)


def numpy_relation_of_three(teacher, student, **options):
    return numpy_self_attention_relation(teacher, student, 3, **options)


# name -> (loss, twin, teacher's and student's features)
BY_EXAMPLE = {
    "relational_distance": (feature_losses.relational_distance, numpy_relational_distance, (TEACHER, STUDENT[:, :3])),
    "relational_angle": (feature_losses.relational_angle, numpy_relational_angle, (TEACHER, STUDENT[:, :3])),
    "similarity_preserving": (
        feature_losses.similarity_preserving,
        numpy_similarity_preserving,
        (TEACHER, STUDENT[:, :3]),
    ),
    "contrastive": (feature_losses.contrastive, numpy_contrastive, (TEACHER, STUDENT)),
}
BY_TOKEN = {
    "hidden_state": (feature_losses.hidden_state, numpy_hidden_state, STATES),
    "attention_distribution": (feature_losses.attention_distribution, numpy_attention_distribution, ATTENTION),
    "self_attention_relation": (relation_of_three, numpy_relation_of_three, (STATES[0], NARROW)),
}
ALONE = {
    "hint": (feature_losses.hint, numpy_hint, (MAPS[0][..., :2], MAPS[1])),
    "attention_transfer": (feature_losses.attention_transfer, numpy_attention_transfer, MAPS),
}
ALL = {**ALONE, **BY_EXAMPLE, **BY_TOKEN}


def test_every_loss_has_its_twin():
    public = {name for name, _ in inspect.getmembers(feature_losses, inspect.isfunction) if not name.startswith("_")}
    assert public == set(ALL)
    assert len(public) == 9


@pytest.mark.parametrize(("name", "batch"), [(name, 3) for name in ALL] + [(name, 2) for name in {**ALONE, **BY_TOKEN}])
def test_equals_its_twin(name, batch):
    loss, twin, pair = ALL[name]
    pair = [features[:batch] for features in pair] if len(pair[0]) > batch else pair
    expected = twin(*pair)
    np.testing.assert_allclose(loss(*pair), expected, rtol=1e-6, atol=1e-9)
    single = loss(*(features.astype("float32") for features in pair))
    assert single.dtype == tf.float32
    np.testing.assert_allclose(single, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", BY_EXAMPLE)
def test_examples_behind_the_mask_are_as_if_they_were_not_there(name):
    loss, twin, (teacher, student) = BY_EXAMPLE[name]
    mask = np.array([True, False, True, True, False, True])
    found = loss(teacher, student, mask=mask).numpy()
    np.testing.assert_allclose(found[mask], twin(teacher[mask], student[mask]), rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found[~mask], 0)


@pytest.mark.parametrize("name", BY_TOKEN)
def test_padding_is_as_if_it_were_not_there(name):
    loss, twin, pair = BY_TOKEN[name]
    np.testing.assert_allclose(loss(*pair, mask=REAL_TOKENS), twin(*pair, mask=REAL_TOKENS), rtol=1e-6, atol=1e-9)
    found = loss(*pair, mask=np.zeros_like(REAL_TOKENS)).numpy()
    np.testing.assert_array_equal(found, 0)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_finite_differences(name):
    loss, _, (teacher, student) = ALL[name]
    computed, measured = tf.test.compute_gradient(lambda features: loss(teacher, features), [student], delta=1e-6)
    np.testing.assert_allclose(computed, measured, atol=1e-6)
    assert np.abs(computed[0]).max() > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_equal_features_zeros_and_half_precision_leave_finite_gradients(name):
    loss, _, (teacher, student) = ALL[name]
    for features in (student, np.zeros_like(student)):
        variable = tf.Variable(tf.cast(features, tf.bfloat16))
        for other in (teacher, features if teacher.shape == student.shape else np.zeros_like(teacher)):
            with tf.GradientTape() as tape:
                found = loss(tf.constant(other, tf.float32), variable)
            assert found.dtype == tf.float32
            assert np.isfinite(found).all()
            assert np.isfinite(np.asarray(tape.gradient(found, variable), np.float32)).all()


def test_the_same_features_cost_nothing():
    for loss, _, (teacher, _) in (ALL[name] for name in ALL if name != "contrastive"):
        np.testing.assert_allclose(loss(teacher, teacher), np.zeros(len(teacher)), atol=1e-9)


def test_by_hand():
    corner = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    line = np.array([[0.0], [1.0], [2.0]])
    # distances 1, 1, root 2, of mean (2 + root 2) / 3, against 1, 2, 1, of mean 4 / 3
    unit, mean = 3 / (2 + 2**0.5), 3 / 4
    first = (0.5 * (unit - mean) ** 2 + 0.5 * (unit - 2 * mean) ** 2) / 2
    np.testing.assert_allclose(feature_losses.relational_distance(corner, line)[0], first, rtol=1e-9)
    # a right angle and two of 45 degrees, against 0, 180 and 0 degrees
    slope = 2**-0.5
    angles = [0.5, 0.5 * (1 - slope) ** 2, 0.5 * (1 - slope) ** 2]
    angles[1] = slope + 1 - 0.5  # the cosine falls from that of 45 degrees to -1: beyond Huber's square
    np.testing.assert_allclose(feature_losses.relational_angle(corner, line), angles, rtol=1e-9)
    # every other example is as near as the right one
    same = np.ones((4, 3))
    np.testing.assert_allclose(feature_losses.contrastive(same, same), [np.log(4)] * 4, rtol=1e-9)
    # all strength in one place against all in another: two maps at right angles
    one, other = np.zeros((1, 2, 1, 3)), np.zeros((1, 2, 1, 1))
    one[0, 0], other[0, 1] = 5.0, 2.0
    np.testing.assert_allclose(feature_losses.attention_transfer(one, other), [1.0])


def test_other_shapes_are_refused_in_words():
    with pytest.raises(ValueError, match=r"features of one shape.*Received: teacher \(6, 5\), student \(6, 3\)"):
        feature_losses.hint(TEACHER, STUDENT[:, :3])
    with pytest.raises(ValueError, match="one shape"):
        feature_losses.contrastive(TEACHER, STUDENT[:, :3])
    with pytest.raises(ValueError, match=r"multiples of the number of heads. Received: \[12, 6\], heads=4"):
        feature_losses.self_attention_relation(STATES[0], NARROW, heads=4)
    with pytest.raises(ValueError, match="above 0"):
        feature_losses.contrastive(TEACHER, STUDENT, temperature=0.0)
    with pytest.raises(ValueError, match="one shape"):
        feature_losses.hidden_state(STATES[0], STATES[1][:, :, :3])
    heads = np.full((2, 3, 4, 4), 0.25, "float32")
    with pytest.raises(ValueError, match="one shape"):
        feature_losses.attention_distribution(heads, heads[:, :1])
    maps = np.zeros((2, 4, 4, 3), "float32")
    with pytest.raises(ValueError, match="one shape"):
        feature_losses.attention_transfer(maps, maps[:, :2])
    with pytest.raises(ValueError, match=r"places: wanted maps.*Received: teacher \(6, 5\), student \(6, 5\)"):
        feature_losses.attention_transfer(TEACHER, TEACHER)
