"""Embeddings learn by every loss of metric learning; proxies are learnt and left behind."""

import keras
import numpy as np
import pytest

import kerastl
from kerastl.inputs.numbers import Numbers
from kerastl.tasks import pair_metrics
from kerastl.tasks.embedding import Embedding
from kerastl.training import metric_losses, metric_training
from kerastl.types import Schedule, Split, Task

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.normal(size=(6, 8)) * ([2.0] * 3 + [0.0] * 5)
LABELS = np.repeat([0, 2, 3, 5], 20).astype("int32")  # groups 1 and 4 are never seen
ROWS = (CENTRES[LABELS] + RANDOM.normal(size=(80, 8)) * ([0.6] * 3 + [1.5] * 5)).astype("float32")


def split() -> Split:
    task = Task("rows", Numbers.of(ROWS), Embedding(tuple("abcdef")))
    return Split("train", ROWS, LABELS, task)


def embedding(task: Task) -> keras.Model:
    given = keras.Input((8,), name="numbers")
    return keras.Model(given, task.target.finish(keras.layers.Dense(6, name="dense")(given)))


def gap(model: keras.Model, data: Split) -> float:
    """By how much of a cosine two examples of one group are nearer than two of different ones."""
    found = pair_metrics.pairs(kerastl.training.predict(model, data.inputs, task=data.task), data.labels)
    return float(found.genuine.mean() - found.impostor.mean())


def test_the_losses_are_counted():
    assert metric_losses.names() == ("arcface", "cosface", "proxy_anchor", "supervised_contrastive", "triplet")


@pytest.mark.parametrize("name", metric_losses.names())
def test_an_embedding_learns_what_belongs_together(name):
    keras.utils.set_random_seed(0)
    data, groups = metric_training.numbered(split())
    assert groups == 4
    assert set(data.labels) == {0, 1, 2, 3}
    model = embedding(data.task)
    before = gap(model, data)
    learner, loss = metric_training.learner(model, name, groups=groups)
    proxies = name in ("arcface", "cosface", "proxy_anchor")
    assert len(learner.trainable_weights) - len(model.trainable_weights) == int(proxies)
    schedule = Schedule(epochs=25, batch_size=40, peak_learning_rate=0.03)
    curves = kerastl.training.fit(learner, data, schedule=schedule, loss=loss, progress=False)
    after = gap(model, data)
    assert curves.values["loss"][-1] < curves.values["loss"][0]
    assert after > before + 0.1


def test_cosines_are_those_of_numpy():
    layer = metric_training.Cosines(3, seed=1)
    vectors = RANDOM.normal(size=(5, 4)).astype("float32")
    found, proxies = np.asarray(layer(vectors)), np.asarray(layer.proxies)
    wanted = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ (proxies / np.linalg.norm(proxies, axis=0))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_what_is_no_loss_is_refused():
    model = embedding(split().task)
    with pytest.raises(ValueError, match="arcface"):
        metric_training.learner(model, "arcfaec", groups=4)
    with pytest.raises(ValueError, match="two groups"):
        metric_training.learner(model, "arcface", groups=1)
