"""Models of tutorials' shapes, as people bring them: sixty builders, what each takes, and how its file is written.

They follow the examples of keras.io and of TensorFlow's tutorials, small: the layers and how they are put together
are the point, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

R = np.random.default_rng(0)
S = keras.Sequential
Shape = tuple[int | None, ...]


class Model(NamedTuple):
    """A builder, and what `shrink_model` is told beside the file.

    Attributes:
        build: makes the model, of tf_keras where ``format`` says so.
        shape: of one example, or of several inputs by their names.
        format: "keras", "h5", or that of Keras 2: "tf_keras", "tf_h5".
        pixels: range that pictures are scaled to.
        size: side of pictures, where the model takes any.
    """

    build: Callable[[], Any]
    shape: Any
    format: str
    pixels: str
    size: int | None


MODELS: dict[str, Model] = {}


def model(
    shape: Shape | Mapping[str, Shape], *, format: str = "keras", pixels: str = "auto", size: int | None = None
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Lists a builder under its name."""

    def add(build: Callable[[], Any]) -> Callable[[], Any]:
        MODELS[build.__name__] = Model(build, shape, format, pixels, size)
        return build

    return add


def conv(filters: int, size: int = 3, **options: Any) -> Any:
    return layers.Conv2D(filters, size, **({"activation": "relu", "padding": "same"} | options))


