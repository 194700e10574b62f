"""The score of neighbours while training: it stands in the curves, and is what `probe` says of the features."""

import keras
import numpy as np
import pytest

from kerastl.pretraining import neighbour_score, probe


class Holder:
    """What the callback asks of a model under training."""

    def __init__(self):
        vector = keras.Input((4,))
        self.encoder = keras.Model(vector, keras.layers.Dense(3)(vector))


def test_the_logs_have_what_neighbours_say_of_the_features():
    generator = np.random.default_rng(0)
    known, inputs = generator.normal(size=(30, 4)), generator.normal(size=(20, 4))
    labels, actual = generator.integers(0, 3, 30), generator.integers(0, 3, 20)
    score = neighbour_score.NeighbourScore(known, labels, inputs=inputs, actual=actual, neighbours=5, batch_size=7)
    score.set_model(holder := Holder())
    score.on_epoch_end(0, logs := {"loss": 1.0})
    features = [np.asarray(holder.encoder(some.astype("float32"))) for some in (known, inputs)]
    wanted = probe.nearest_neighbour_accuracy(features[1], actual, known=features[0], labels=labels, neighbours=5)
    assert logs == {"loss": 1.0, "knn_accuracy": pytest.approx(wanted)}


def test_not_a_label_for_each_is_refused():
    some = np.zeros((3, 4))
    for known, inputs in ((some[:2], some), (some, some[:2]), (some[:0], some)):
        with pytest.raises(ValueError, match="a label each"):
            neighbour_score.NeighbourScore(known, np.zeros(3, int), inputs=inputs, actual=np.zeros(3, int))
