"""Fixed weights: by name, 1 where nothing is said."""

import numpy as np
import pytest

from kerastl.training.balancing.fixed import FixedWeights


def test_weights_are_as_they_were_given():
    rule = FixedWeights({"heat": 3.0})
    state = rule.start(["side", "heat"])
    weights, changed = rule.weigh(np.array([9.0, 9.0]), np.eye(2), state)
    np.testing.assert_array_equal(weights, [1, 3])
    assert changed == {}


@pytest.mark.parametrize("weights", [{"heats": 1.0}, {"heat": -1.0}, {"heat": np.inf}])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(ValueError, match=r"for the tasks side, heat\. Received: "):
        FixedWeights(weights).start(["side", "heat"])
