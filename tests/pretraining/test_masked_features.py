"""Masked features: what is swapped and by what, the loss against NumPy, and an encoder that learns from rows alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.inputs.numbers import Numbers
from kerastl.pretraining import masked_features
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Schedule, Split, Task


def rows(count=400):
    """Six columns of two hidden numbers, of units far apart."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(count, 2))
    return (hidden @ generator.normal(size=(2, 6)) * [1, 1, 1, 100, 100, 0.01] + 5).astype("float32")


def test_a_number_is_swapped_for_another_of_its_column():
    values = rows()
    found = masked_features.corrupt(values, seed=(1, 2), share=0.3)
    seen, mask = np.asarray(found.values), np.asarray(found.mask)
    np.testing.assert_array_equal(seen[~mask], values[~mask])
    assert mask.mean() == pytest.approx(0.3, abs=0.03)  # 2,400 draws: three standard deviations
    for column in range(6):
        assert np.isin(seen[:, column], values[:, column]).all()
    assert (seen != values)[mask].mean() > 0.99
    # columns are swapped each in its own order: their swapped numbers come from different rows
    whole = np.asarray(masked_features.corrupt(values, seed=(1, 2), share=0.999).values)
    origins = [np.argmax(whole[:, column, None] == values[None, :, column], 1) for column in (0, 1)]
    assert (origins[0] != origins[1]).mean() > 0.95
    np.testing.assert_array_equal(seen, masked_features.corrupt(values, seed=(1, 2), share=0.3).values)
    assert (np.asarray(masked_features.corrupt(values, seed=(1, 3)).mask) != mask).any()


def test_the_loss_equals_numpy():
    generator = np.random.default_rng(2)
    values, estimates = generator.normal(size=(2, 5, 4))
    mask = generator.random((5, 4)) < 0.5
    wanted = ((estimates - values)[mask] ** 2).mean()
    np.testing.assert_allclose(masked_features.loss(values, estimates, mask=mask), wanted, rtol=1e-10)
    assert float(masked_features.loss(values, estimates, mask=np.zeros((5, 4), bool))) == 0


def test_an_encoder_learns_how_columns_hang_together():
    values = rows()
    scale = 1 / values.std(0)
    offset = -values.mean(0) * scale
    keras.utils.set_random_seed(0)
    row = keras.Input((6,))
    x = keras.layers.Rescaling(scale.tolist(), offset=offset.tolist())(row)
    encoder = keras.Model(row, keras.layers.Dense(16, activation="relu")(keras.layers.Dense(32, activation="relu")(x)))
    model = masked_features.MaskedFeatures(encoder, scale=scale, offset=offset)
    task = Task("toy", Numbers((6,)), SingleLabel(("a", "b")))
    split = Split("train", values, np.zeros(len(values), "int32"), task)
    schedule = Schedule(epochs=25, batch_size=50, peak_learning_rate=1e-2)
    losses = fitting.fit(model, split, schedule=schedule, keep="last", progress=False).values["loss"]
    assert losses[0] > 0.7  # of columns in standard deviations, 1 is the mean of each
    assert losses[-1] < 0.45
    assert int(model._step) == 200
    model.compile("sgd")
    batches = tf.data.Dataset.from_tensor_slices(values).batch(100)
    assert model.evaluate(batches, verbose=0) == model.evaluate(batches, verbose=0)  # of the same numbers


def test_what_does_not_fit_is_refused():
    for values, share in ((rows()[0], 0.3), (rows(), 0.0), (rows(), 1.0)):
        with pytest.raises(ValueError, match="share="):
            masked_features.corrupt(values, seed=(0, 0), share=share)
    with pytest.raises(ValueError, match="of one shape"):
        masked_features.loss(np.ones((2, 3)), np.ones((2, 4)), mask=np.ones((2, 3), bool))
    image = keras.Input((4, 4, 1))
    with pytest.raises(ValueError, match="encoder of rows"):
        masked_features.MaskedFeatures(keras.Model(image, keras.layers.Flatten()(image)))
