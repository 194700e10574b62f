from __future__ import annotations

import keras
import numpy as np
import pytest
import tf_keras
from keras.src.applications import convnext

from kerastl.compress.tf_keras import bridge, tf_keras_layers
from kerastl.system import layer_graph


def randomize(model: keras.Model) -> keras.Model:
    """Weights that no initializer gives, so that a weight that is not copied shows."""
    generator = np.random.default_rng(5)
    for weight in model.weights:
        values = generator.normal(size=weight.shape, scale=0.3)
        weight.assign(np.abs(values) + 0.5 if "variance" in weight.name or "gamma" in weight.name else values)
    return model


def every_layer() -> keras.Model:
    layers = keras.layers
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], name="normalize")(x)
    x = layers.ZeroPadding2D(((0, 1), (1, 2)), name="pad")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(epsilon=1e-2, name="norm")(x)
    x = x_skip = layers.ReLU(max_value=6.0, name="relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="separable")(x)
    x = layers.Add(name="add")([x, x_skip])
    x = layers.Activation("relu6", name="relu6")(x)
    squeeze = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    x = layers.Multiply(name="scale")([x, layers.Conv2D(8, 1, activation="sigmoid", name="excite")(squeeze)])
    x = layers.LeakyReLU(negative_slope=0.1, name="leaky")(x)
    x = layers.Activation("tanh", name="tanh")(x)
    x = layers.Concatenate(name="concatenate")(
        [
            layers.MaxPooling2D(2, padding="same", name="max_pool")(x),
            layers.AveragePooling2D(2, padding="same", name="average_pool")(x),
        ]
    )
    x = layers.Reshape((4, 4, -1), name="reshape")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    shared = layers.Dense(16, name="shared")
    x = shared(layers.Dense(16, activation="relu", name="hidden")(x))
    x = shared(x)
    x = layers.Dense(5, name="logits")(x)
    return randomize(keras.Model(image, layers.Softmax(name="probabilities")(x)))


PROBE = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3)).astype("float32")


def test_every_layer_crosses():
    model = every_layer()
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    assert isinstance(bridged, tf_keras.Model)
    assert [layer.name for layer in bridged.layers] == [layer.name for layer in model.layers]
    other = PROBE[::-1] * 0.7
    np.testing.assert_allclose(bridged(other).numpy(), keras.ops.convert_to_numpy(model(other)), atol=1e-5)


def test_the_callers_model_is_left_as_it_was():
    model = every_layer()
    config, weights = model.get_config(), model.get_weights()
    nodes = [len(layer._outbound_nodes) for layer in model.layers]
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    for weight in bridged.weights:
        weight.assign_add(keras.ops.ones_like(weight))
    assert [len(layer._outbound_nodes) for layer in model.layers] == nodes
    assert model.get_config() == config
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_adapted_normalization_and_frozen_layers_cross():
    image = keras.Input((3,), name="features")
    normalize = keras.layers.Normalization(name="normalize")
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(normalize(image)))
    probe = np.random.default_rng(1).normal(3.0, 2.0, (50, 3)).astype("float32")
    normalize.adapt(probe)
    model.get_layer("logits").trainable = False
    bridged = bridge.to_tf_keras(model, probe=probe)
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.get_layer("logits").weights)
    wanted = (probe - probe.mean(0)) / probe.std(0) @ kernel + bias
    np.testing.assert_allclose(bridged(probe).numpy(), wanted, atol=1e-4)
    assert not bridged.get_layer("logits").trainable


def test_sequential_and_nested_models_are_laid_flat():
    inner = keras.Sequential([keras.Input((12, 12, 3)), keras.layers.Conv2D(4, 3, name="conv")], name="inner")
    image = keras.Input((12, 12, 3), name="image")
    model = randomize(keras.Model(image, keras.layers.Flatten(name="flatten")(inner(image))))
    assert [layer.name for layer in bridge.to_tf_keras(model, probe=PROBE).layers] == ["image", "conv", "flatten"]
    assert [layer.name for layer in bridge.to_tf_keras(inner, probe=PROBE).layers][1:] == ["conv"]


