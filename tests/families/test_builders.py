"""The contract of `kerastl.models`: every architecture, every named size."""

import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest

import kerastl.models
from kerastl.types import Task

GREY = Task("grey", tuple(str(i) for i in range(10)), (28, 28, 1))
COLOUR = Task("colour", ("a", "b", "c"), (32, 32, 3))

MODULES = [
    importlib.import_module(f"kerastl.models.{member.name}")
    for member in pkgutil.iter_modules(kerastl.models.__path__)
    if not member.ispkg and member.name != "advice"  # what is pretrained has contracts of its own
]
BUILDERS = [
    (f"{module.__name__.rsplit('.', 1)[1]}.{name}", function)
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__ and not name.startswith("_")
]


def test_how_many_were_found():
    print(f"{len(MODULES)} architectures, {len(BUILDERS)} builders: {[name for name, _ in BUILDERS]}")
    assert len(MODULES) >= 5
    assert len(BUILDERS) >= 12
    assert all(hasattr(module, "build") for module in MODULES)


@pytest.mark.parametrize(("name", "builder"), BUILDERS, ids=[name for name, _ in BUILDERS])
@pytest.mark.parametrize("task", [GREY, COLOUR], ids=["grey", "colour"])
def test_contract(name, builder, task):
    model = builder(task)
    assert isinstance(model, keras.Model)
    assert model.input_shape == (None, *task.input_shape)
    assert model.inputs[0].name == "image"
    assert model.output_shape == (None, task.num_classes)
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    # raw pixels come in: scaling is the model's, once, and first
    assert [type(layer).__name__ for layer in model.layers].count("Rescaling") == 1
    assert type(model.layers[1]).__name__ == "Rescaling"
    assert float(model.layers[1].scale) == pytest.approx(1 / 255)
    # flat: nothing nested, so that the bridge and pruning reach every layer; no layer is left to Keras' numbering
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    keras.backend.clear_session()
    again = builder(task)
    assert [layer.name for layer in model.layers] == [layer.name for layer in again.layers]
    assert len({layer.name for layer in model.layers}) == len(model.layers)
    # a picture of raw pixels gives finite logits that depend on it
    pictures = np.random.default_rng(0).integers(0, 256, (2, *task.input_shape)).astype("float32")
    logits = np.asarray(model(pictures, training=False))
    assert np.isfinite(logits).all()
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize(("name", "builder"), BUILDERS, ids=[name for name, _ in BUILDERS])
def test_config_round_trip(name, builder):
    model = builder(GREY)
    again = keras.Model.from_config(model.get_config())
    assert again.count_params() == model.count_params()
