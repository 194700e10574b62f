"""Each kind of layer by itself: what is pruned through it answers as the old model with zeros, in float64."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers
from toy import assert_like_masked, at_random, float64

from kerastl.compress import channels


@pytest.fixture(autouse=True)
def _float64():
    with float64():
        yield


def conv(x, filters=6, name="conv", **options):
    return layers.Conv2D(filters, 3, padding="same", name=name, **options)(x)


def gated(x):
    """Squeeze and excite (Hu et al. 2018), as MobileNetV3 writes it."""
    gate = layers.Conv2D(4, 1, activation="relu", name="squeeze")(
        layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    )
    gate = layers.Conv2D(6, 1, name="excite")(gate)
    gate = layers.ReLU(6.0, name="hard")(gate + 3.0) * (1.0 / 6.0)
    return layers.Multiply(name="gated")([x, gate])


def reshaped_gate(x):
    """The same, as EfficientNet writes it."""
    gate = layers.Reshape((1, 1, 6), name="reshape")(layers.GlobalAveragePooling2D(name="mean")(x))
    gate = layers.Conv2D(6, 1, activation="sigmoid", name="excite")(gate)
    return layers.Multiply(name="gated")([gate, x])


def shared(x):
    """One layer called twice: what it reads is tied."""
    both = layers.Conv2D(5, 1, name="both")
    left, right = layers.Conv2D(4, 1, name="left")(x), layers.Conv2D(4, 1, name="right")(x)
    return layers.Subtract(name="sub")([both(left), both(right)])


def shared_activation(x):
    """One layer without weights, called on tensors of two widths, which have nothing to do with one another."""
    relu = layers.ReLU(name="relu")
    return relu(conv(relu(x), 4))


def mean_of_places(x):
    return keras.ops.mean(layers.Reshape((64, 6), name="rows")(x), axis=1) + keras.ops.max(x, axis=(1, 2))


def spread(x):
    """A map of one channel lies over all others, and is not one of them."""
    where = layers.Conv2D(1, 1, activation="sigmoid", name="where")(x)
    return layers.Multiply(name="attended")([x, where])


# Name -> what stands between the first convolution, of six channels, and the last layers; and who loses channels.
PASSED: dict[str, tuple[Callable, set[str]]] = {
    "norm": (lambda x: layers.BatchNormalization(name="norm")(x), {"first"}),
    "norm without scale": (lambda x: layers.BatchNormalization(scale=False, name="norm")(x), {"first"}),
    "activation": (lambda x: layers.Activation("silu", name="silu")(x), {"first"}),
    "sigmoid, which is not 0 at 0": (lambda x: layers.Activation("sigmoid", name="sigmoid")(x), {"first"}),
    "relu": (lambda x: layers.ReLU(max_value=6, negative_slope=0.1, name="relu")(x), {"first"}),
    "leaky relu, elu": (lambda x: layers.ELU(name="elu")(layers.LeakyReLU(name="leaky")(x)), {"first"}),
    "parametric relu": (lambda x: layers.PReLU(name="prelu")(x), {"first"}),
    "parametric relu, shared": (lambda x: layers.PReLU(shared_axes=[1, 2], name="prelu")(x), {"first"}),
    "parametric relu, one for all": (lambda x: layers.PReLU(shared_axes=[3], name="prelu")(x), {"first"}),
    "pooling": (lambda x: layers.AveragePooling2D(2, name="b")(layers.MaxPooling2D(name="a")(x)), {"first"}),
    "padding": (lambda x: layers.Cropping2D((1, 2), name="b")(layers.ZeroPadding2D(2, name="a")(x)), {"first"}),
    "growing": (lambda x: layers.UpSampling2D(name="up")(x), {"first"}),
    "dropout": (lambda x: layers.SpatialDropout2D(0.5, name="b")(layers.Dropout(0.5, name="a")(x)), {"first"}),
    "rescaling": (lambda x: layers.Rescaling(0.5, offset=0.25, name="rescale")(x), {"first"}),
    "convolution": (lambda x: conv(x, 8, strides=2, activation="relu"), {"first", "conv"}),
    "dilated, no bias": (lambda x: conv(x, 8, dilation_rate=2, use_bias=False), {"first", "conv"}),
    "grouped": (lambda x: conv(x, 9, "grouped", groups=3), {"first", "grouped"}),
    "transposed": (lambda x: layers.Conv2DTranspose(4, 3, strides=2, name="conv")(x), {"first", "conv"}),
    "depthwise": (lambda x: layers.DepthwiseConv2D(3, name="deep")(x), {"first"}),
    "depthwise, three each": (lambda x: layers.DepthwiseConv2D(3, depth_multiplier=3, name="deep")(x), {"first"}),
    "separable": (lambda x: layers.SeparableConv2D(8, 3, depth_multiplier=2, name="sep")(x), {"first", "sep"}),
    "dense over places": (lambda x: layers.Dense(8, activation="gelu", name="dense")(x), {"first", "dense"}),
    "flatten": (lambda x: layers.Flatten(name="flat")(x), {"first"}),
    "reshape": (lambda x: layers.Flatten(name="flat")(layers.Reshape((16, 4, 6), name="reshape")(x)), {"first"}),
    "reshape, open": (lambda x: layers.Reshape((-1, 6), name="reshape")(x), {"first"}),
    "permute": (lambda x: layers.Flatten(name="flat")(layers.Permute((3, 1, 2), name="permute")(x)), {"first"}),
    "repeat": (lambda x: layers.RepeatVector(3, name="rep")(layers.GlobalMaxPooling2D(name="max")(x)), {"first"}),
    "sum": (lambda x: layers.Add(name="add")([x, conv(x)]), {"first", "conv"}),
    "sum, by an operator": (lambda x: x + conv(x) - 2.0, {"first", "conv"}),
    "maximum, average": (
        lambda x: layers.Average(name="mean")([layers.Maximum(name="max")([x, conv(x)]), x]),
        {"first", "conv"},
    ),
    "concatenation": (
        lambda x: layers.Concatenate(name="join")([conv(x, 5, "a"), x, conv(x, 3, "b")]),
        {"first", "a", "b"},
    ),
    "concatenation of rows": (lambda x: layers.Concatenate(axis=1, name="join")([conv(x, 6), x]), {"first", "conv"}),
    "concatenation, then a sum": (
        lambda x: layers.Add(name="add")([layers.Concatenate(name="join")([x, conv(x, 4, "a")]), conv(x, 10, "b")]),
        {"first", "a", "b"},
    ),
    "squeeze and excite": (gated, {"first", "squeeze", "excite"}),
    "squeeze and excite, reshaped": (reshaped_gate, {"first", "excite"}),
    "shared layer": (shared, {"first", "left", "right", "both"}),
    "shared activation": (shared_activation, {"first", "conv"}),
    "operators over places": (mean_of_places, {"first"}),
    "one over all": (spread, {"first"}),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED)
def test_what_is_pruned_through_it_answers_like_zeros(name):
    between, losing = PASSED[name]
    image = keras.Input((8, 8, 2), name="image")
    x = between(layers.Conv2D(6, 3, padding="same", name="first")(image))
    x = layers.Flatten(name="to_one_row")(x)
    x = layers.Dense(5, activation="tanh", name="hidden")(x)
    model = at_random(keras.Model(image, layers.Dense(3, name="logits")(x)))
    plan = channels.plan(model, keep_ratio=0.4, cost="parameters", divisor=1)
    small = channels.apply(model, plan)
    print(name, {layer: (count.before, count.after) for layer, count in plan.channels.items()})
    assert losing <= set(plan.removed)
    assert small.count_params() == plan.parameters.after <= 0.4 * model.count_params()
    assert_like_masked(model, small, np.random.default_rng(1).normal(size=(4, 8, 8, 2)))


def least(model: keras.Model) -> float:
    """The least share of parameters that is reached, read off the error that names it."""
    with pytest.raises(ValueError, match="one that still has") as caught:
        channels.plan(model, keep_ratio=1e-6, cost="parameters", divisor=1, min_keep_ratio=0.01)
    return float(str(caught.value).split("one that still has ")[1].split(" ")[0]) + 1e-3


def test_a_single_channel_over_all_others_is_not_tied_to_them():
    image = keras.Input((8, 8, 2), name="image")
    x = layers.Flatten(name="flat")(spread(layers.Conv2D(6, 3, name="first")(image)))
    plan = channels.plan(
        keras.Model(image, layers.Dense(3, name="logits")(x)), keep_ratio=0.5, cost="parameters", divisor=1
    )
    assert (
        plan.unprunable["where"] == "1 of 1 channels: 'attended' of class Multiply spreads a single channel over many"
    )
    assert "first" not in plan.unprunable


def test_channels_that_come_first():
    image = keras.Input((2, 8, 8), name="image")
    first = {"data_format": "channels_first"}
    x = layers.Conv2D(6, 3, name="first", **first)(image)
    x = layers.ReLU(name="relu")(layers.BatchNormalization(axis=1, name="norm")(x))
    x = layers.ZeroPadding2D(1, name="pad", **first)(layers.DepthwiseConv2D(3, name="deep", **first)(x))
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="mean", **first)(x)
    x = layers.Multiply(name="gated")([x, layers.Conv2D(6, 1, activation="sigmoid", name="gate", **first)(gate)])
    x = layers.Flatten(name="flat", **first)(layers.Concatenate(axis=1, name="join")([x, x]))
    model = at_random(keras.Model(image, layers.Dense(3, name="logits")(x)))
    plan = channels.plan(model, keep_ratio=0.5, cost="parameters", divisor=1)
    assert set(plan.removed) == {"first", "gate"}
    assert channels.multiply_adds(model) == 36 * 9 * 2 * 6 + 16 * 9 * 6 + 36 + 6 * 6 * 12 * 3
    small = channels.apply(model, plan)  # a CPU cannot run it, so slices are compared
    assert small.count_params() == plan.parameters.after
    kept = [place for place in range(6) if place not in plan.removed["first"]]
    both = [*kept, *(6 + place for place in kept)]
    for name, take in {
        "first": lambda kernel: kernel[..., kept],
        "deep": lambda kernel: kernel[:, :, kept],
        "gate": lambda kernel: kernel[:, :, kept][..., kept],
        "logits": lambda kernel: kernel.reshape(36, 12, 3)[:, both].reshape(-1, 3),  # moved to the end, then flattened
    }.items():
        kernel = model.get_layer(name).kernel.numpy()
        np.testing.assert_array_equal(small.get_layer(name).kernel, take(kernel), err_msg=name)


def test_texts_of_one_axis():
    """An embedding, a mask over it, a convolution over tokens, sums by operators: the `text_cnn`."""
    ids = keras.Input((12,), dtype="int32", name="token_ids")
    real = keras.ops.expand_dims(keras.ops.cast(keras.ops.not_equal(ids, 0), "float64"), -1)
    x = layers.SpatialDropout1D(0.3, name="dropout")(layers.Embedding(30, 8, name="words")(ids))
    x = layers.Conv1D(6, 3, padding="same", activation="relu", name="patterns")(layers.Multiply(name="a")([x, real]))
    x = layers.Multiply(name="b")([x, real])
    mean = keras.ops.sum(x, 1) / keras.ops.maximum(keras.ops.sum(real, 1), 1.0)
    x = layers.Concatenate(name="pool")([layers.GlobalMaxPooling1D(name="max")(x), mean])
    model = at_random(keras.Model(ids, layers.Dense(3, name="logits")(x)))
    plan = channels.plan(model, keep_ratio=0.5, cost="parameters", divisor=1)
    assert set(plan.removed) == {"words", "patterns"}
    assert_like_masked(model, channels.apply(model, plan), np.random.default_rng(0).integers(0, 30, (5, 12)))


@keras.saving.register_keras_serializable("kerastl_tests")
def turned(x):
    return x[..., ::-1]


# Name -> what stands behind the first convolution, and why the latter is left as it is.
REFUSED: dict[str, tuple[Callable, str]] = {
    "norm over channels": (lambda x: layers.LayerNormalization(name="norm")(x), "'norm' of class LayerNormalization"),
    "norm of rows": (lambda x: layers.BatchNormalization(axis=1, name="norm")(x), "normalizes along another axis"),
    "softmax": (lambda x: layers.Softmax(name="soft")(x), "divides by a sum over them"),
    "softmax as activation": (lambda x: layers.Activation("softmax", name="soft")(x), "'soft' of class Activation"),
    "own activation": (lambda x: layers.Activation(turned, name="own")(x), "'own' of class Activation"),
    "own activation of a layer": (
        lambda x: layers.DepthwiseConv2D(3, activation=turned, name="own")(x),
        "the activation of 'own' of class DepthwiseConv2D",
    ),
    "split over axes": (lambda x: layers.Reshape((8, 8, 2, 3), name="split")(x), "spreads them over two axes"),
    "sum over channels": (lambda x: keras.ops.sum(x, axis=-1), "sums over them"),
    "unknown operator": (lambda x: keras.ops.flip(x, axis=-1), "of class Flip is not known"),
    "a slice": (lambda x: x[..., :2], "of class GetItem is not known"),
    "a number a channel": (lambda x: x * np.arange(1.0, 7.0), "has more than one constant"),
    "rescaling a channel": (lambda x: layers.Rescaling([1.0, 2, 3, 4, 5, 6], name="r")(x), "a number for every"),
    "pooling along them": (
        lambda x: layers.MaxPooling2D(name="pool")(layers.Permute((3, 1, 2), name="turned")(x)),
        "takes another axis than theirs",
    ),
    "convolution along them": (
        lambda x: conv(layers.Permute((3, 1, 2), name="turned")(x), 4),
        "sums over another axis than theirs",
    ),
    "dropout that counts them": (
        lambda x: layers.Dropout(0.5, noise_shape=(None, 1, 1, 6), name="drop")(x),
        "has their number in its noise_shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_followed_is_left_and_said_why(name):
    between, why = REFUSED[name]
    image = keras.Input((8, 8, 2), name="image")
    before = layers.Conv2D(4, 3, padding="same", name="before")(image)
    x = layers.Flatten(name="flat")(between(layers.Conv2D(6, 3, padding="same", name="first")(before)))
    model = at_random(keras.Model(image, layers.Dense(3, name="logits")(layers.Dense(5, name="hidden")(x))))
    plan = channels.plan(model, keep_ratio=least(model), cost="parameters", divisor=1, min_keep_ratio=0.01)
    assert why in plan.unprunable["first"]
    assert "first" not in plan.removed
    assert {"before", "hidden"} <= set(plan.removed)
    assert_like_masked(model, channels.apply(model, plan), np.random.default_rng(1).normal(size=(4, 8, 8, 2)))


def test_a_sum_along_another_axis_leaves_both_sides():
    image = keras.Input((8, 8, 2), name="image")
    one, other = (layers.Conv2D(8, 1, name=name)(image) for name in ("one", "other"))
    x = layers.Add(name="add")([one, layers.Permute((1, 3, 2), name="turned")(other)])
    x = layers.Dense(6, name="free")(layers.Flatten(name="flat")(x))
    model = at_random(keras.Model(image, layers.Dense(2, name="logits")(x)))
    plan = channels.plan(model, keep_ratio=0.9, cost="parameters", divisor=1)
    for name in ("one", "other"):
        assert "'add' of class Add merges them with numbers along another axis" in plan.unprunable[name]
    assert set(plan.removed) == {"free"}


def test_a_residual_sum_with_the_input_and_a_layer_called_on_tensors_of_two_ranks():
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Add(name="add")([image, layers.Conv2D(3, 3, padding="same", name="held")(image)])
    one, other = layers.Conv2D(5, 1, name="one")(x), layers.Conv2D(5, 4, strides=2, name="other")(x)
    twice = layers.Dense(4, name="twice")
    rows = twice(layers.GlobalMaxPooling2D(name="most")(one)), layers.GlobalMaxPooling2D(name="top")(twice(other))
    x = layers.Concatenate(name="join")(rows)
    model = at_random(keras.Model(image, layers.Dense(2, name="logits")(x)))
    plan = channels.plan(model, keep_ratio=0.6, cost="parameters", divisor=1)
    assert plan.unprunable["held"] == "3 of 3 channels: they are an input of the model"
    assert {"one", "other", "twice"} <= set(plan.removed)
    assert plan.removed["one"] == plan.removed["other"]
    assert_like_masked(model, channels.apply(model, plan), np.random.default_rng(1).normal(size=(4, 8, 8, 3)))


def test_a_layer_that_was_quantized_is_left():
    image = keras.Input((8,), name="image")
    x = layers.Dense(8, dtype="float32", name="whole")(image)
    x = layers.Dense(8, dtype="float32", name="eighth")(layers.Dense(8, name="free")(x))
    model = keras.Model(image, layers.Dense(2, name="logits")(layers.ReLU(name="relu")(x)))
    model.get_layer("eighth").enable_lora(2)
    plan = channels.plan(model, keep_ratio=0.9, cost="parameters", divisor=1)
    assert "'eighth' of class Dense is not known" in plan.unprunable["free"]
    assert set(plan.removed) == {"whole"}