def test_mobilenet_v2_crosses():
    model = keras.applications.MobileNetV2(input_shape=(64, 64, 3), alpha=0.35, weights=None, classes=10)
    for weight in model.weights:  # statistics other than 0 and 1, outputs that differ from picture to picture
        if "moving_mean" in weight.name:
            weight.assign(np.random.default_rng(2).normal(0.0, 0.1, weight.shape))
    probe = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    bridged = bridge.to_tf_keras(model, probe=probe)
    assert len(bridged.layers) == len(model.layers)
    assert np.ptp(bridged(probe).numpy()) > 1e-4


def test_an_unknown_layer_is_named():
    image = keras.Input((12, 12, 3), name="image")
    model = keras.Model(image, keras.layers.UnitNormalization(name="unit")(image))
    with pytest.raises(ValueError, match=r"layer 'unit' of class .*UnitNormalization.*Available: \['Activation'"):
        bridge.to_tf_keras(model, probe=PROBE)


@pytest.mark.parametrize("activation", ["squareplus", "a function of one's own"])
def test_an_activation_that_differs_is_named(activation):
    image = keras.Input((12, 12, 3), name="image")
    layer = keras.layers.Conv2D(2, 1, activation="squareplus", name="gate")
    if activation != "squareplus":
        layer = keras.layers.Conv2D(2, 1, activation=lambda x: x * 2, name="gate")
    with pytest.raises(ValueError, match=r"Received: .* in layer 'gate' of class Conv2D.*'hard_sigmoid', 'hard_silu'"):
        bridge.to_tf_keras(keras.Model(image, layer(image)), probe=PROBE)


@pytest.mark.parametrize("name", sorted([*bridge._ACTIVATIONS, *tf_keras_layers.ACTIVATIONS]))
def test_every_activation_is_keras_3s(name):
    """In a layer of its own and inside a convolution, against Keras 3's numbers."""
    image = keras.Input((6, 6, 3), name="image")
    x = keras.layers.Activation(name, name="alone")(image)
    model = randomize(keras.Model(image, keras.layers.Conv2D(4, 1, activation=name, name="inside")(x)))
    values = np.linspace(-8, 8, 2 * 6 * 6 * 3, dtype="float32").reshape(2, 6, 6, 3)
    bridged = bridge.to_tf_keras(model, probe=values)
    np.testing.assert_allclose(bridged(values), model(values), rtol=1e-5, atol=1e-5)


def test_layers_of_rows_cross():
    """The family of Conv1D; noise that is there only while a model learns stays behind."""
    layers = keras.layers
    row = keras.Input((12, 3), name="row")
    x = layers.ZeroPadding1D(1)(layers.GaussianNoise(0.5)(row))
    x = layers.Conv1D(8, 3, strides=2, padding="causal", activation="relu", name="conv")(x)
    x = layers.SeparableConv1D(6, 3, padding="same", name="separable")(layers.SpatialDropout1D(0.2)(x))
    x = layers.DepthwiseConv1D(3, padding="same", name="depthwise")(layers.UpSampling1D(2)(x))
    x = layers.Conv1DTranspose(5, 3, strides=2, name="transposed")(layers.Cropping1D(1)(layers.Identity()(x)))
    ends = [layers.GlobalAveragePooling1D()(layers.MaxPooling1D(2)(x)), layers.GlobalMaxPooling1D()(x)]
    y = layers.Flatten()(layers.RepeatVector(2)(layers.Concatenate()([*ends, layers.Flatten()(x)])))
    model = randomize(keras.Model(row, layers.Dense(3, name="logits")(y)))
    bridged = bridge.to_tf_keras(model, probe=np.random.default_rng(0).normal(size=(4, 12, 3)))
    back = bridge.to_keras(bridged, like=model)
    assert all((a == b).all() for a, b in zip(back.get_weights(), model.get_weights(), strict=True))


