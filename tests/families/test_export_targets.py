"""The contract of `kerastl.export`: every target that writes a model."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

import kerastl.export
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

TASK = Task("toy", Image((8, 8, 3)), SingleLabel(("a", "b", "c")))
MODULES = [
    importlib.import_module(f"kerastl.export.{member.name}")
    for member in pkgutil.iter_modules(kerastl.export.__path__)
    if not member.ispkg
]
TARGETS = {module.__name__.rsplit(".", 1)[1]: module for module in MODULES if hasattr(module, "write")}


def read_tflite(path, inputs):
    interpreter = Interpreter(str(path))
    run = interpreter.get_signature_runner("serving_default")
    return np.concatenate([run(image=example[None])["probabilities"] for example in inputs])


def read_saved_model(path, inputs):
    loaded = tf.saved_model.load(str(path))
    return loaded.signatures["serving_default"](image=tf.constant(inputs))["probabilities"].numpy()


# How a stranger runs what a target wrote: by the signature's names. A new target needs a line here.
READERS = {"tflite": read_tflite, "saved_model": read_saved_model}


def small(library, *, probabilities: bool):
    layers = library.layers
    image = layers.Input((8, 8, 3), name="image")
    value = layers.Rescaling(1 / 255, name="rescale")(image)
    value = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(value)
    value = layers.GlobalAveragePooling2D(name="pool")(value)
    value = layers.Dense(3, name="logits", kernel_initializer="he_normal")(value)
    if probabilities:
        value = layers.Softmax(name="probabilities")(value)
    return library.Model(image, value, name="small")


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.float32)


def test_how_many_were_found():
    print(f"{len(TARGETS)} export targets: {sorted(TARGETS)}")
    assert len(TARGETS) >= 2
    assert set(TARGETS) == set(READERS)


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("probabilities", [False, True], ids=["logits", "probabilities"])
def test_contract(name, library, probabilities, tmp_path, inputs):
    library.utils.set_random_seed(1)
    model = small(library, probabilities=probabilities)
    before = [np.array(weight) for weight in model.get_weights()]
    wanted = model.predict(inputs, verbose=0).astype(np.float64)
    if not probabilities:
        wanted = np.exp(wanted) / np.exp(wanted).sum(-1, keepdims=True)
    place = tmp_path / "made"
    TARGETS[name].write(model, place, TASK)
    TARGETS[name].write(model, place, TASK)  # again: the old one is replaced
    answers = READERS[name](place, inputs)
    assert answers.shape == (5, 3)
    assert np.abs(answers - wanted).max() < 1e-5
    assert np.ptp(wanted, axis=0).max() > 1e-3, "the test's own model must depend on its input"
    # nothing is left beside it, and the model is as it was
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert len(model.layers) == (6 if probabilities else 5)


@pytest.mark.parametrize("name", TARGETS)
def test_absent_folder_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"Received: .*absent"):
        TARGETS[name].write(small(keras, probabilities=False), tmp_path / "absent" / "made", TASK)


@pytest.mark.parametrize("name", TARGETS)
def test_a_failure_leaves_the_old_one(name, tmp_path, monkeypatch, inputs):
    """The disk gives out while the new one is put in its place."""
    model = small(keras, probabilities=False)
    TARGETS[name].write(model, tmp_path / "made", TASK)
    wanted = READERS[name](tmp_path / "made", inputs)

    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync" if name == "tflite" else "tensorflow.saved_model.save", lambda *a, **k: full())
        with pytest.raises(OSError, match="No space"):
            TARGETS[name].write(small(keras, probabilities=True), tmp_path / "made", TASK)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    assert np.array_equal(READERS[name](tmp_path / "made", inputs), wanted)


@pytest.mark.parametrize("name", TARGETS)
def test_public_functions_say_what_they_do(name):
    for function in (member for _, member in inspect.getmembers(TARGETS[name], inspect.isfunction)):
        if function.__module__ == TARGETS[name].__name__ and not function.__name__.startswith("_"):
            assert "Raises:" in (inspect.getdoc(function) or "")
