"""What tokens, frames and pixels have in common, with one axis of places and with two."""

import numpy as np
import pytest
import tensorflow as tf

from kerastl.tasks.dense_prediction import DensePrediction, rarest
from kerastl.tasks.segmentation import Segmentation
from kerastl.tasks.tagging import Tagging
from kerastl.tasks.transcription import Transcription

KINDS = {
    "token": (Tagging.of(("PER",)), (4, 7)),
    "frame": (Transcription(("one", "two")), (4, 7)),
    "pixel": (Segmentation(("low", "middle", "high")), (4, 5, 6)),
}
RANDOM = np.random.default_rng(0)


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("place", KINDS)
def test_each_place_counts_as_much_as_any_other(place):
    target, places = KINDS[place]
    assert isinstance(target, DensePrediction)
    assert target.place == place
    teacher, student = RANDOM.normal(size=(2, *places, 3))
    axes = tuple(range(1, len(places)))
    softened = [softmax(one / 2.0) for one in (teacher, student)]
    wanted = 4 * (softened[0] * np.log(softened[0] / softened[1])).sum(-1).mean(axes)
    found = target.distillation(tf.constant(teacher), tf.constant(student), temperature=2.0)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    answers, expected = softmax(teacher), softmax(student)
    np.testing.assert_allclose(target.served(tf.constant(teacher)), answers, atol=1e-12)
    np.testing.assert_allclose(target.difference(answers, expected), np.abs(answers - expected).max(-1).mean(axes))


@pytest.mark.parametrize("place", KINDS)
def test_answers_that_are_no_probabilities_are_refused(place):
    target, places = KINDS[place]
    answers = softmax(RANDOM.normal(size=(*places, 3)))
    assert target.refuse(answers, integer=False) is None
    check, wanted, got = target.refuse(0.97 * answers, integer=False)
    assert (check, wanted) == ("probabilities", f"{place}s >= 0 that sum to 1")
    assert got == f"a {place} that sums to 0.9700"
    assert target.refuse(0.99 * answers, integer=True) is None  # half a step of 1/256 each
    with pytest.raises(ValueError, match="are not weighed"):
        target.class_weights(np.zeros(places, int))
    with pytest.raises(ValueError, match="are not weighed"):
        target.weighted_loss({0: 1.0})


def test_which_score_is_the_better_one():
    for place, (target, _) in KINDS.items():
        assert (target.drop(0.2, 0.3) > 0) == (place != "frame"), "error rates are better where they are less"


def test_an_example_belongs_where_its_rarest_class_is():
    having = np.random.default_rng(1).random((60, 4)) < [0.9, 0.1, 0.5, 0.3]
    counts = having.sum(0)
    assert len(set(counts.tolist())) == 4
    wanted = [min(np.flatnonzero(row), key=lambda place: counts[place], default=-1) for row in having]
    assert rarest(having).tolist() == wanted
    assert -1 in wanted
