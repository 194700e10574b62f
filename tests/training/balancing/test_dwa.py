"""Dynamic weight average against equation 7 of Liu et al. in NumPy."""

import numpy as np
import pytest

from kerastl.training.balancing import dwa


def test_weights_by_hand():
    last, before = np.array([0.9, 0.2]), np.array([1.0, 0.4])  # the first falls by a tenth, the second by half
    powers = np.exp(np.array([0.9, 0.5]) / 2)
    np.testing.assert_allclose(dwa.weights(last, before), 2 * powers / powers.sum(), atol=1e-9)
    assert dwa.weights(last, before)[0] > 1


def test_a_rule_goes_by_the_mean_losses_of_two_epochs():
    rule, draw = dwa.DynamicWeightAverage(steps=3, temperature=1.5), np.random.default_rng(0)
    losses = draw.uniform(0.1, 1, (12, 2)).astype("float32")
    state, found = dict(rule.start(["side", "heat"])), []
    for one in losses:
        weights, changed = rule.weigh(one, np.eye(2), state)
        state |= changed
        found.append(np.asarray(weights))
    np.testing.assert_array_equal(found[:6], np.ones((6, 2)))
    means = losses.astype("float64").reshape(4, 3, 2).mean(1)
    for epoch in (2, 3):
        powers = np.exp(means[epoch - 1] / means[epoch - 2] / 1.5)
        for weights in found[3 * epoch : 3 * epoch + 3]:
            np.testing.assert_allclose(weights, 2 * powers / powers.sum(), atol=1e-6)


@pytest.mark.parametrize("options", [{"steps": 0}, {"steps": 1, "temperature": 0.0}])
def test_what_is_no_epoch_and_no_temperature_is_refused(options):
    with pytest.raises(ValueError, match="a step or more an epoch"):
        dwa.DynamicWeightAverage(**options)
