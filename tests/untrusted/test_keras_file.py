"""Hostile Keras files, built for real: each refused before its code runs or its path is read; harmless ones answer."""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from kerastl import types
from kerastl.inputs.image import Image
from kerastl.models import mobile_cnn, resnet
from kerastl.tasks.single_label import SingleLabel
from kerastl.untrusted import keras_file


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu", name="dense")])


def rewritten(path: Path, target: Path, **changes) -> Path:
    """A copy of a `.keras` archive with members replaced, added (a name with dots and slashes) or taken out (None)."""
    changes = {name.replace("__", "/"): content for name, content in changes.items()}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if name not in changes:
                new.writestr(name, old.read(name))
        for name, content in changes.items():
            if content is not None:
                new.writestr(name, content)
    return target


def with_config(target: Path, change, model: keras.Model | None = None) -> Path:
    """A model's file whose configuration somebody has changed by hand."""
    original = target.with_name("original.keras")
    (model or small()).save(original)
    with zipfile.ZipFile(original) as archive:
        config = json.loads(archive.read("config.json"))
    change(config)
    return rewritten(original, target, **{"config.json": json.dumps(config)})


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "the stranger was here"


def writes(marker: Path):
    """A Lambda's function that leaves a mark; it must bring its own imports."""
    return eval(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]")


def lambda_model(library, marker):
    return library.Sequential([library.layers.Input((4,)), library.layers.Lambda(writes(marker), output_shape=(4,))])


def test_a_lambda_in_keras_is_refused(tmp_path, marker):
    path = tmp_path / "model.keras"
    lambda_model(keras, marker).save(path)
    with pytest.raises(keras_file.KerasFileError, match="names Lambda"):
        keras_file.load(path)
    assert not marker.exists()
    model = keras.saving.load_model(path, safe_mode=False)  # the mark is left where nobody looks out
    model.predict(np.ones((1, 4)), verbose=0)
    assert marker.exists()


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_a_lambda_in_h5_is_refused(tmp_path, marker, library):
    path = tmp_path / "model.h5"
    lambda_model(library, marker).save(path)
    marker.unlink(missing_ok=True)  # building it ran it
    with pytest.raises(keras_file.KerasFileError, match="names Lambda"):
        keras_file.load(path)
    assert not marker.exists()
    if library is tf_keras:
        tf_keras.models.load_model(path)  # runs the code by loading
        assert marker.exists()


class _Leaves:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def pickled(marker) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([_Leaves(marker)], object), allow_pickle=True)
    assert pickle.dumps(_Leaves(marker))
    return stream.getvalue()


@pytest.mark.parametrize("name", ["model.weights.npz", "assets/dense/state.npy", "assets/x.pkl"])
def test_pickles_are_refused(tmp_path, marker, name):
    original = tmp_path / "original.keras"
    small().save(original)
    content = pickled(marker)
    if name.endswith("npz"):
        stream = io.BytesIO()
        np.savez(stream, __root__=np.array([_Leaves(marker)], object))
        content = stream.getvalue()
    hostile = rewritten(original, tmp_path / "model.keras", **{"model.weights.h5": None, name: content})
    with pytest.raises(keras_file.KerasFileError, match=f"{name}', which Keras does not write"):
        keras_file.load(hostile)
    assert not marker.exists()


def replace_layer(replacement):
    return lambda config: config["config"]["layers"].__setitem__(1, replacement)


def test_a_saved_model_layer_is_refused(tmp_path, marker):
    hostile = with_config(
        tmp_path / "model.keras",
        replace_layer({"module": "keras.layers", "class_name": "TFSMLayer", "registered_name": None,
                       "config": {"filepath": str(tmp_path), "call_endpoint": "serve", "name": "t"}}),
    )  # fmt: skip
    with pytest.raises(keras_file.KerasFileError, match="names TFSMLayer"):
        keras_file.load(hostile)


@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("vocabulary", ["/etc/passwd", "words.txt"])
def test_a_vocabulary_on_the_disk_is_refused(tmp_path, monkeypatch, kind, vocabulary):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("1\n2\n")
    layer = {"module": "keras.layers", "class_name": kind, "registered_name": None,
             "config": {"name": "lookup", "vocabulary": vocabulary}}  # fmt: skip
    with pytest.raises(keras_file.KerasFileError, match=f"takes its vocabulary from '{vocabulary}'"):
        keras_file.load(with_config(tmp_path / "model.keras", replace_layer(layer)))


def hostile_weights(tmp_path, build) -> bytes:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        build(file)
    return path.read_bytes()


