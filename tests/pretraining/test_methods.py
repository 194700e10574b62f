"""Two-view methods by name on toy pictures: they are built whole, watched, and stopped where they collapse."""

import keras
import numpy as np
import pytest

from kerastl.inputs.augmentation import Augmentation
from kerastl.inputs.image import Image
from kerastl.pretraining import collapse, methods, vicreg
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, precision
from kerastl.types import Schedule, Split, Task

TASK = Task("toy", Image((8, 8, 3)), SingleLabel(("a", "b")))


def pictures(count=48, seed=0):
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 2).astype("int32")
    inputs = generator.integers(0, 100, (count, 8, 8, 3))
    inputs[labels == 1, :4] += 120
    return Split("train", inputs.astype("uint8"), labels, TASK)


def encoder():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    x = keras.layers.Conv2D(8, 3, activation="relu")(keras.layers.Rescaling(1 / 255)(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D(name="pool")(x))


def network(name, **options):
    views = Augmentation(crop=0.3, brightness=0.2).build(1)
    return methods.network(name, encoder(), augment=views, steps=8, width=16, hidden=16, **options)


@pytest.mark.parametrize("name", [name for name in methods.NAMES if name != "simcse"])
def test_each_has_what_its_objective_needs_and_is_watched(name):
    model, split = network(name), pictures()
    assert (model.predictor is not None) == (name == "byol")
    assert (model.center is not None) == (name == "dino")
    assert (model._target_encoder is not None) == (name in ("byol", "dino"))
    watchers = methods.watchers(model, split, split.take(20), pictures(seed=1))
    schedule = Schedule(epochs=2, batch_size=24, peak_learning_rate=1e-3)
    options = {"keep": "last", "callbacks": watchers, "progress": False}
    curves = fitting.fit(model, split, schedule=schedule, **options).values
    assert np.isfinite(curves["loss"]).all()
    assert len(curves["knn_accuracy"]) == 2
    assert 0 <= min(curves["knn_accuracy"]) <= max(curves["knn_accuracy"]) <= 1
    embeddings = np.asarray(watchers[0]._embed(split.inputs))
    assert embeddings.shape == (48, 16)
    if name == "dino":  # what it says, and not the outputs before
        np.testing.assert_allclose(embeddings.sum(1), 1, rtol=1e-5)
    assert (watchers[0]._limits == collapse.Limits(deviation=0.1)) == (model.objective is vicreg.loss)


def test_an_encoder_in_half_precision_is_watched_as_well():
    with precision.dtype_policy("mixed_bfloat16"):
        model = network("simclr")
    assert model.encoder.output.dtype == "bfloat16"
    split = pictures()
    watchers = methods.watchers(model, split, split.take(20), pictures(seed=1))
    options = {"keep": "last", "callbacks": watchers, "progress": False}
    curves = fitting.fit(model, split, schedule=Schedule(1, batch_size=24), **options).values
    assert np.isfinite(curves["loss"]).all()
    assert 0 <= curves["knn_accuracy"][0] <= 1
    assert np.asarray(watchers[0]._embed(split.inputs)).dtype == np.float32
    assert precision.as_float32(model.encoder).output.dtype == "float32"


def test_without_labels_nobody_asks_neighbours():
    assert len(methods.watchers(network("simclr"), pictures())) == 1


def test_what_there_is_not_is_refused():
    with pytest.raises(ValueError, match="Did you mean simclr"):
        network("simcrl")
    with pytest.raises(ValueError, match="a unit or more"):
        methods.projector(8, 0)
