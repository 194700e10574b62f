"""The losses of cosines to proxies against NumPy, example by example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.training.metric_learning import arcface, cosface, proxy_anchor

COSINES = np.random.default_rng(1).uniform(-1, 1, (9, 4)).astype("float32")
COSINES[:2] = [[-0.999, 0.2, 0.1, 0.0], [0.3, -0.97, 0.5, 1.0]]  # angles beyond which the margin would pass pi
GROUPS = np.array([0, 1, 2, 2, 0, 1, 1, 0, 2])  # nothing is of group 3


def cross_entropy(logits, group):
    return np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[group]


def arcface_twin(row, group, *, margin, scale):
    angle, changed = np.arccos(row[group]), row.astype("float64").copy()
    changed[group] = np.cos(angle + margin) if angle + margin < np.pi else row[group] - margin * np.sin(margin)
    return cross_entropy(scale * changed, group)


def cosface_twin(row, group, *, margin, scale):
    changed = row.astype("float64").copy()
    changed[group] -= margin
    return cross_entropy(scale * changed, group)


@pytest.mark.parametrize("scale", [4.0, 30.0])
@pytest.mark.parametrize(("module", "twin"), [(arcface, arcface_twin), (cosface, cosface_twin)])
def test_a_margin_is_its_formula(module, twin, scale):
    for margin in (0.0, 0.2, 0.5):
        found = np.asarray(module.loss(COSINES, GROUPS[:, None], margin=margin, scale=scale))
        wanted = [twin(row, group, margin=margin, scale=scale) for row, group in zip(COSINES, GROUPS, strict=True)]
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(("margin", "scale"), [(0.1, 32.0), (0.3, 4.0)])
def test_proxy_anchor_is_its_formula(margin, scale):
    drawn, repelled = [], []
    for proxy in range(COSINES.shape[1]):
        column = COSINES[:, proxy].astype("float64")
        own = column[proxy == GROUPS]
        if len(own):
            drawn.append(np.log(1 + np.exp(-scale * (own - margin)).sum()))
        repelled.append(np.log(1 + np.exp(scale * (column[proxy != GROUPS] + margin)).sum()))
    found = np.asarray(proxy_anchor.loss(COSINES, GROUPS, margin=margin, scale=scale))
    np.testing.assert_allclose(found, np.full(9, np.mean(drawn) + np.mean(repelled)), rtol=1e-5)


@pytest.mark.parametrize("module", [arcface, cosface, proxy_anchor])
def test_gradients_are_finite_where_vectors_lie_on_proxies(module):
    cosines = tf.Variable(np.where(np.eye(4)[GROUPS] > 0, 1.0, -1.0).astype("float32"))
    with tf.GradientTape() as tape:
        value = keras.ops.mean(module.loss(cosines, GROUPS))
    assert np.isfinite(tape.gradient(value, cosines).numpy()).all()
    assert float(value) < float(keras.ops.mean(module.loss(-cosines, GROUPS)))