def test_links_out_of_the_weights_are_refused(tmp_path):
    original = tmp_path / "original.keras"
    small().save(original)
    small().save_weights(tmp_path / "secret.weights.h5")

    def build(file):
        file["layers/dense/vars"] = h5py.ExternalLink(str(tmp_path / "secret.weights.h5"), "/layers/dense/vars")

    content = hostile_weights(tmp_path, build)
    hostile = rewritten(original, tmp_path / "model.keras", **{"model.weights.h5": content})
    with pytest.raises(keras_file.KerasFileError, match="is a link to"):
        keras_file.load(hostile)
    alone = tmp_path / "alone.weights.h5"
    alone.write_bytes(content)
    with pytest.raises(keras_file.KerasFileError, match="is a link to"):
        keras_file.load_weights(small(), alone)
    old = tmp_path / "old.h5"
    small().save(old)
    with h5py.File(old, "a") as file:
        del file["model_weights/dense"]
        file["model_weights/dense"] = h5py.ExternalLink(str(tmp_path / "secret.weights.h5"), "/layers/dense")
    with pytest.raises(keras_file.KerasFileError, match="is a link to"):
        keras_file.load(old)


@pytest.mark.parametrize("name", ["../escaped.txt", "/tmp/escaped.txt", "assets/../../escaped.txt", "assets\\..\\x.txt",
                                  "assets/code.py", "config.json/x"])  # fmt: skip
def test_members_that_keras_does_not_write_are_refused(tmp_path, name):
    original = tmp_path / "original.keras"
    small().save(original)
    hostile = rewritten(original, tmp_path / "model.keras", **{name: b"x"})
    with pytest.raises(keras_file.KerasFileError, match="which Keras does not write"):
        keras_file.load(hostile)


