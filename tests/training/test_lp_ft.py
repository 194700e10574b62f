"""LP-FT: the head learns from features alone, then everything by depth, and what must stay stays."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from kerastl.data import pipeline
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting, lp_ft, transfer
from kerastl.types import Schedule, Split, Task

TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("dark", "middle", "bright")))
GROUPS = [["convolution", "normalization"], ["logits"]]


def split(name: str, *, seed: int, count: int = 30) -> Split:
    generator = np.random.default_rng(seed)
    labels = np.tile(np.arange(3, dtype=np.int32), count // 3)
    inputs = 80 * labels[:, None, None, None] + generator.integers(0, 60, (count, 8, 8, 1))
    return Split(name, inputs.astype(np.uint8), labels, TASK)


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, name="convolution")(x)
    x = keras.layers.BatchNormalization(name="normalization")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(keras.layers.ReLU(name="relu")(x))
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x), name="network")


def features(model: keras.Model, pictures: Split) -> Split:
    batches = pipeline.batches(pictures, batch_size=10)
    body = transfer.feature_extractor(model)
    return transfer.extract_features(body, batches, features_kind=Numbers((4,)), name=pictures.name)


def test_the_probe_learns_the_head_and_leaves_the_rest_as_it_came():
    model, pictures = network(), split("train", seed=0)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    schedule = Schedule(epochs=40, batch_size=10, peak_learning_rate=0.1)
    probe = lp_ft.linear_probe(model, features(model, pictures), schedule=schedule, seed=0, progress=False)
    assert probe.model is model
    assert len(probe.curves.values["loss"]) == 40
    for layer in model.layers:
        same = [np.array_equal(one, other) for one, other in zip(layer.get_weights(), before[layer.name], strict=True)]
        assert all(same) == (layer.name != "logits")
    assert (fitting.predict(model, pictures.inputs).argmax(-1) == pictures.labels).mean() > 0.8


def test_the_probe_keeps_its_best_epoch_where_validation_says_which():
    """Its labels are others: the more is learnt, the less is right."""
    held = split("validation", seed=1)
    held, models = dataclasses.replace(held, labels=(held.labels + 1) % 3), {}
    for watched in (False, True):
        model = network()
        validation = features(model, held) if watched else None
        probe = lp_ft.linear_probe(
            model,
            features(model, split("train", seed=0)),
            schedule=Schedule(epochs=40, batch_size=10, peak_learning_rate=0.1),
            seed=0,
            validation=validation,
            progress=False,
        )
        models[watched] = model
        if watched:
            scores = probe.curves.values["val_accuracy"]
            right = (fitting.predict(model, held.inputs).argmax(-1) == held.labels).mean()
            assert right == pytest.approx(max(scores))
            assert max(scores) > scores[-1]
    assert not np.array_equal(*(model.get_layer("logits").get_weights()[0] for model in models.values()))


def test_weights_of_classes_and_dropout_reach_the_probe():
    curves = {}
    for name, options in {"plain": {}, "weighted": {"class_weight": {0: 5.0, 1: 1.0, 2: 1.0}}, "dropped": {}}.items():
        model = network()
        probe = lp_ft.linear_probe(
            model,
            features(model, split("train", seed=0)),
            schedule=Schedule(epochs=2, batch_size=10),
            seed=0,
            dropout=0.5 if name == "dropped" else 0.0,
            progress=False,
            **options,
        )
        curves[name] = probe.curves.values["loss"]
    assert len({tuple(losses) for losses in curves.values()}) == 3


def test_fine_tuning_moves_early_layers_least_and_keeps_statistics():
    pictures, moved = split("train", seed=0), {}
    for decay in (1.0, 0.01):
        model = network()
        before = {layer.name: [weight.copy() for weight in layer.get_weights()] for layer in model.layers}
        tuned = lp_ft.fine_tune(
            model,
            pipeline.batches(pictures, batch_size=10),
            schedule=Schedule(epochs=2, batch_size=10, peak_learning_rate=1e-2),
            groups=GROUPS,
            layer_decay=decay,
            progress=False,
        )
        assert tuned.model is model
        for one, other in zip(model.get_layer("normalization").get_weights(), before["normalization"], strict=True):
            assert one.tobytes() == other.tobytes()
        kernels = {name: model.get_layer(name).get_weights()[0] - before[name][0] for name in ("convolution", "logits")}
        moved[decay] = {name: float(np.abs(kernel).max()) for name, kernel in kernels.items()}
    assert moved[0.01]["convolution"] < 0.05 * moved[1.0]["convolution"]
    assert moved[0.01]["logits"] > 0.5 * moved[1.0]["logits"] > 0


def test_fine_tuning_ends_with_its_last_epoch_whatever_validation_says():
    models = []
    for validation in (None, split("validation", seed=1)):
        model = network()
        schedule = Schedule(epochs=4, batch_size=10, peak_learning_rate=1.0, warmup_fraction=0.0)
        train = pipeline.batches(split("train", seed=0), batch_size=10)
        options = {"schedule": schedule, "groups": GROUPS, "layer_decay": 1.0, "validation": validation}
        curves = lp_ft.fine_tune(model, train, **options, progress=False).curves
        assert ("val_accuracy" in curves.values) == (validation is not None)
        models.append(model)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    held = split("validation", seed=1)
    model, options = network(), options | {"validation": held, "keep": "best", "progress": False}
    best = lp_ft.fine_tune(model, split("train", seed=0), **options)
    right = (fitting.predict(model, held.inputs).argmax(-1) == held.labels).mean()
    assert right == pytest.approx(max(best.curves.values["val_accuracy"]))
    with pytest.raises(ValueError, match=r"lies in \(0, 1\]"):
        lp_ft.fine_tune(network(), split("train", seed=0), schedule=Schedule(epochs=1), groups=GROUPS, layer_decay=0.0)
