"""Half precision and back, against models built in float32."""

import keras
import numpy as np
import pytest
from toy import DIRECTIONS

from kerastl.runs.checkpoints import Workspace
from kerastl.training import precision
from kerastl.types import Split


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


def test_fastest_precision_takes_the_faster(examples):
    """The measurement itself, with a layer that is slow in exactly one precision."""

    def slow_in(dtype):
        class Slow(keras.layers.Layer):
            def call(self, inputs):
                if self.compute_dtype == dtype:
                    matrix = keras.ops.ones((900, 900), "float32") * keras.ops.sum(keras.ops.cast(inputs, "float32"))
                    for _ in range(4):
                        matrix = keras.ops.matmul(matrix, matrix) * 1e-9
                    return inputs + keras.ops.cast(keras.ops.mean(matrix), inputs.dtype) * 0
                return inputs

        def build():
            inputs = keras.Input((4,))
            x = keras.layers.Dense(3)(Slow()(inputs))
            return keras.Model(inputs, keras.layers.Activation("linear", dtype="float32")(x))

        return build

    batch = Split("train", *examples, DIRECTIONS)
    assert precision.choose_dtype_policy(slow_in("float32"), batch) == "mixed_bfloat16"
    assert precision.choose_dtype_policy(slow_in("bfloat16"), batch) == "float32"


def test_a_training_that_goes_on_does_so_in_its_precision(tmp_path, examples, monkeypatch):
    """A second timing could come out the other way; it is not taken."""
    batch, found = Split("train", *examples, DIRECTIONS), []
    for name in ("mixed_bfloat16", "float32"):
        monkeypatch.setattr(precision, "choose_dtype_policy", lambda build, batch, name=name: name)
        workspace = Workspace("lesson", folder=tmp_path / "work", logs=tmp_path / "logs")
        model = precision.build_in_fastest_dtype(small_model, batch, seed=5, workspace=workspace)
        found.append(model.get_layer("hidden").dtype_policy.name)
    assert found == ["mixed_bfloat16", "mixed_bfloat16"]
    assert (
        precision.build_in_fastest_dtype(small_model, batch, seed=5).get_layer("hidden").dtype_policy.name == "float32"
    )


def test_the_fastest_model_has_the_weights_of_its_seed(examples, monkeypatch):
    """Timing draws weights too; they must not move those of the model that is trained."""
    batch = Split("train", *examples, DIRECTIONS)
    keras.utils.set_random_seed(5)
    wanted = small_model().get_weights()
    for name in ("float32", "mixed_bfloat16"):
        monkeypatch.setattr(precision, "choose_dtype_policy", lambda build, batch, name=name: (build(), name)[1])
        model = precision.build_in_fastest_dtype(small_model, batch, seed=5)
        assert model.get_layer("hidden").dtype_policy.name == name
        for one, other in zip(model.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    assert keras.config.dtype_policy().name == "float32"
