"""The supervised contrastive loss against its formula, pair by pair."""

import keras
import numpy as np
import pytest

from kerastl.tasks.embedding import Embedding
from kerastl.tasks.embedding_training import SupervisedContrastive

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(9, 5)).astype("float32")
GROUPS = np.array([0, 1, 0, 2, 1, 0, 3, 3, 4])  # groups 2 and 4 have one example each


def by_formula(vectors, groups, temperature):
    unit = vectors.astype("float64") / np.linalg.norm(vectors, axis=1, keepdims=True)
    losses = []
    for one in range(len(unit)):
        others = [other for other in range(len(unit)) if other != one]
        positives = [other for other in others if groups[other] == groups[one]]
        if positives:
            total = sum(np.exp(unit[one] @ unit[other] / temperature) for other in others)
            shares = [np.exp(unit[one] @ unit[other] / temperature) / total for other in positives]
            losses.append(-np.mean(np.log(shares)))
    return np.mean(losses)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_the_loss_is_its_formula(temperature):
    loss = SupervisedContrastive(temperature)
    wanted = by_formula(VECTORS, GROUPS, temperature)
    assert float(loss(GROUPS, VECTORS)) == pytest.approx(wanted, rel=1e-5)
    assert float(loss(GROUPS[:, None], 7 * VECTORS)) == pytest.approx(wanted, rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(GROUPS, VECTORS)) == pytest.approx(wanted, rel=1e-5)
    assert again.temperature == temperature


def test_a_batch_without_pairs_says_nothing():
    assert float(SupervisedContrastive()(np.arange(9), VECTORS)) == 0


def test_right_vectors_cost_less_and_what_is_no_temperature_is_refused():
    loss = Embedding(tuple("abcde")).loss()
    assert isinstance(loss, SupervisedContrastive)
    assert float(loss(GROUPS, np.eye(5)[GROUPS])) < float(loss(GROUPS, VECTORS)) / 2
    for wrong in (0, -1, float("inf")):
        with pytest.raises(ValueError, match="temperature"):
            SupervisedContrastive(wrong)