@model((28, 28))
def beginner_mnist():
    return S(
        [
            keras.Input((28, 28)),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


@model((28, 28))
def fashion_flatten_input_shape():
    return S(
        [
            layers.Flatten(input_shape=(28, 28)),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model((28, 28, 1), pixels="0..1")
def mnist_convnet():
    return S(
        [
            keras.Input((28, 28, 1)),
            conv(8),
            layers.MaxPooling2D(2),
            conv(16),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model((32, 32, 3), pixels="0..1")
def cifar_tutorial():
    return S(
        [
            conv(8, padding="valid", input_shape=(32, 32, 3)),
            layers.MaxPooling2D(),
            conv(16, padding="valid"),
            layers.MaxPooling2D(),
            conv(16, padding="valid"),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(10),
        ]
    )


@model((32, 32, 3))
def sequential_without_input():
    m = S([layers.Rescaling(1 / 255), conv(8), layers.GlobalAveragePooling2D(), layers.Dense(5)])
    m.build((None, 32, 32, 3))
    return m


@model((48, 48, 3))
def flowers_with_augmentation():
    return S(
        [
            keras.Input((48, 48, 3)),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(0.1),
            layers.RandomZoom(0.1),
            layers.Rescaling(1 / 255),
            conv(8),
            layers.MaxPooling2D(),
            conv(16),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(5, name="outputs"),
        ]
    )


@model((48, 48, 3))
def nested_augmentation():
    aug = S([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])
    i = keras.Input((48, 48, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1)(aug(i))
    x = conv(8)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(i, layers.Dense(3)(layers.Dropout(0.2)(x)))


@model((40, 50, 3))
def resizing_inside():
    return S(
        [
            keras.Input((40, 50, 3)),
            layers.Resizing(32, 32),
            layers.Rescaling(1 / 255),
            conv(8),
            layers.GlobalMaxPooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )


@model((48, 48, 3))
def center_crop_inside():
    return S(
        [
            keras.Input((48, 48, 3)),
            layers.CenterCrop(32, 32),
            layers.Rescaling(1 / 255),
            conv(8),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )


@model((48, 48, 3))
def transfer_mobilenet():
    base = keras.applications.MobileNetV2((48, 48, 3), alpha=0.35, include_top=False, weights=None)
    base.trainable = False
    i = keras.Input((48, 48, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(i)
    x = base(x, training=False)
    return keras.Model(i, layers.Dense(1)(layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))))


@model((75, 75, 3), pixels="0..1")
def xception_style():
    i = keras.Input((75, 75, 3))
    x = layers.Conv2D(16, 3, strides=2, padding="same")(i)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    prev = x
    for f in (16, 24):
        x = layers.Activation("relu")(x)
        x = layers.SeparableConv2D(f, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(f, 1, strides=2, padding="same")(prev)])
        prev = x
    return keras.Model(i, layers.Dense(2)(layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))))


@model((32, 32, 3), pixels="-1..1")
def residual_toy():
    i = keras.Input((32, 32, 3))
    x = conv(8)(i)
    y = conv(8)(conv(8)(x))
    x = layers.add([x, y])
    return keras.Model(i, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


@model((32, 32, 3), pixels="mean_std")
def leaky_prelu():
    return S(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3),
            layers.LeakyReLU(),
            layers.Conv2D(8, 3),
            layers.PReLU(shared_axes=[1, 2]),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


@model((32, 32, 3), pixels="caffe_bgr")
def vgg_blocks():
    return S(
        [
            keras.Input((32, 32, 3)),
            conv(8),
            conv(8),
            layers.MaxPooling2D(),
            conv(16),
            conv(16),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model((32, 32, 3), pixels="0..1")
def softmax_then_dropout():
    return S(
        [keras.Input((32, 32, 3)), conv(8), layers.Flatten(), layers.Dense(4), layers.Dropout(0.3), layers.Softmax()]
    )


@model((32, 32, 3), pixels="0..1")
def mixed_float16():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        return S(
            [
                keras.Input((32, 32, 3)),
                conv(8),
                layers.BatchNormalization(),
                layers.GlobalAveragePooling2D(),
                layers.Dense(4),
                layers.Activation("softmax", dtype="float32"),
            ]
        )
    finally:
        keras.mixed_precision.set_global_policy("float32")


@model((32, 32, 3), pixels="0..1")
def mixed_bfloat16():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        return S([keras.Input((32, 32, 3)), conv(8), layers.GlobalAveragePooling2D(), layers.Dense(4, dtype="float32")])
    finally:
        keras.mixed_precision.set_global_policy("float32")


@model((28, 28, 1), format="h5", pixels="0..1")
def h5_mnist():
    return S(
        [
            keras.Input((28, 28, 1)),
            conv(8),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


@model((28, 28, 1), format="tf_h5", pixels="0..1")
def h5_of_tf_210():
    import tf_keras as K

    L = K.layers
    return K.Sequential(
        [
            L.Conv2D(8, 3, activation="relu", input_shape=(28, 28, 1)),
            L.BatchNormalization(),
            L.DepthwiseConv2D(3),
            L.MaxPooling2D(),
            L.Dropout(0.2),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )


@model((28, 28, 1), format="tf_keras", pixels="0..1")
def keras_of_tf_215():
    import tf_keras as K

    L = K.layers
    i = K.Input((28, 28, 1))
    x = L.Conv2D(8, 3, name="a/b")(i)
    x = L.BatchNormalization()(x)
    x = L.ReLU()(x)
    return K.Model(i, L.Dense(10)(L.GlobalAveragePooling2D()(x)))


@model((48, 48, 3), format="tf_h5", pixels="-1..1")
def h5_mobilenet_of_tf2():
    import tf_keras as K

    return K.applications.MobileNet((48, 48, 3), alpha=0.25, weights=None, classes=5)


@model((24, 1))
def lstm_forecast():
    return S([keras.Input((24, 1)), layers.LSTM(16), layers.Dense(1)])


@model((24, 3))
def stacked_lstm():
    return S([keras.Input((24, 3)), layers.LSTM(16, return_sequences=True), layers.LSTM(8), layers.Dense(4)])


@model((24, 3))
def gru():
    return S([keras.Input((24, 3)), layers.GRU(16), layers.Dense(3, activation="softmax")])


@model((24, 3))
def bidirectional():
    return S(
        [
            keras.Input((24, 3)),
            layers.Bidirectional(layers.LSTM(8, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(8)),
            layers.Dense(2),
        ]
    )


@model((24, 3))
def simple_rnn():
    return S([keras.Input((24, 3)), layers.SimpleRNN(8), layers.Dense(2)])


@model((128, 9))
def conv1d_activity():
    return S(
        [
            keras.Input((128, 9)),
            layers.Conv1D(16, 3, activation="relu"),
            layers.Conv1D(16, 3, activation="relu"),
            layers.Dropout(0.5),
            layers.MaxPooling1D(),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(6, activation="softmax"),
        ]
    )


@model((500, 1))
def timeseries_fcn():
    i = keras.Input((500, 1))
    x = i
    for _ in range(3):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv1D(16, 3, padding="same")(x)))
    return keras.Model(i, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


@model((64, 1))
def timeseries_transformer():
    i = keras.Input((64, 1))
    x = layers.MultiHeadAttention(2, 8, dropout=0.1)(i, i)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    r = x + i
    x = layers.Conv1D(4, 1, activation="relu")(r)
    x = layers.Conv1D(1, 1)(x)
    x = layers.LayerNormalization()(x) + r
    return keras.Model(
        i,
        layers.Dense(2, activation="softmax")(
            layers.Dense(8, activation="relu")(layers.GlobalAveragePooling1D(data_format="channels_last")(x))
        ),
    )


@model((32, 2))
def conv1d_autoencoder():
    return S(
        [
            keras.Input((32, 2)),
            layers.Conv1D(8, 7, padding="same", strides=2, activation="relu"),
            layers.Dropout(0.2),
            layers.Conv1D(4, 7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(4, 7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu"),
            layers.Conv1DTranspose(2, 7, padding="same"),
        ]
    )


@model((32, 4))
def causal_wavenet():
    i = keras.Input((32, 4))
    x = i
    for d in (1, 2, 4):
        x = layers.Conv1D(8, 2, padding="causal", dilation_rate=d, activation="relu")(x)
    return keras.Model(i, layers.Conv1D(1, 1)(x))


@model((64,))
def mlp_autoencoder():
    i = keras.Input((64,))
    return keras.Model(i, layers.Dense(64, activation="sigmoid")(layers.Dense(8, activation="relu")(i)))


@model((28, 28, 1), pixels="0..1")
def conv_autoencoder():
    return S(
        [
            keras.Input((28, 28, 1)),
            conv(8),
            layers.MaxPooling2D(2, padding="same"),
            conv(8),
            layers.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(1, 3, activation="sigmoid", padding="same"),
        ]
    )


@model((64, 64, 3))
def unet():
    i = keras.Input((64, 64, 3))
    s = layers.Rescaling(1 / 255)(i)
    a = conv(8)(s)
    b = conv(16)(layers.MaxPooling2D()(a))
    c = conv(16)(layers.MaxPooling2D()(b))
    u = layers.concatenate([layers.UpSampling2D()(c), b])
    u = conv(8)(u)
    u = layers.concatenate([layers.Conv2DTranspose(8, 2, strides=2)(u), a])
    return keras.Model(i, layers.Conv2D(3, 1, activation="softmax")(conv(8)(u)))


@model((64, 64, 3), pixels="0..1")
def oxford_xception_unet():
    i = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same")(i)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    p = x
    x = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.BatchNormalization()(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.add([x, layers.Conv2D(16, 1, strides=2, padding="same")(p)])
    x = layers.Conv2DTranspose(16, 3, padding="same")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.UpSampling2D(2)(x)
    return keras.Model(i, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))


@model((32, 32, 1), pixels="0..1")
def super_resolution():
    return S(
        [
            keras.Input((32, 32, 1)),
            conv(16, 5),
            conv(16),
            layers.Conv2D(9, 3, padding="same"),
            layers.Reshape((32, 32, 3, 3)),
            layers.Permute((1, 3, 2, 4)),
            layers.Reshape((96, 96, 1)),
        ]
    )


@model((32, 32, 3), pixels="0..1")
def depth_to_space():
    i = keras.Input((32, 32, 3))
    x = conv(12)(i)
    x = ops.reshape(x, (-1, 32, 32, 2, 2, 3))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return keras.Model(i, ops.reshape(x, (-1, 64, 64, 3)))


@model((32, 32, 3), pixels="0..1")
def two_heads():
    i = keras.Input((32, 32, 3), name="picture")
    x = layers.GlobalAveragePooling2D()(conv(8)(i))
    return keras.Model(
        i, {"age": layers.Dense(1, name="age")(x), "kind": layers.Dense(3, activation="softmax", name="kind")(x)}
    )


@model({"picture": (16, 16, 3), "row": (5,)}, pixels="0..1")
def picture_and_row():
    a = keras.Input((16, 16, 3), name="picture")
    b = keras.Input((5,), name="row")
    x = layers.concatenate([layers.GlobalAveragePooling2D()(conv(8)(a)), layers.Dense(4, activation="relu")(b)])
    return keras.Model([a, b], layers.Dense(2)(x))


@model({"left": (16, 16, 3), "right": (16, 16, 3)}, pixels="0..1")
def siamese():
    tower = S([keras.Input((16, 16, 3)), conv(8), layers.GlobalAveragePooling2D(), layers.Dense(8)])
    a = keras.Input((16, 16, 3), name="left")
    b = keras.Input((16, 16, 3), name="right")
    d = layers.Subtract()([tower(a), tower(b)])
    return keras.Model([a, b], layers.Dense(1, activation="sigmoid")(ops.abs(d)))


@model((8,))
def auto_mpg():
    n = layers.Normalization(axis=-1)
    n.adapt(R.normal(10, 5, (50, 8)))
    return S(
        [
            keras.Input((8,)),
            n,
            layers.Dense(16, activation="relu"),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )


@model((30,))
def fraud():
    return S(
        [
            keras.Input((30,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.3),
            layers.BatchNormalization(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@model((13,))
def selu_net():
    return S(
        [
            keras.Input((13,)),
            layers.Dense(16, activation="selu", kernel_initializer="lecun_normal"),
            layers.AlphaDropout(0.1),
            layers.Dense(3, activation="softmax"),
        ]
    )


@model((32, 32, 3))
def vision_transformer():
    i = keras.Input((32, 32, 3))
    x = layers.Rescaling(1 / 255)(i)
    x = layers.Conv2D(16, 8, strides=8)(x)
    x = layers.Reshape((16, 16))(x)
    x = x + layers.Embedding(16, 16)(ops.expand_dims(ops.arange(16), 0))
    for _ in range(2):
        y = layers.LayerNormalization(epsilon=1e-6)(x)
        y = layers.MultiHeadAttention(2, 8)(y, y)
        x = layers.Add()([x, y])
        y = layers.LayerNormalization()(x)
        y = layers.Dense(16, activation="gelu")(y)
        x = layers.Add()([x, y])
    return keras.Model(i, layers.Dense(10)(layers.Flatten()(x)))


@model((32, 32, 3), pixels="0..1")
def conv_mixer():
    i = keras.Input((32, 32, 3))
    x = layers.BatchNormalization()(layers.Activation("gelu")(layers.Conv2D(16, 2, strides=2)(i)))
    y = layers.DepthwiseConv2D(5, padding="same")(x)
    x = layers.Add()([layers.BatchNormalization()(layers.Activation("gelu")(y)), x])
    x = layers.Conv2D(16, 1)(x)
    return keras.Model(i, layers.Dense(10, activation="softmax")(layers.GlobalAvgPool2D()(x)))


@model((32, 32, 3), pixels="0..1")
def squeeze_excite():
    i = keras.Input((32, 32, 3))
    x = conv(8)(i)
    s = layers.GlobalAveragePooling2D(keepdims=True)(x)
    s = layers.Conv2D(4, 1, activation="swish")(s)
    s = layers.Conv2D(8, 1, activation="sigmoid")(s)
    return keras.Model(i, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.Multiply()([x, s]))))


@model((32, 32, 3), pixels="0..1")
def spatial_attention():
    i = keras.Input((32, 32, 3))
    x = conv(8)(i)
    a = layers.Concatenate()([ops.mean(x, -1, keepdims=True), ops.max(x, -1, keepdims=True)])
    a = layers.Conv2D(1, 7, padding="same", activation="sigmoid")(a)
    return keras.Model(i, layers.Dense(4)(layers.Flatten()(x * a)))


@model((16, 16, 4), pixels="0..1")
def four_channels():
    return S([keras.Input((16, 16, 4)), conv(8), layers.GlobalAveragePooling2D(), layers.Dense(3)])


@model((None, None, 3), size=32)
def any_size():
    return S(
        [
            keras.Input((None, None, 3)),
            layers.Rescaling(1 / 255),
            conv(8),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


@model((32, 32, 3), pixels="0..1")
def thousand_classes():
    return S(
        [keras.Input((32, 32, 3)), conv(8), layers.GlobalAveragePooling2D(), layers.Dense(1000, activation="softmax")]
    )


@model((5, 16, 16, 3), pixels="auto")
def video_time_distributed():
    return S(
        [
            keras.Input((5, 16, 16, 3)),
            layers.TimeDistributed(conv(4)),
            layers.TimeDistributed(layers.GlobalAveragePooling2D()),
            layers.LSTM(8),
            layers.Dense(3),
        ]
    )


@model((4, 16, 16, 1))
def conv_lstm():
    return S(
        [
            keras.Input((4, 16, 16, 1)),
            layers.ConvLSTM2D(4, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2),
        ]
    )


@model((20,))
def embedding_floats():
    return S(
        [
            keras.Input((20,)),
            layers.Embedding(100, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


@model((20,))
def embedding_ids():
    return S(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(100, 8),
            layers.Conv1D(8, 3, activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(2),
        ]
    )


@model((1,))
def text_vectorization():
    v = layers.TextVectorization(50, output_sequence_length=8, vocabulary=["a", "b", "c"])
    return S(
        [
            keras.Input((1,), dtype="string"),
            v,
            layers.Embedding(50, 8),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1),
        ]
    )


@model((16, 16, 3), pixels="0..1")
def group_norm():
    return S(
        [
            keras.Input((16, 16, 3)),
            layers.Conv2D(8, 3),
            layers.GroupNormalization(2),
            layers.Activation("swish"),
            layers.SpatialDropout2D(0.1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


@model((32,))
def gan_generator():
    return S(
        [
            keras.Input((32,)),
            layers.Dense(4 * 4 * 8, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Reshape((4, 4, 8)),
            layers.Conv2DTranspose(4, 5, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Conv2DTranspose(1, 5, strides=2, padding="same", activation="tanh"),
        ]
    )


@model((16, 16, 3), pixels="0..1")
def l2_embedding():
    return S(
        [
            keras.Input((16, 16, 3)),
            conv(8),
            layers.GlobalAveragePooling2D(),
            layers.Dense(16),
            layers.UnitNormalization(),
        ]
    )


@model((8000, 1))
def spectrogram_inside():
    i = keras.Input((8000, 1))
    x = layers.STFTSpectrogram(mode="magnitude", frame_length=256, frame_step=128, fft_length=256)(i)
    x = ops.expand_dims(x, -1)
    x = layers.Resizing(32, 32)(x)
    return keras.Model(i, layers.Dense(8)(layers.GlobalAveragePooling2D()(conv(8)(x))))


@model((124, 129, 1))
def simple_audio():
    n = layers.Normalization()
    n.adapt(R.normal(0, 1, (20, 124, 129, 1)))
    return S(
        [
            keras.Input((124, 129, 1)),
            layers.Resizing(32, 32),
            n,
            conv(8),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(8),
        ]
    )


@model((24, 3))
def masking_lstm():
    return S([keras.Input((24, 3)), layers.Masking(0.0), layers.LSTM(8), layers.Dense(2)])
