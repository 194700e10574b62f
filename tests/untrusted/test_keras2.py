"""Files of Keras 2, written by tf_keras: opened by Keras 3, whose model answers the same."""

from __future__ import annotations

import inspect
import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from kerastl.untrusted import keras2, keras_config, keras_file

old = tf_keras.layers
SOME: dict[str, tuple] = {
    **{f"Conv{rank}D{more}": (2, 3) for rank in (1, 2, 3) for more in ("", "Transpose")},
    **{f"SeparableConv{rank}D": (2, 3) for rank in (1, 2)},
    **{f"DepthwiseConv{rank}D": (3,) for rank in (1, 2)},
    **{f"ConvLSTM{rank}D": (2, 3) for rank in (1, 2, 3)},
    **{f"SpatialDropout{rank}D": (0.1,) for rank in (1, 2, 3)},
    **dict.fromkeys(
        ("Dense", "GRU", "GRUCell", "LSTM", "LSTMCell", "SimpleRNN", "SimpleRNNCell", "RepeatVector"), (2,)
    ),
    **dict.fromkeys(("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Rescaling"), (0.1,)),
    **dict.fromkeys(("RandomBrightness", "RandomContrast", "RandomRotation", "RandomZoom"), (0.1,)),
    **dict.fromkeys(("CenterCrop", "RandomCrop", "Resizing", "Embedding", "MultiHeadAttention"), (2, 2)),
    **dict.fromkeys(("CategoryEncoding", "Hashing", "HashedCrossing"), (3,)),
    "Activation": ("relu",),
    "Dot": (1,),
    "Discretization": ([1.0, 2.0],),
    "EinsumDense": ("ab,bc->ac", 3),
    "Permute": ((1, 2),),
    "RandomTranslation": (0.1, 0.1),
    "Reshape": ((2,),),
}
WRAPPING = {
    "Bidirectional": lambda: old.LSTM(2),
    "RNN": lambda: old.LSTMCell(2),
    "SpectralNormalization": lambda: old.Dense(2),
    "StackedRNNCells": lambda: [old.LSTMCell(2)],
    "TimeDistributed": lambda: old.Dense(2),
}


def test_every_layer_that_both_have_is_made():
    found = 0
    for name in keras_config._LAYERS.split():
        kind = getattr(old, name, None)
        if not inspect.isclass(kind) or name == "InputLayer":
            continue
        layer = kind(*((WRAPPING[name](),) if name in WRAPPING else SOME.get(name, ())))
        described = json.loads(json.dumps(tf_keras.utils.serialize_keras_object(layer)))
        made = keras.saving.deserialize_keras_object(keras2.repaired(described))
        assert type(made) is getattr(keras.layers, name)
        found += 1
    assert found > 100


def test_what_keras_3_wrote_stays_as_it_is():
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(axis=-1)(keras.layers.DepthwiseConv2D(3)(image))
    x = keras.layers.SpatialDropout2D(0.1)(keras.layers.SeparableConv2D(2, 3)(x))
    model = keras.Model(image, keras.ops.mean(x[:, ::-1], axis=(1, 2)))
    config = json.loads(model.to_json())
    assert keras2.repaired(config) == config
    assert keras2.repaired([]) == []
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    assert keras2.repaired(deep) is deep


def saved(model, path, x):
    """The file's path, and what the model answers."""
    model.save(path)
    return path, np.asarray(model(x, training=False))


def operations(ending: str) -> tf_keras.Model:
    """What people write between layers: the ready-made scaling of pixels, sums, and functions of TensorFlow."""
    image = tf_keras.Input((8, 8, 3))
    x = tf_keras.applications.mobilenet_v2.preprocess_input(image)
    x = old.Conv2D(4, 3, padding="same", name="block/conv")(x)
    y = tf.nn.leaky_relu(tf.nn.relu6(x) + x * 2 - 1, 0.1) * (1 - x) / (2 + tf.square(x[:, ::-1, :, :1])) + 1 / (x + 9)
    z = tf.concat([y, tf.maximum(x, y), tf.nn.swish(x)], -1)
    z = tf.reshape(tf.transpose(tf.reduce_mean(z, [1, 2], keepdims=True), [0, 3, 1, 2]), [-1, 12])
    z = tf.squeeze(tf.expand_dims(tf.cast(z, "float32"), 1), [1]) + tf.image.resize(x, (2, 3))[:, 0, 1, :1]
    if ending == "h5":  # whose slice by an ellipsis tf_keras cannot save in the newer format
        caffe = tf_keras.applications.vgg16.preprocess_input(image)
        z = old.Concatenate()([z, tf.reduce_max(caffe, [1, 2])])
    return tf_keras.Model(image, old.Dense(2)(z))


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_operations_of_tensorflow_become_layers(tmp_path, ending):
    tf_keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    path, wanted = saved(operations(ending), tmp_path / f"model.{ending}", x)
    for load in (keras_file.load, keras_file.load_unshared):
        model = load(path)
        np.testing.assert_allclose(model(x, training=False), wanted, rtol=1e-4, atol=1e-4)
        assert "block_conv" in [layer.name for layer in model.layers]