def test_pictures_are_changed_at_the_door():
    """Random changes stay behind; sizes, and colours in the order of Caffe, cross."""
    layers = keras.layers
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Resizing(6, 5, interpolation="nearest")(layers.RandomZoom(0.2)(layers.RandomFlip()(image)))
    x = keras.ops.concatenate([x[..., ::-1] - 1.0, keras.ops.flip(x, axis=-1)], axis=-1)
    model = randomize(keras.Model(image, layers.Dense(2)(layers.Flatten()(x))))
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    assert not any("random" in layer.name for layer in bridged.layers)
    again = keras.Model(image, layers.Resizing(6, 5, antialias=True, name="size")(image))
    with pytest.raises(ValueError, match="layer 'size' of class Resizing, antialias=True"):
        bridge.to_tf_keras(again, probe=PROBE)


@pytest.mark.parametrize(
    "name", [name for name in dir(keras.layers) if name.startswith("Random")] + ["AugMix", "MixUp"]
)
def test_a_random_change_passes_pictures_on_when_a_model_answers(name):
    """Which is why it may be left out."""
    wanted = {"RandomContrast": (0.2,), "RandomBrightness": (0.2,), "RandomRotation": (0.1,), "RandomZoom": (0.1,)}
    wanted |= {"RandomTranslation": (0.1, 0.1), "RandomPosterization": (4,), "RandomColorDegeneration": (0.5,)}
    wanted |= {"RandomHue": (0.5,), "RandomSaturation": (0.5,), "RandomSharpness": (0.5,), "RandomCrop": (12, 12)}
    layer = getattr(keras.layers, name)(*wanted.get(name, ()))
    np.testing.assert_array_equal(layer(PROBE, training=False), PROBE)
    assert layer_graph.is_augmentation(layer) == (name != "RandomCrop")


