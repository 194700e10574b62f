"""The triplet loss against NumPy, triplet by triplet."""

import numpy as np
import pytest

from kerastl.training.metric_learning import triplet

RANDOM = np.random.default_rng(0)
VECTORS = RANDOM.normal(size=(12, 4)).astype("float32")
GROUPS = np.array([0, 1, 0, 2, 1, 0, 3, 3, 4, 1, 0, 2])


def twin(vectors, groups, *, margin, mining):
    units = vectors.astype("float64") / np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = np.square(units[:, None] - units[None]).sum(-1)
    losses = []
    for anchor in range(len(units)):
        positives = [one for one in range(len(units)) if one != anchor and groups[one] == groups[anchor]]
        negatives = apart[anchor, groups != groups[anchor]]
        if not positives or not len(negatives):
            continue
        if mining == "hard":
            losses.append(max(0, max(apart[anchor, positives]) - min(negatives) + margin))
            continue
        for positive in positives:
            beyond = negatives[negatives > apart[anchor, positive]]
            met = beyond.min() if len(beyond) else negatives.max()
            losses.append(max(0, apart[anchor, positive] - met + margin))
    return np.mean(losses) if losses else 0.0


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
@pytest.mark.parametrize("margin", [0.05, 0.2, 1.0])
def test_the_loss_is_its_formula(mining, margin):
    found = np.asarray(triplet.loss(7 * VECTORS, GROUPS[:, None], margin=margin, mining=mining))
    assert found.shape == (12,)
    assert found.mean() == pytest.approx(twin(VECTORS, GROUPS, margin=margin, mining=mining), rel=1e-5)


@pytest.mark.parametrize("mining", ["semi_hard", "hard"])
def test_a_batch_without_triplets_says_nothing_and_right_vectors_cost_nothing(mining):
    for groups in (np.arange(12), np.zeros(12, int)):
        assert not np.asarray(triplet.loss(VECTORS, groups, mining=mining)).any()
    assert not np.asarray(triplet.loss(np.eye(5, dtype="float32")[GROUPS], GROUPS, mining=mining)).any()


def test_an_unknown_mining_is_refused():
    with pytest.raises(ValueError, match="semi_hard"):
        triplet.loss(VECTORS, GROUPS, mining="easy")
