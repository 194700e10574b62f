"""Means of bootstrap samples, against one sample after the other."""

import numpy as np
import pytest

from kerastl.tasks import resampling


@pytest.mark.parametrize("count", [1, 7, 121, 5000])
def test_means_are_those_of_one_sample_after_the_other(count):
    errors = np.random.default_rng(5).gamma(2, size=count)
    draw = np.random.default_rng(0)
    wanted = [errors[draw.integers(0, count, count)].mean() for _ in range(1000)]
    np.testing.assert_array_equal(resampling.means(errors), wanted)