@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_layers_of_tf_keras_answer_the_same(tmp_path, ending):
    """Weights find their layers: nested, shared, recurrent, of half precision, adapted."""
    tf_keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).uniform(0, 1, (3, 6, 4)).astype("float32")
    scaled = old.Normalization()
    scaled.adapt(x)
    row = tf_keras.Input((6, 4))
    both = old.Bidirectional(old.LSTM(3, return_sequences=True))(scaled(row))
    inner = tf_keras.Sequential([old.SeparableConv1D(5, 3), old.BatchNormalization(), old.SpatialDropout1D(0.1)])
    shared = old.Dense(5, dtype=tf_keras.mixed_precision.Policy("mixed_float16"))
    y = shared(shared(inner(both)))
    y = old.Activation("softmax", dtype="float32")(old.GRU(5)(old.ThresholdedReLU(0.1)(old.LeakyReLU(0.2)(y))))
    model = tf_keras.Model(row, y)
    for weight in model.weights:
        if "moving_variance" in weight.name:
            weight.assign(weight + 0.5)
    path, wanted = saved(model, tmp_path / f"model.{ending}", x)
    np.testing.assert_allclose(keras_file.load(path)(x, training=False), wanted, atol=2e-3)


def test_a_sequential_whose_first_layer_says_the_shape(tmp_path):
    """As Keras up to 2.2 wrote it: a list of layers, and no input among them."""
    x = np.random.default_rng(0).uniform(0, 1, (2, 4)).astype("float32")
    path, wanted = saved(tf_keras.Sequential([old.Dense(3, input_shape=(4,)), old.Dense(2)]), tmp_path / "model.h5", x)
    for as_list in (False, True):
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            inside = config["config"] if isinstance(config["config"], list) else config["config"]["layers"]
            inside = [layer for layer in inside if layer["class_name"] != "InputLayer"]
            inside[0]["config"]["batch_input_shape"] = [None, 4]
            config["config"] = inside if as_list else {"name": "sequential", "layers": inside}
            file.attrs["model_config"] = json.dumps(config)
        model = keras_file.load(path)
        assert model.inputs[0].shape == (None, 4)
        np.testing.assert_allclose(model(x), wanted, atol=1e-6)


def test_what_cannot_be_repaired_is_refused_in_a_sentence(tmp_path):
    image = tf_keras.Input((4, 4, 2))
    path = tmp_path / "model.h5"
    tf_keras.Model(image, old.DepthwiseConv2D(2)(image)).save(path)
    with h5py.File(path, "r+") as file:  # a value that means something
        file.attrs["model_config"] = file.attrs["model_config"].replace('"groups": 1', '"groups": 2')
    with pytest.raises(
        keras_file.KerasFileError, match=r"Unrecognized keyword .* DepthwiseConv2D: \{'groups': 2\}"
    ) as told:
        keras_file.load(path)
    assert len(str(told.value)) < 600
    tf_keras.Model(image, tf.signal.fft(tf.cast(image, tf.complex64))).save(tmp_path / "fft.h5")
    with pytest.raises(keras_file.KerasFileError, match=r"names TFOpLambda 'tf\.signal\.fft'") as told:
        keras_file.load(tmp_path / "fft.h5")
    tf_keras.Sequential([old.LocallyConnected1D(2, 2, input_shape=(4, 4))]).save(tmp_path / "local.h5")
    with pytest.raises(keras_file.KerasFileError, match="names LocallyConnected1D of no module"):
        keras_file.load(tmp_path / "local.h5")