def test_a_rescaling_by_arrays_crosses():
    """As a mean and a deviation of each colour are mostly written."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    image = keras.Input((8, 8, 3), name="image")
    model = keras.Model(image, keras.layers.Rescaling(1 / (255 * deviation), offset=-mean / deviation)(image))
    values = np.random.default_rng(3).uniform(0, 255, (3, 8, 8, 3)).astype("float32")
    bridged = bridge.to_tf_keras(model, probe=values)
    np.testing.assert_allclose(bridged(values), (values / 255 - mean) / deviation, rtol=1e-5, atol=1e-5)


def test_layers_of_newer_networks_cross():
    """Those of ConvNeXt, MobileNetV3 and others, some of which tf_keras lacks."""
    layers = keras.layers
    image = keras.Input((8, 8, 4), name="image")
    x = layers.Conv2D(8, 3, groups=4, padding="same", name="as_many_groups_as_channels")(image)
    x = layers.Conv2D(8, 3, groups=2, padding="same", use_bias=False, name="two_groups")(x)
    x = layers.LayerNormalization(epsilon=1e-3, name="layer_norm")(x)
    x = convnext.LayerScale(0.5, 8, name="layer_scale")(layers.Dense(8, name="pointwise")(x))
    x = convnext.StochasticDepth(0.3, name="stochastic_depth")(x)
    x = layers.ELU(alpha=0.7, name="elu")(layers.PReLU(shared_axes=[1, 2], name="prelu")(x))
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same", name="transposed")(x)
    x = layers.Maximum(name="maximum")([x, layers.Minimum(name="minimum")([x * 0.5, x + 1.0])])
    model = randomize(keras.Model(image, layers.Flatten(name="flatten")(x)))
    values = np.random.default_rng(3).normal(0, 2, (3, 8, 8, 4)).astype("float32")
    bridged = bridge.to_tf_keras(model, probe=values)
    assert type(bridged.get_layer("as_many_groups_as_channels")) is tf_keras.layers.DepthwiseConv2D
    np.testing.assert_allclose(bridged(values[::-1]), model(values[::-1]), rtol=1e-4, atol=1e-4)
    for weight in bridged.weights:
        weight.assign(weight * 1.25)
    home = bridge.to_keras(bridged, like=model)
    np.testing.assert_allclose(home(values), bridged(values), rtol=1e-4, atol=1e-4)


def test_the_depth_that_is_left_out_by_chance_is_left_out_for_whole_pictures():
    image = keras.Input((4, 4, 2), name="image")
    model = keras.Model(image, convnext.StochasticDepth(0.25, name="depth")(image))
    values = np.ones((400, 4, 4, 2), "float32")
    bridged = bridge.to_tf_keras(model, probe=values)
    answers = bridged(values, training=True).numpy().reshape(400, -1)
    assert (np.ptp(answers, axis=1) == 0).all()
    assert set(np.unique(answers.round(4))) == {0.0, np.float32(1.3333)}
    assert np.mean(answers == 0) == pytest.approx(0.25, abs=0.08)


def test_a_root_mean_square_norm_is_named():
    image = keras.Input((12, 12, 3), name="image")
    layer = keras.layers.LayerNormalization(rms_scaling=True, name="norm")
    with pytest.raises(ValueError, match="layer 'norm' of class LayerNormalization, rms_scaling=True"):
        bridge.to_tf_keras(keras.Model(image, layer(image)), probe=PROBE)


@keras.saving.register_keras_serializable()
class Block(keras.layers.Layer):
    """A layer made of others, which have the names that those of every such block have; and of one like itself."""

    def __init__(self, depth=1, **options):
        super().__init__(**options)
        self.depth = depth
        self.conv = keras.layers.Conv2D(3, 3, padding="same", use_bias=False, name="conv")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.inner = Block(depth - 1, name="inner") if depth else None

    def build(self, shape):
        for part in (self.conv, self.norm, *([self.inner] if self.inner else [])):
            part.build(shape)
        self.built = True

    def call(self, inputs):
        x = self.norm(self.conv(inputs))
        return inputs + (self.inner(x) if self.inner else keras.ops.relu6(x))

    def get_config(self):
        return {**super().get_config(), "depth": self.depth}


def test_layers_made_of_layers_are_taken_apart_and_found_again():
    image = keras.Input((12, 12, 3), name="image")
    nested = keras.Sequential([keras.Input((12, 12, 3)), Block(1, name="third")], name="nested")
    block = Block(1, name="first")
    x = nested(block(Block(1, name="second")(block(image))))
    model = randomize(keras.Model(image, keras.layers.Flatten(name="flatten")(x)))
    nodes = [(len(one._inbound_nodes), len(one._outbound_nodes)) for one in model._flatten_layers()]
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    assert [(len(one._inbound_nodes), len(one._outbound_nodes)) for one in model._flatten_layers()] == nodes
    convolutions = [layer.name for layer in bridged.layers if isinstance(layer, tf_keras.layers.Conv2D)]
    assert len(set(convolutions)) == len(convolutions) == 6
    assert {"conv", "first_inner_conv", "second_conv", "nested_third_inner_conv"} <= set(convolutions)
    np.testing.assert_allclose(bridged(PROBE[::-1]), model(PROBE[::-1]), rtol=1e-4, atol=1e-3)
    for weight in bridged.weights:
        weight.assign(weight * 1.1)
    home = bridge.to_keras(bridged, like=model)
    np.testing.assert_allclose(home(PROBE), bridged(PROBE), rtol=1e-4, atol=1e-3)


def test_an_inverted_normalization_is_named():
    image = keras.Input((12, 12, 3), name="image")
    layer = keras.layers.Normalization(mean=0.5, variance=4.0, invert=True, name="back")
    with pytest.raises(ValueError, match="layer 'back' of class Normalization, invert=True"):
        bridge.to_tf_keras(keras.Model(image, layer(image)), probe=PROBE)


def test_a_difference_on_the_probe_is_an_error():
    model = every_layer()
    # A layer of the right class that computes something else, which no look at its class can see.
    model.get_layer("hidden").call = lambda inputs, training=None: keras.ops.zeros((len(inputs), 16)) + 3.0
    with pytest.raises(ValueError, match="largest difference of"):
        bridge.to_tf_keras(model, probe=PROBE)


def test_nan_is_a_difference():
    model = every_layer()
    model.get_layer("logits").bias.assign(np.full(5, np.nan))
    with pytest.raises(ValueError, match="largest difference of nan"):
        bridge.to_tf_keras(model, probe=PROBE)


def test_other_things_are_refused():
    with pytest.raises(ValueError, match=r"needs a Keras 3 model\. Received: tf_keras"):
        bridge.to_tf_keras(tf_keras.Sequential([tf_keras.layers.Dense(1)]), probe=PROBE)

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match="subclassed model Subclassed"):
        bridge.to_tf_keras(Subclassed(), probe=PROBE)


def test_a_dropout_acts_in_training_and_not_otherwise():
    """Keras 3 notes `training=False` beside each Dropout; tf_keras would never drop anything again."""
    image = keras.Input((12, 12, 3), name="image")
    model = keras.Model(image, keras.layers.Dropout(0.25, name="dropout")(keras.layers.Flatten(name="flat")(image)))
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    pictures = PROBE + 1
    assert np.mean(bridged(pictures, training=True).numpy() == 0) == pytest.approx(0.25, abs=0.06)
    np.testing.assert_array_equal(bridged(pictures, training=False), pictures.reshape(len(pictures), -1))


def test_the_way_back_is_a_copy_with_the_weights_of_the_twin():
    model = every_layer()
    before = model.get_weights()
    bridged = bridge.to_tf_keras(model, probe=PROBE)
    for weight in bridged.weights:
        weight.assign(weight * 1.25)
    home = bridge.to_keras(bridged, like=model)
    assert type(home) is type(model)
    assert [layer.name for layer in home.layers] == [layer.name for layer in model.layers]
    np.testing.assert_allclose(home(PROBE), bridged(PROBE), atol=1e-5)
    assert np.abs(np.asarray(home(PROBE)) - np.asarray(model(PROBE))).max() > 1e-3
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_way_back_finds_nested_layers_and_adapted_ones():
    image = keras.Input((4, 4, 2), name="image")
    normalize = keras.layers.Normalization(name="normalize")
    normalize.adapt(np.random.default_rng(0).normal(3, 2, (50, 4, 4, 2)))
    inner = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.Conv2D(3, 3, name="conv")], name="inner")
    flat = keras.layers.Flatten(name="flatten")(inner(normalize(image)))
    model = keras.Model(image, keras.layers.Dense(2, name="logits")(flat))
    probe = np.random.default_rng(1).normal(size=(5, 4, 4, 2)).astype("float32")
    bridged = bridge.to_tf_keras(model, probe=probe)
    bridged.get_layer("conv").set_weights([2 * weight + 1 for weight in bridged.get_layer("conv").get_weights()])
    home = bridge.to_keras(bridged, like=model)
    np.testing.assert_allclose(home(probe), bridged(probe), rtol=1e-4, atol=1e-4)
    assert home.get_layer("inner") is not model.get_layer("inner")


def test_the_way_back_of_another_model_is_refused():
    model = every_layer()
    image = tf_keras.Input((12, 12, 3))
    other = tf_keras.Model(image, tf_keras.layers.Conv2D(9, 3, name="conv")(image))
    with pytest.raises(
        ValueError, match=r"Received: .* layer 'conv' has \[\(3, 3, 3, 9\), \(9,\)\] and not \[\(3, 3, 3, 8"
    ):
        bridge.to_keras(other, like=model)


def test_a_model_of_several_inputs_is_compared_by_their_names():
    given = {name: keras.Input((4,), name=name) for name in ("left", "right")}
    difference = keras.layers.Subtract(name="difference")(list(given.values()))
    model = randomize(keras.Model(given, keras.layers.Dense(3, name="answer")(difference)))
    random = np.random.default_rng(0)
    probe = {name: random.normal(size=(6, 4)).astype("float32") for name in given}
    bridged = bridge.to_tf_keras(model, probe=probe)
    np.testing.assert_allclose(bridged(probe), model(probe), atol=1e-5)
    with pytest.raises(ValueError, match=r"a probe of the inputs left, right\. Received: left"):
        bridge.to_tf_keras(model, probe={"left": probe["left"]})
