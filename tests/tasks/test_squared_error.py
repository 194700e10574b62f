"""Squared error in standard deviations, against NumPy: of numbers, of pictures, of one number without its axis."""

import keras
import numpy as np
import pytest

from kerastl.tasks import squared_error

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(5, 1), (5, 3), (5, 4, 4, 3)], ids=str)
@pytest.mark.parametrize("spread", ["one for all", "one a place"])
def test_it_is_the_mean_over_the_numbers_of_an_example(shape, spread):
    scale = np.array([2.5]) if spread == "one for all" else np.arange(1, shape[-1] + 1) / 2
    wanted, given = RANDOM.normal(size=(2, *shape)).astype("float32")
    loss = squared_error.standardized()(spread=scale, reduction=None)
    expected = (((given - wanted) / scale) ** 2).reshape(5, -1).mean(-1)
    np.testing.assert_allclose(loss(wanted, given), expected, rtol=1e-5)
    assert float(squared_error.standardized()(spread=scale)(wanted, given)) == pytest.approx(expected.mean(), rel=1e-5)


def test_labels_of_one_number_may_lack_their_axis():
    wanted, given = np.array([1.0, 4.0], "float32"), np.array([[2.0], [2.0]], "float32")
    assert float(squared_error.standardized()(spread=[2.0])(wanted, given)) == pytest.approx((0.25 + 1) / 2)


def test_a_saved_loss_keeps_its_spread():
    loss = squared_error.standardized()(spread=[2.0, 3.0])
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is squared_error.standardized()
    assert again.spread == [2.0, 3.0]
