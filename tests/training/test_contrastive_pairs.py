from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from kerastl.inputs.text import Text
from kerastl.inputs.wordpiece import SPECIAL
from kerastl.tasks.regression import Regression
from kerastl.training import contrastive_pairs, fitting, transfer
from kerastl.types import Schedule, Split, Task

KIND = Text(6, (*SPECIAL, *(f"w{number}" for number in range(20))))
LABELS = np.array([0, 1, 2, 0, 1, 0, 1, 0, 1, 1], np.int32)  # one text is alone in its class


def test_pairs_are_of_one_class_and_of_two_and_every_partner_comes():
    pairs = contrastive_pairs.drawn(LABELS, rounds=60, seed=0)
    assert pairs.same.shape == (60 * (9 + 10), 1)
    assert (pairs.first != pairs.second).all()
    same = LABELS[pairs.first] == LABELS[pairs.second]
    np.testing.assert_array_equal(pairs.same[:, 0], same)
    found = set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    texts = range(len(LABELS))
    assert found == {(one, other) for one in texts for other in texts if one != other}
    counts = np.bincount(pairs.first[same], minlength=10)
    assert counts.tolist() == [60 * (label != 2) for label in LABELS]
    for one, other in zip(pairs, contrastive_pairs.drawn(LABELS, rounds=60, seed=0), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (contrastive_pairs.drawn(LABELS, rounds=60, seed=1).second != pairs.second).any()


@pytest.mark.parametrize(("labels", "rounds"), [(np.zeros(4, np.int32), 1), (LABELS, 0), (LABELS[:, None], 1)])
def test_pairs_need_two_classes_and_a_round(labels, rounds):
    with pytest.raises(ValueError, match=r"texts of two classes or more, one each\. Received: labels"):
        contrastive_pairs.drawn(labels, rounds=rounds, seed=0)


def test_few_texts_make_many_pairs_and_many_texts_one_round():
    assert contrastive_pairs.schedule(16)[0] == 20  # Tunstall et al., section 4
    for examples in (770, 1540, 100_000):
        rounds, schedule = contrastive_pairs.schedule(examples)
        assert rounds == max(round(3200 / examples), 1)
        assert (schedule.epochs, schedule.batch_size, schedule.peak_learning_rate) == (1, 16, 2e-5)
    with pytest.raises(ValueError, match="Received: 1 to learn from"):
        contrastive_pairs.schedule(1)


@pytest.fixture(scope="module")
def texts():
    """Texts whose first word says the class, in words that an encoder from nothing does not know yet."""
    draw = np.random.default_rng(0)
    ids = draw.integers(10, 25, (24, 6)).astype(np.int32)
    labels = np.arange(24) % 2
    ids[:, 0], ids[:, 1], ids[:, 4:] = 2, 5 + labels, [3, 0]
    return ids, labels.astype(np.int32)


def test_cosines_are_those_of_the_features_and_move_to_their_labels(texts):
    ids, labels = texts
    keras.utils.set_random_seed(0)
    ids_in = keras.Input((6,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(25, 16, embeddings_initializer="normal", name="words")(ids_in)
    x = keras.layers.Dense(16, activation="tanh", name="hidden")(x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(ids_in, keras.layers.Dense(2, name="logits")(x))
    body = transfer.feature_extractor(model)
    drawn = contrastive_pairs.drawn(labels, rounds=4, seed=0)
    given = np.concatenate([ids[drawn.first], ids[drawn.second]], axis=1)

    def cosine():
        features = fitting.predict(body, ids)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        return (unit[drawn.first] * unit[drawn.second]).sum(1, keepdims=True)

    np.testing.assert_allclose(contrastive_pairs.cosines(body).predict(given, verbose=0), cosine(), atol=1e-5)
    before, head = cosine(), model.get_layer("logits").get_weights()
    both = dataclasses.replace(KIND, length=12)
    task = Task("pairs", both, Regression.of(drawn.same, names=("cosine",)))
    schedule = Schedule(4, batch_size=16, peak_learning_rate=0.02)
    split = Split("pairs", given, drawn.same, task)
    curves = contrastive_pairs.fit(model, split, schedule=schedule, seed=0, progress=False)
    after, same = cosine(), drawn.same[:, 0] == 1
    assert ((after - drawn.same) ** 2).mean() < 0.3 * ((before - drawn.same) ** 2).mean()
    assert after[same].mean() - after[~same].mean() > 0.5 > before[same].mean() - before[~same].mean()
    assert len(curves.values["loss"]) == 4
    for one, other in zip(head, model.get_layer("logits").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
