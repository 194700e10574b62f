"""Half precision and back, against models built in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.runs.checkpoints import Workspace
from kerastl.system import machine
from kerastl.training import precision


def small_model():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32")(hidden))


def test_precision_is_put_back():
    with precision.dtype_policy("mixed_bfloat16"):
        model = small_model()
        assert model.get_layer("hidden").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(RuntimeError), precision.dtype_policy("mixed_bfloat16"):
        raise RuntimeError
    assert keras.config.dtype_policy().name == "float32"
    exact = precision.as_float32(model)
    assert {layer.compute_dtype for layer in exact.layers} == {"float32"}
    for a, b in zip(model.get_weights(), exact.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.get_layer("hidden").compute_dtype == "bfloat16"


def test_a_copy_in_float32_normalizes_as_its_model():
    inputs = np.random.default_rng(0).normal(3.0, 5.0, (50, 4)).astype(np.float32)
    normalize = keras.layers.Normalization()
    normalize.adapt(inputs)
    vector = keras.Input((4,))
    model = keras.Model(vector, normalize(vector))
    np.testing.assert_allclose(
        precision.as_float32(model)(inputs), (inputs - inputs.mean(0)) / inputs.std(0), atol=1e-4
    )


def test_an_encoder_inside_and_operations_come_to_float32():
    """Half precision rounds: the copy answers as a model that was built in float32, the original does not."""

    def text_model():
        ids = keras.Input((8,), dtype="int32")
        keras.utils.set_random_seed(4)
        encoder = keras.Sequential([keras.layers.Embedding(50, 16), keras.layers.Dense(16)], name="encoder")
        real = keras.ops.cast(keras.ops.not_equal(ids, 0), keras.config.dtype_policy().compute_dtype)
        vectors = keras.ops.einsum("bte,bt->be", encoder(ids), real)
        return keras.Model(ids, keras.layers.Dense(3, dtype="float32")(vectors))

    with precision.dtype_policy("mixed_bfloat16"):
        half = text_model()
    copy, exact = precision.as_float32(half), text_model()
    inputs = np.random.default_rng(0).integers(0, 50, (20, 8))
    wanted = exact(inputs).numpy()
    np.testing.assert_allclose(copy(inputs), wanted, atol=1e-5)
    assert np.abs(half(inputs).numpy() - wanted).max() > 1e-4
    assert {layer.compute_dtype for layer in copy._flatten_layers()} == {"float32"}


def convolutions(*channels, size=8):
    picture = x = keras.Input((size, size, 3))
    for count in channels:
        x = keras.layers.Conv2D(count, 3, padding="same")(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    return keras.Model(picture, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.parametrize(
    ("model", "width"),
    [
        # 3*3*3*64, 3*3*64*64 and 3*3*64*16 multiply-adds a pixel: the second has more than half of them
        (lambda: convolutions(64, 64, 16), 64),
        (lambda: convolutions(64, 16, 64), 16),
        (lambda: keras.Sequential([keras.Input((6, 6, 3)), convolutions(96, 96, size=6)]), 96),  # inside of another
        (lambda: small_model(), 4),  # 4 * 8 and 8 * 3: more than half of them on four channels
        (lambda: keras.Sequential([keras.Input((4,)), keras.layers.ReLU()]), 0),
    ],
)
def test_half_of_the_multiply_adds_are_as_wide(model, width):
    assert precision.width(model()) == width


@pytest.mark.parametrize(
    ("flags", "channels", "name"),
    [
        ({"avx512f", "avx512_bf16"}, 64, "mixed_bfloat16"),
        ({"amx_bf16"}, 48, "mixed_bfloat16"),
        ({"amx_bf16"}, 47, "float32"),
        ({"avx512f", "avx2"}, 256, "float32"),
        (set(), 256, "float32"),
    ],
)
def test_bfloat16_is_for_wide_layers_where_the_machine_has_units_for_it(flags, channels, name, monkeypatch):
    monkeypatch.setattr(machine, "features", lambda: frozenset(flags))
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    assert precision.fastest_dtype_policy(convolutions(channels, channels)) == name


@pytest.mark.parametrize(("capability", "name"), [((8, 0), "mixed_bfloat16"), ((7, 5), "float32")])
def test_a_gpu_has_them_since_compute_capability_8(capability, name, monkeypatch):
    monkeypatch.setattr(machine, "features", frozenset)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": capability})
    assert precision.fastest_dtype_policy(convolutions(64, 64)) == name


def test_a_training_that_goes_on_does_so_in_its_precision(tmp_path, monkeypatch):
    """Another machine would choose otherwise; it is not asked."""
    found = []
    for name in ("mixed_bfloat16", "float32"):
        monkeypatch.setattr(precision, "fastest_dtype_policy", lambda model, name=name: name)
        workspace = Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
        model = precision.build_in_fastest_dtype(small_model, seed=5, workspace=workspace)
        found.append(model.get_layer("hidden").dtype_policy.name)
    assert found == ["mixed_bfloat16", "mixed_bfloat16"]
    assert precision.build_in_fastest_dtype(small_model, seed=5).get_layer("hidden").dtype_policy.name == "float32"


def test_the_fastest_model_has_the_weights_of_its_seed(monkeypatch):
    """A second building draws weights too; they are the same."""
    keras.utils.set_random_seed(5)
    wanted = small_model().get_weights()
    for name in ("float32", "mixed_bfloat16"):
        monkeypatch.setattr(precision, "fastest_dtype_policy", lambda model, name=name: name)
        model = precision.build_in_fastest_dtype(small_model, seed=5)
        assert model.get_layer("hidden").dtype_policy.name == name
        for one, other in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    assert keras.config.dtype_policy().name == "float32"
