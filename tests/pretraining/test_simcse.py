"""SimCSE's loss against a loop over sentences, and an encoder whose dropout makes its views."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.pretraining import simcse, two_views
from kerastl.training import fitting
from kerastl.types import Schedule


def by_hand(first, second, temperature):
    total = 0.0
    for i, one in enumerate(first):
        cosines = [one @ other / np.linalg.norm(one) / np.linalg.norm(other) for other in second]
        powers = np.exp(np.array(cosines) / temperature)
        total -= np.log(powers[i] / powers.sum())
    return total / len(first)


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_it_equals_numpy(temperature):
    generator = np.random.default_rng(1)
    views = generator.normal(size=(6, 5)), generator.normal(size=(6, 5))
    wanted = by_hand(*views, temperature)
    np.testing.assert_allclose(simcse.loss(*views, temperature=temperature), wanted, rtol=1e-10)
    assert by_hand(*views[::-1], temperature) != pytest.approx(wanted)  # which view is the first matters


def test_sentences_that_are_all_the_same_are_guessed():
    np.testing.assert_allclose(simcse.loss(np.ones((5, 3)), np.ones((5, 3))), np.log(5), rtol=1e-6)
    with pytest.raises(ValueError, match="Received"):
        simcse.loss(np.ones((5, 3)), np.ones((5, 3)), temperature=0.0)


def test_dropout_alone_makes_two_views_of_token_ids():
    keras.utils.set_random_seed(0)
    ids = keras.Input((6,), dtype="int32")
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(40, 16)(ids))
    encoder = keras.Model(ids, keras.layers.Dropout(0.3)(keras.layers.Dense(16)(x)))
    projector = keras.Sequential([keras.Input((16,)), keras.layers.Dense(16, activation="tanh")])
    seen = []

    def remember(first, second):
        seen.append((first, second))
        return simcse.loss(first, second)

    model = two_views.TwoViews(encoder, projector=projector, augment=None, objective=remember)
    sentences = np.random.default_rng(0).integers(0, 40, (64, 6)).astype("int32")
    model.compile("sgd", run_eagerly=True)
    model.train_on_batch(sentences[:8])
    assert not np.allclose(seen[0][0], seen[0][1])
    schedule = Schedule(epochs=6, batch_size=16, peak_learning_rate=5e-3)
    model = two_views.TwoViews(encoder, projector=projector, augment=None, objective=simcse.loss)
    batches = tf.data.Dataset.from_tensor_slices(sentences).batch(16)
    losses = fitting.fit(model, batches, schedule=schedule, keep="last", progress=False).values["loss"]
    assert losses[-1] < 0.9 * losses[0]
