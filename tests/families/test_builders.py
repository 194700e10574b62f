"""The contract of `kerastl.models`: every architecture, every named size."""

import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest

import kerastl.models
import kerastl.models.audio
from kerastl.compress.tf_keras import bridge
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.inputs.waveform import Waveform
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

GREY = Task("grey", Image((28, 28, 1)), SingleLabel(tuple(str(i) for i in range(10))))
COLOUR = Task("colour", Image((32, 32, 3)), SingleLabel(("a", "b", "c")))

WORDS = Task("words", Waveform(16000), SingleLabel(("go", "stop", "wait")))

MODULES = [
    importlib.import_module(f"kerastl.models.{member.name}")
    for member in pkgutil.iter_modules(kerastl.models.__path__)
    if not member.ispkg and member.name not in ("advice", "heads")  # what is pretrained has contracts of its own
]
OF_SOUNDS = [
    importlib.import_module(f"kerastl.models.audio.{member.name}")
    for member in pkgutil.iter_modules(kerastl.models.audio.__path__)
    if member.name != "front_end"  # which all of them begin with
]


def builders(modules):
    return [
        (f"{module.__name__.rsplit('.', 1)[1]}.{name}", function)
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


BUILDERS, AUDIO = builders(MODULES), builders(OF_SOUNDS)


def test_how_many_were_found():
    print(f"{len(MODULES)} architectures, {len(BUILDERS)} builders: {[name for name, _ in BUILDERS]}")
    assert len(MODULES) >= 5
    assert len(BUILDERS) >= 12
    assert all(hasattr(module, "build") for module in [*MODULES, *OF_SOUNDS])
    print(f"{len(AUDIO)} builders of sounds: {[name for name, _ in AUDIO]}")
    assert len(OF_SOUNDS) >= 2
    assert len(AUDIO) >= 4


@pytest.mark.parametrize(("name", "builder"), BUILDERS, ids=[name for name, _ in BUILDERS])
@pytest.mark.parametrize("task", [GREY, COLOUR], ids=["grey", "colour"])
def test_contract(name, builder, task):
    model = builder(task)
    assert isinstance(model, keras.Model)
    assert model.input_shape == (None, *task.inputs.shape)
    assert model.inputs[0].name == "image"
    assert model.output_shape == (None, task.target.outputs)
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
    pictures = np.random.default_rng(0).integers(0, 256, (2, *task.inputs.shape)).astype("float32")
    logits = np.asarray(model(pictures, training=False))
    assert np.isfinite(logits).all()
    assert not np.allclose(logits[0], logits[1])


@pytest.mark.parametrize(("name", "builder"), BUILDERS, ids=[name for name, _ in BUILDERS])
def test_config_round_trip(name, builder):
    model = builder(GREY)
    again = keras.Model.from_config(model.get_config())
    assert again.count_params() == model.count_params()


@pytest.fixture(scope="module")
def clips():
    """Four sounds from quiet to loud."""
    noise = np.random.default_rng(0).normal(size=(4, 16000))
    return np.rint(noise * [[30], [300], [3000], [8000]]).clip(-32768, 32767).astype("float32")


@pytest.mark.parametrize(("name", "builder"), AUDIO, ids=[name for name, _ in AUDIO])
def test_contract_of_sounds(name, builder, clips):
    keras.utils.set_random_seed(0)
    model = builder(WORDS)
    assert model.input_shape == (None, 16000)
    assert model.inputs[0].name == "samples"
    assert model.output_shape == (None, 3)
    assert model.layers[-1].name == "logits"
    assert model.layers[-1].activation is keras.activations.linear
    # the front end comes first, once, and does not learn
    fixed = [layer.name.startswith("front_end") for layer in model.layers if layer.weights]
    assert fixed == sorted(fixed, reverse=True)
    assert any(fixed)
    for layer in model.layers:
        assert layer.trainable != layer.name.startswith("front_end_") or not layer.weights, layer.name
    # flat, and named: see `test_contract`
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    keras.backend.clear_session()
    again = builder(WORDS)
    assert [layer.name for layer in model.layers] == [layer.name for layer in again.layers]
    logits = np.asarray(model(clips, training=False))
    assert np.isfinite(logits).all()
    assert not np.allclose(logits[0], logits[1])
    assert keras.Model.from_config(model.get_config()).count_params() == model.count_params()
    # and over the bridge, and to the phone
    bridge.to_tf_keras(model, probe=clips)
    assert tflite.convert(model, WORDS)  # which runs the file beside the model