def test_odd_members_are_refused(tmp_path):
    original, hostile = tmp_path / "original.keras", tmp_path / "model.keras"
    small().save(original)

    def refused(words):
        with pytest.raises(keras_file.KerasFileError, match=words):
            keras_file.load(hostile)

    rewritten(original, hostile)
    link = zipfile.ZipInfo("assets/words.txt")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    refused("no file")
    rewritten(original, hostile)
    with zipfile.ZipFile(hostile, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("config.json", "{}")
    refused("twice")
    rewritten(original, hostile)
    with zipfile.ZipFile(hostile, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/words.txt", bytes(20_000_000))
    refused("more than 200 times")
    rewritten(original, hostile)
    with zipfile.ZipFile(hostile, "a", zipfile.ZIP_DEFLATED) as archive:  # each of them small
        for number in range(40):
            archive.writestr(f"assets/{number}.txt", bytes(9_900_000))
    refused("unpack to .*more than 200 times")
    rewritten(original, hostile, **{"config.json": None})
    with zipfile.ZipFile(hostile, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{" + " " * 1000)
        start = archive.getinfo("config.json").header_offset + 30 + len("config.json")
    content = bytearray(hostile.read_bytes())
    content[start] = 0xFF  # no block of deflated data begins so
    hostile.write_bytes(content)
    refused("Error -3|invalid block")
    rewritten(original, hostile, **{"config.json": None})
    refused("no config.json")
    for text, words in (("{", "no JSON"), ("[" * 200_000, "no JSON"), ("[]", "describes no model")):
        rewritten(original, hostile, **{"config.json": text})
        refused(words)
    hostile.write_bytes(original.read_bytes()[:-30])
    refused("not opened")
    hostile.write_text("no model")
    refused("no HDF5 file")
    with pytest.raises(FileNotFoundError):
        keras_file.load(tmp_path / "none.keras")


def test_registered_classes_are_out_of_reach(tmp_path):
    """Code that the process happens to have registered is not the stranger's to call."""

    @keras.saving.register_keras_serializable("hostile")
    class Mine(keras.layers.Layer):
        def __init__(self, **options):
            raise AssertionError("built")

    for name in ("Mine", "Dense", "TensorShape", "__tuple__"):
        registered = "hostile>Mine"
        layer = {"module": "keras.layers", "class_name": name, "registered_name": registered,
                 "config": {"name": "m"}}  # fmt: skip
        with pytest.raises(keras_file.KerasFileError, match=r"is not on the list|registered name"):
            keras_file.load(with_config(tmp_path / "model.keras", replace_layer(layer)))


@pytest.mark.parametrize("build", [mobile_cnn.tiny, resnet.small])
def test_models_of_this_house_open_and_answer_the_same(tmp_path, build):
    model = build(types.Task("grey", Image((28, 28, 1)), SingleLabel(tuple("0123456789"))))
    model.save(tmp_path / "model.keras")
    inputs = np.random.default_rng(0).uniform(0, 255, (2, 28, 28, 1)).astype("float32")
    found = keras_file.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(found.predict(inputs, verbose=0), model.predict(inputs, verbose=0))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_harmless_models_open_and_answer_the_same(tmp_path, suffix):
    image = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(4, 3, activation="hard_silu", kernel_regularizer="l2", kernel_constraint="max_norm")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.1)(x)
    if suffix == ".keras":  # the old format cannot hold operations
        x = keras.ops.relu(x * 2.0 + keras.ops.mean(x, axis=(1, 2), keepdims=True))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(2, dtype="mixed_bfloat16", activation=keras.activations.softmax)(x))
    model.compile(keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(1e-3, 10)), lambda a, b: a - b)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    inputs = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(keras_file.load(path).predict(inputs, verbose=0), model.predict(inputs, verbose=0))


def test_a_vocabulary_in_the_file_itself_opens(tmp_path):
    words = keras.Input((2,), dtype="string")
    lookup = keras.layers.StringLookup(vocabulary=["a", "/etc/passwd"], output_mode="multi_hot")
    model = keras.Model(words, lookup(words))
    model.save(tmp_path / "inline.keras")
    adapted = keras.layers.TextVectorization(output_mode="count")
    adapted.adapt(np.array(["one two", "two three"]))
    text = keras.Input((), dtype="string")
    counted = keras.Model(text, adapted(text))
    counted.save(tmp_path / "asset.keras")
    with zipfile.ZipFile(tmp_path / "asset.keras") as archive:
        assert any(name.startswith("assets/") for name in archive.namelist())
    import tensorflow as tf

    pairs = tf.constant([["a", "b"], ["/etc/passwd", "a"]])
    np.testing.assert_array_equal(keras_file.load(tmp_path / "inline.keras")(pairs), model(pairs))
    lines = tf.constant(["two two one", "four"])
    np.testing.assert_array_equal(keras_file.load(tmp_path / "asset.keras")(lines), counted(lines))


def test_a_backbone_of_keras_hub_opens(tmp_path):
    import keras_hub
    from keras_hub.src.utils.keras_utils import gelu_approximate

    layer = keras_hub.layers.TransformerEncoder(8, 2, activation=gelu_approximate)
    tokens = keras.Input((3, 4))
    keras.Model(tokens, layer(tokens)).save(tmp_path / "encoder.keras")
    found = keras_file.load(tmp_path / "encoder.keras").layers[-1]
    numbers = np.random.default_rng(0).normal(0, 1, (2, 3, 4)).astype("float32")
    np.testing.assert_array_equal(found(numbers), layer(numbers))

    model = keras_hub.models.BertBackbone(
        vocabulary_size=20, num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=8, max_sequence_length=6
    )
    model.save(tmp_path / "model.keras")
    found = keras_file.load(tmp_path / "model.keras")
    assert type(found) is type(model)
    for one, other in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.h5", "w.keras"])
def test_weights_alone(tmp_path, name):
    model, path = small(), tmp_path / name
    model.save_weights(path) if name.endswith(".weights.h5") else model.save(path)
    other = small()
    other.set_weights([weight * 0 for weight in other.get_weights()])
    keras_file.load_weights(other, path)
    for found, wanted in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    if name.endswith(".weights.h5"):
        with pytest.raises(keras_file.KerasFileError, match="holds weights and no model"):
            keras_file.load(path)
    wrong = keras.Sequential([keras.Input((5,)), keras.layers.Dense(3, name="dense")])
    with pytest.raises(keras_file.KerasFileError, match="cannot load"):
        keras_file.load_weights(wrong, path)


def test_what_was_looked_at_is_what_is_loaded(tmp_path, monkeypatch):
    """Whoever can write the file may change it between the two."""
    path, other = tmp_path / "model.keras", tmp_path / "other.keras"
    small().save(path)
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(7)]).save(other)
    real = keras.saving.load_model

    def swapped(file, **options):
        shutil.copyfile(other, path)
        return real(file, **options)

    monkeypatch.setattr(keras.saving, "load_model", swapped)
    assert keras_file.load(path).output_shape == (None, 3)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_configuration_of_more_numbers_than_the_file_holds_is_refused_without_memory(tmp_path, suffix):
    image = keras.Input((2, 2, 3))
    dense = keras.layers.Dense(3, name="dense")(keras.layers.Flatten()(image))
    path, hostile = tmp_path / f"model{suffix}", tmp_path / f"hostile{suffix}"
    keras.Model(image, dense).save(path)
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            text = archive.read("config.json").decode()
        assert text.count('"units": 3') == 1
        rewritten(path, hostile, **{"config.json": text.replace('"units": 3', '"units": 100000000')})
    else:
        hostile.write_bytes(path.read_bytes())
        with h5py.File(hostile, "a") as file:
            text = file.attrs["model_config"]
            assert text.count('"units": 3') == 1
            file.attrs["model_config"] = text.replace('"units": 3', '"units": 100000000')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(keras_file.KerasFileError, match=r"describes [0-9,]{13} numbers or more, and it holds 39"):
        keras_file.load(hostile)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, (
        "kilobytes; the numbers take 5 million"
    )
    keras_file.load(path)


def test_a_model_that_was_never_built_is_said(tmp_path):
    keras.Sequential([keras.layers.Dense(3)], name="bare").save(tmp_path / "model.keras")
    for load in (keras_file.load, keras_file.load_unshared):
        with pytest.raises(keras_file.KerasFileError, match="'bare' was never built and has no weights"):
            load(tmp_path / "model.keras")
