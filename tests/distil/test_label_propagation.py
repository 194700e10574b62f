"""Neighbours and the means over them, against SciPy and against sums written down."""

import keras
import numpy as np
import pytest
from scipy.spatial import distance
from toy import softmax

from kerastl.data import pipeline
from kerastl.distil import label_propagation, logit_cache
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Split, Task

GENERATOR = np.random.default_rng(0)


@pytest.mark.parametrize("block", [1, 7, 100])
def test_neighbours_are_those_of_scipy(block):
    features = GENERATOR.normal(size=(50, 6)).astype("float32")
    apart = distance.cdist(features, features, "cosine")
    np.fill_diagonal(apart, np.inf)
    found = label_propagation.nearest(features, count=5, block=block)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.argsort(apart, axis=1)[:, :5])


def test_twins_name_each_other_and_not_themselves_however_long_they_are():
    features = np.array([[1, 0], [0, 1], [9, 0], [1, 3]], "float32")
    np.testing.assert_array_equal(label_propagation.nearest(features, count=1)[:, 0], [2, 3, 0, 1])


def test_a_row_of_zeros_is_near_to_none():
    features = np.array([[0, 0], [1, 0.1], [1, -0.1], [1, 0.2]], "float32")
    found = label_propagation.nearest(features, count=2)
    assert 0 not in found
    assert (np.sort(found[0])[1:] != np.sort(found[0])[:-1]).all()


def test_the_callers_features_stay_as_they_were():
    features = GENERATOR.normal(size=(9, 3)).astype("float32")
    before = features.copy()
    label_propagation.nearest(features, count=2)
    np.testing.assert_array_equal(features, before)


def test_means_go_over_views_and_then_over_neighbours():
    logits = GENERATOR.normal(size=(3, 4, 5)) * 4
    neighbours = np.array([[1, 2], [0, 3], [3, 0], [2, 1]])
    own = softmax(logits).mean(0)
    np.testing.assert_allclose(np.exp(label_propagation.propagated(logits)), own, rtol=1e-6)
    found = label_propagation.propagated(logits, neighbours=neighbours)
    assert found.dtype == np.float32
    for row, near in enumerate(neighbours):
        np.testing.assert_allclose(softmax(found)[row], (own[row] + own[near[0]] + own[near[1]]) / 3, rtol=1e-5)


def test_answers_that_are_all_too_sure_stay_finite():
    found = label_propagation.propagated(np.array([[[0.0, -2000.0], [2000.0, 0.0]]]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(softmax(found), [[1, 0], [1, 0]], atol=1e-30)


def test_a_mistake_among_neighbours_is_mended():
    """Three heaps; of each a fifth is named wrongly, of its neighbours most are right."""
    heaps = np.repeat([0, 1, 2], 40)
    features = (np.eye(3)[heaps] + 0.1 * GENERATOR.normal(size=(120, 3))).astype("float32")
    named = np.where(np.arange(120) % 5 == 0, (heaps + 1) % 3, heaps)
    near = label_propagation.nearest(features, count=15)
    found = label_propagation.propagated(4 * np.eye(3)[named][None], neighbours=near).argmax(1)
    assert (named == heaps).mean() == 0.8
    assert (found == heaps).mean() > 0.97


def task_of(size):
    return Task("heaps", Image((size, size, 1)), SingleLabel(("a", "b", "c")))


def stored(folder, *, drop_remainder):
    """Answers of a small teacher to two views of ten pictures, in batches of four."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 1))
    teacher = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs / 255.0)))
    pictures = GENERATOR.integers(0, 256, (10, 6, 6, 1)).astype("uint8")
    views = pipeline.batches(
        Split("train", pictures, np.full(10, -1, np.int32), task_of(6)),
        batch_size=4,
        shuffle=True,
        augment=augmentation.image_augmentation(translation=0.3, seed=1),
        drop_remainder=drop_remainder,
        views=2,
    )
    return logit_cache.write(folder, views, teacher=teacher, progress=False)


def test_stored_answers_are_taken(tmp_path):
    found = stored(tmp_path / "answers", drop_remainder=False)
    logits = np.stack([found[view, np.arange(10)] for view in range(2)])
    assert np.abs(logits[0] - logits[1]).max() > 0.01, "two views"
    np.testing.assert_allclose(np.exp(label_propagation.propagated(found)), softmax(logits).mean(0), rtol=1e-5)


def test_answers_that_lack_the_last_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="drop_remainder=True"):
        label_propagation.propagated(stored(tmp_path / "answers", drop_remainder=True))


def test_logarithms_of_means_are_answers_of_the_pipeline():
    """What a student hears of a picture is its own mean, wherever the order of the epoch has put it."""
    pictures = np.arange(6, dtype="uint8").reshape(6, 1, 1, 1)
    lesson = label_propagation.propagated(GENERATOR.normal(size=(2, 6, 3)))
    split = Split("train", pictures, np.full(6, -1, np.int32), task_of(1))
    for inputs, (_, heard) in pipeline.batches(split, batch_size=4, shuffle=True, seed=3, answers=lesson):
        np.testing.assert_array_equal(heard.numpy(), lesson[inputs.numpy().astype(int).ravel()])


FEATURES = np.ones((4, 2), "float32")
ANSWERS = np.zeros((1, 4, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: label_propagation.nearest(FEATURES, count=0), "count=0"),
        (lambda: label_propagation.nearest(FEATURES, count=4), "count=4"),
        (lambda: label_propagation.nearest(FEATURES[..., None], count=1), r"shape \(4, 2, 1\)"),
        (lambda: label_propagation.nearest(FEATURES * np.nan, count=1), "NaN or infinity"),
        (lambda: label_propagation.propagated(ANSWERS * np.nan), "NaN or infinity"),
        (lambda: label_propagation.propagated(ANSWERS, neighbours=np.zeros((3, 1), int)), r"shape \(3, 1\)"),
        (lambda: label_propagation.propagated(ANSWERS, neighbours=np.zeros(4, int)), r"shape \(4,\)"),
        (lambda: label_propagation.propagated(ANSWERS, neighbours=np.full((4, 1), 4)), "to 4"),
        (lambda: label_propagation.propagated(ANSWERS, neighbours=np.full((4, 1), -1)), "from -1"),
    ],
)
def test_what_cannot_be_propagated_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
