from __future__ import annotations

import functools
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from ai_edge_litert.interpreter import Interpreter

from kerastl.compress import fine_tuning, lowering, qat, quantize_scheme
from kerastl.compress.tf_keras import bridge
from kerastl.data import pipeline
from kerastl.distil import logit_cache
from kerastl.inputs import augmentation
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.runs.checkpoints import Workspace
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import callbacks
from kerastl.types import Split, Task

CLASSES = 3
BLOBS = Task("blobs", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))


def blobs(count: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Pictures 8x8 with a bright blob whose place is the class."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, count)
    pictures = generator.integers(0, 120, (count, 8, 8, 1))
    for picture, label in zip(pictures, labels, strict=True):
        picture[2 * label : 2 * label + 3, 2 * label : 2 * label + 3] += 135
    pictures[0, 0, 0], pictures[0, 0, 1] = 0, 255
    return pictures.astype("float32"), labels.astype("int32")


def network(*, rescale_offset: float = 0.0, pre_activation: bool = False) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    scale = 1 / 127.5 if rescale_offset else 1 / 255
    x = layers.Rescaling(scale, offset=rescale_offset, name="rescale")(image)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name="conv_norm")(x)
    x = skip = layers.ReLU(name="conv_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name="depthwise_norm")(x)
    x = layers.ReLU(max_value=6.0, name="depthwise_relu")(x)
    x = layers.SeparableConv2D(8, 3, padding="same", activation="relu", name="separable")(x)
    x = layers.Add(name="add")([x, skip])
    if pre_activation:
        x = layers.BatchNormalization(momentum=0.9, name="alone_norm")(x)
        x = layers.ReLU(name="alone_relu")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid", name="excite")(gate)
    x = layers.Multiply(name="scale")([x, gate])
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(CLASSES, name="logits")(x))


def trained(**options) -> keras.Model:
    model = network(**options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(*blobs(), batch_size=32, epochs=6, verbose=0)
    return model


def batches(inputs=None, labels=None) -> tf.data.Dataset:
    pictures, classes = blobs()
    return tf.data.Dataset.from_tensor_slices(
        (pictures if inputs is None else inputs, classes if labels is None else labels)
    ).batch(32)


@pytest.fixture(scope="module")
def float_model() -> keras.Model:
    return trained()


@pytest.fixture(scope="module")
def bridged(float_model) -> tf_keras.Model:
    return bridge.to_tf_keras(float_model, probe=blobs()[0])


def convert(model: tf_keras.Model) -> bytes:
    probabilities = tf_keras.Model(model.inputs, tf_keras.layers.Softmax(name="probabilities")(model.outputs[0]))
    signature = [tf.TensorSpec((1, *model.input_shape[1:]), tf.float32, name="image")]
    function = tf.function(lambda image: probabilities(image, training=False), input_signature=signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], probabilities)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    return converter.convert()


def assert_integer_file_agrees(model: tf_keras.Model, pictures: np.ndarray) -> None:
    """The file takes raw bytes, has no float tensor and no operator beyond those of the network, and answers alike."""
    interpreter = Interpreter(model_content=convert(model))
    interpreter.allocate_tensors()
    assert {detail["dtype"] for detail in interpreter.get_tensor_details()} <= {np.int8, np.uint8, np.int32}
    image, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1.0, 0)
    answers = []
    for picture in pictures.astype("uint8"):
        interpreter.set_tensor(image["index"], picture[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(output["index"])[0])
    scale, zero_point = output["quantization"]
    received = (np.array(answers, "float32") - zero_point) * scale
    wanted = tf.nn.softmax(model(pictures, training=False)).numpy()
    # Integer arithmetic rounds where fake quantization does: one step of a logit apart at most, and one of 1/256.
    assert np.max(np.abs(received - wanted)) < 0.05
    assert np.mean(received.argmax(1) == wanted.argmax(1)) >= 0.99


def test_trained_model_becomes_an_integer_file_that_agrees(bridged, tmp_path):
    pictures, labels = blobs()
    before = bridged.get_weights()
    seen = []
    count = tf_keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    workspace = Workspace("integers", folder=tmp_path / "checkpoints", logs=tmp_path / "logs")
    model = qat.train(
        bridged, batches(), epochs=2, learning_rate=1e-3, validation=batches(), workspace=workspace, callbacks=[count]
    )
    assert len(seen) == 2 * int(batches().cardinality())
    assert list(workspace.logs.rglob("events.out.tfevents.*"))
    for old, new in zip(before, bridged.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.mean(model(pictures, training=False).numpy().argmax(1) == labels) > 0.95
    assert_integer_file_agrees(model, pictures[:64])
    curves = qat.curves(model, stage="integers")
    assert curves.stage == "integers"
    assert {name: len(values) for name, values in curves.values.items()} == {
        "loss": 2, "accuracy": 2, "val_loss": 2, "val_accuracy": 2,
    }  # fmt: skip


def test_offsets_and_lone_batch_norms_stay_integer():
    """Both in one network: they stand apart in it, and each alone would be a float operator, or another answer."""
    model = trained(rescale_offset=-1.0, pre_activation=True)
    pictures, _ = blobs()
    bridged = bridge.to_tf_keras(model, probe=pictures)
    np.testing.assert_allclose(
        lowering.to_quantizable_layers(bridged)(pictures).numpy(), bridged(pictures).numpy(), atol=1e-4, rtol=1e-4
    )
    assert_integer_file_agrees(qat.train(bridged, batches(), epochs=1, learning_rate=1e-4), pictures[:32])


def test_a_padded_rescaling_is_folded_and_a_shared_one_is_not():
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    rescaled = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    padded = keras.layers.ZeroPadding2D(1, name="pad")(rescaled)
    left = keras.layers.Conv2D(4, 3, activation="relu", name="left")(padded)
    right = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="right")(rescaled)
    for other, names in ((right, {"quant_left", "quant_right"}), (rescaled, set())):
        flat = keras.layers.Flatten(name="flatten")(keras.layers.Add(name="add")([left, other]))
        model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(flat))
        bridged = bridge.to_tf_keras(model, probe=blobs()[0])
        before = {name: bridged.get_layer(name.removeprefix("quant_")).get_weights()[0] for name in names}
        network = qat.train(bridged, batches(), epochs=0)
        for name in names:
            ((kernel, _, ranges),) = network.get_layer(name)._weight_vars
            np.testing.assert_allclose(kernel.numpy(), before[name] / 255, rtol=1e-6)
            np.testing.assert_allclose(ranges["max_var"].numpy(), np.abs(kernel.numpy()).max((0, 1, 2)), rtol=1e-5)
        rescale = network.get_layer("quant_rescale").layer
        assert isinstance(rescale, tf_keras.layers.Rescaling if names else tf_keras.layers.DepthwiseConv2D)
        assert_integer_file_agrees(network, blobs()[0][:16])


def test_a_padding_behind_an_offset_pads_with_the_middle_grey():
    """Zeros behind the range, not the black that pixels of zero would be: the edges show it."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(x)
    x = keras.layers.Conv2D(4, 3, strides=2, name="conv", activation="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    model = keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x))
    kernel, bias = model.get_layer("conv").get_weights()
    model.get_layer("conv").set_weights([np.abs(kernel), bias])
    pictures, _ = blobs()
    bridged = bridge.to_tf_keras(model, probe=pictures)
    replaced = lowering.to_quantizable_layers(bridged)
    assert isinstance(replaced.get_layer("rescale"), tf_keras.layers.DepthwiseConv2D)
    np.testing.assert_allclose(replaced(pictures), model(pictures), atol=1e-5)
    assert_integer_file_agrees(qat.train(bridged, batches(), epochs=0), pictures[:32])


def test_channels_that_answer_a_constant_keep_it():
    """Weight decay leaves kernels of 1e-20 beside shifts that later layers count on."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(image)
    for name, convolution in {"conv": layers.Conv2D(8, 3, use_bias=False, name="conv"),
                              "deep": layers.DepthwiseConv2D(3, use_bias=False, name="deep")}.items():  # fmt: skip
        x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_norm")(convolution(x))
        x = layers.ReLU(6.0, name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(image, layers.Dense(CLASSES, name="logits")(x))
    for name, dead in (("conv", (..., 1)), ("conv", (..., 3)), ("deep", (..., 2, slice(None)))):
        kernel = np.array(model.get_layer(name).kernel)
        kernel[dead] *= 1e-19
        model.get_layer(name).kernel.assign(kernel)
    model.get_layer("conv_norm").beta.assign([0.5, 2.5, 1, 2, 3, 0.1, 0.2, 0.3])
    model.get_layer("deep_norm").beta.assign([0.5, 0.5, 2.5, 0.1, 0.2, 0.3, 0.1, 0.1])
    pictures, _ = blobs()
    bridged = bridge.to_tf_keras(model, probe=pictures)
    assert_integer_file_agrees(qat.train(bridged, batches(), epochs=0), pictures[:32])


def test_the_input_is_pinned_to_all_pixels_whatever_calibration_shows(tiny):
    network = qat.prepare(tiny, batches(blobs()[0] * 0.5 + 40).take(2))
    (layer,) = (layer for layer in network.layers if type(layer).__name__ == "QuantizeLayer")
    pixels = np.arange(256, dtype="float32").reshape(4, 8, 8, 1)
    for training in (False, True, False):
        np.testing.assert_allclose(layer(pixels + 0.3, training=training), pixels, atol=1e-3)


class Killed(Exception):
    pass


class At(keras.callbacks.Callback):
    """Does something once, after so many steps of a process."""

    def __init__(self, step, action):
        super().__init__()
        self.left, self.action = step, action

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            self.action()


@pytest.fixture(scope="module")
def tiny_float() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    x = keras.layers.Dropout(0.1, name="dropout")(keras.layers.Flatten(name="flat")(x))
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x))


@pytest.fixture(scope="module")
def tiny(tiny_float) -> tf_keras.Model:
    return bridge.to_tf_keras(tiny_float, probe=blobs()[0])


def lesson(model, folder, watcher):
    """Nine steps in three epochs of shuffled batches, with a checkpoint after every step."""
    keras.utils.set_random_seed(7)
    workspace = Workspace("integers", folder=folder / "checkpoints", logs=folder / "logs", every_seconds=0)
    split = Split("train", blobs(96)[0].astype("uint8"), blobs(96)[1], BLOBS)
    return qat.train(
        model,
        pipeline.batches(split, batch_size=32, shuffle=True, seed=2),
        epochs=3,
        learning_rate=1e-3,
        validation=batches(),
        workspace=workspace,
        callbacks=[watcher],
    )


def die():
    raise Killed


def test_a_training_that_died_ends_bitwise_as_one_that_did_not(tiny, tmp_path):
    """In the middle of an epoch, at its end, and again: weights, random states, optimizer, metrics and order go on."""
    tf_keras.utils.set_random_seed(3)  # as another library in the process may: tf_keras' layers then draw from it
    whole = lesson(tiny, tmp_path / "whole", At(0, die))
    for step in (2, 3):
        with pytest.raises(Killed):
            lesson(tiny, tmp_path / "parts", At(step, die))
    parts = lesson(tiny, tmp_path / "parts", At(0, die))
    assert len(whole.weights) > 15
    for one, other in zip(whole.weights, parts.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), err_msg=one.name)
    assert qat.curves(whole) == qat.curves(parts)


@pytest.mark.parametrize(("number", "ending"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_asked_to_stop_it_keeps_a_checkpoint_within_a_step(tiny, tmp_path, number, ending):
    with pytest.raises(ending):
        lesson(tiny, tmp_path, At(4, lambda: os.kill(os.getpid(), number)))
    found = Workspace("integers", folder=tmp_path / "checkpoints", logs=tmp_path / "logs").latest_checkpoint()
    assert found is not None
    assert found[1]["place"] == [1, 1, False]


def test_frozen_layers_do_not_train(bridged):
    bridged.get_layer("hidden").trainable = False
    model = qat.train(bridged, batches(), epochs=1, learning_rate=1e-2)
    bridged.get_layer("hidden").trainable = True
    for name, same in (("hidden", True), ("conv", False)):
        factor = 1 if name == "hidden" else 255
        old, new = bridged.get_layer(name).get_weights()[0], model.get_layer(f"quant_{name}")._weight_vars[0][0].numpy()
        assert np.allclose(old, new * factor, rtol=1e-5) == same


def test_calibration_alone_answers_like_the_float_model(bridged):
    pictures, _ = blobs()
    model = qat.train(bridged, batches(), epochs=0)
    wanted = bridged(pictures).numpy()
    lowest = {
        layer.name: float(weight)
        for layer in model.layers
        for weight in layer.weights
        if "relu" in layer.name and weight.name.endswith(("output_min:0", "post_activation_min:0"))
    }
    assert lowest
    ((_, _, depthwise),) = model.get_layer("quant_depthwise")._weight_vars
    assert depthwise["min_var"].shape == (8,), "a scale a channel"
    assert set(lowest.values()) == {0.0}, "TF-MOT's -6 would stay the lowest that was ever seen"
    # TF-MOT's own start (every activation between -6 and 6) is off by several whole logits here.
    assert np.max(np.abs(model(pictures, training=False).numpy() - wanted)) < 0.1 * np.ptp(wanted)


def test_zeros_stay_zero(float_model):
    weights = {name: float_model.get_layer(name).get_weights() for name in ("conv", "hidden")}
    bridged = bridge.to_tf_keras(float_model, probe=blobs()[0])
    for name, (kernel, *rest) in weights.items():
        bridged.get_layer(name).set_weights([np.where(np.abs(kernel) < np.median(np.abs(kernel)), 0, kernel), *rest])
    for preserve in (True, False):
        model = qat.train(bridged, batches(), epochs=1, learning_rate=1e-3, preserve_sparsity=preserve)
        for name in weights:
            kernel = next(weight for weight in model.get_layer(f"quant_{name}").weights if "kernel:0" in weight.name)
            share = np.mean(kernel.numpy() == 0)
            assert (share == pytest.approx(0.5, abs=0.02)) if preserve else (share < 0.2), name


def test_clusters_stay_clusters(float_model):
    """In a kernel as a whole, within its channels, or not at all where a kernel has none or is small."""
    generator = np.random.default_rng(0)
    bridged = bridge.to_tf_keras(float_model, probe=blobs()[0])
    values = {"conv": 8, "hidden": 8, "depthwise": 8}
    for name, number in values.items():
        kernel, *rest = bridged.get_layer(name).get_weights()
        kernel = generator.choice(np.linspace(-0.5, 0.5, number), kernel.shape)
        if name == "hidden":  # other values in every channel
            kernel *= np.linspace(1, 2, kernel.shape[-1])
        bridged.get_layer(name).set_weights([kernel, *rest])
    network = qat.train(bridged, batches(), epochs=1, learning_rate=1e-3, preserve_clusters=8)
    counts = {}
    for wrapper in qat._wrappers(network):
        for kernel, quantizer, ranges in wrapper._weight_vars:
            columns = kernel.numpy().reshape(-1, kernel.shape[-1]).T
            most = max(len(np.unique(column)) for column in columns)
            counts[wrapper.layer.name] = (len(np.unique(kernel)), most)
            one = isinstance(quantizer, quantize_scheme.OneRange)
            assert one == (wrapper.layer.name in ("conv", "depthwise"))
            if one:
                assert len(np.unique(ranges["max_var"])) == len(np.unique(ranges["min_var"])) == 1
                np.testing.assert_allclose(ranges["max_var"], np.abs(kernel).max(), rtol=0.01)  # that of a step before
                np.testing.assert_array_equal(ranges["min_var"], -ranges["max_var"])
    assert counts["conv"][0] == 8
    assert counts["depthwise"][0] == 8
    assert counts["hidden"] == (128, 8)
    assert counts["logits"][1] > 8


def test_no_clusters_to_preserve_are_refused(bridged):
    with pytest.raises(ValueError, match=r"at most 4 distinct values\. Received: a model in which none of \['conv', "):
        qat.train(bridged, batches(), epochs=1, preserve_clusters=4)


def test_the_teachers_answers_are_learnt(bridged, float_model):
    """The loss is given labels, student and teacher logits; a teacher that permutes the classes is followed."""
    seen = []

    def teacher(inputs):
        return tf.roll(float_model(inputs, training=False), 1, axis=1)

    def loss(labels, logits, teacher_logits):
        seen.append((labels.shape, logits.shape, teacher_logits.shape))
        return tf.reduce_sum((logits - teacher_logits) ** 2, axis=1) / 2

    pictures, labels = blobs()
    frozen = [weight.numpy() for weight in float_model.weights]
    model = qat.train(bridged, batches(), epochs=20, learning_rate=1e-2, loss=loss, teacher=teacher)
    assert seen[0][1] == seen[0][2] == (None, CLASSES)
    assert np.mean(model(pictures, training=False).numpy().argmax(1) == (labels + 1) % CLASSES) > 0.9
    for old, new in zip(frozen, float_model.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_stored_answers_to_moved_pictures_teach_as_the_teacher_itself(tiny, tiny_float, tmp_path):
    """Row by row and view by view, up to the 16 bits that an answer has."""
    pictures, labels = blobs()
    split = Split("train", pictures.astype("uint8"), labels, BLOBS)

    def lesson(known=None):
        moves = augmentation.image_augmentation(translation=0.2, seed=0)
        views = {"views": 2} if known is None else {"answers": known}
        return pipeline.batches(split, batch_size=32, shuffle=True, augment=moves, drop_remainder=True, **views)

    def learnt(batches, **options):
        tf_keras.utils.set_random_seed(0)
        return qat.train(tiny, batches, epochs=2, learning_rate=1e-3, **options)(pictures, training=False).numpy()

    known = logit_cache.write(tmp_path / "answers", lesson(), teacher=tiny_float, progress=False)
    under = learnt(lesson(), teacher=functools.partial(tiny_float, training=False))
    stored, alone = learnt(lesson(known)), learnt(lesson())
    assert np.abs(stored - under).mean() < 0.1 * np.abs(alone - under).mean()


@pytest.mark.parametrize(
    ("inputs", "received"),
    [
        (blobs()[0] / 255, "from 0 to 1"),
        (np.zeros_like(blobs()[0]), "from 0 to 0"),
        (blobs()[0] - 128, "from -128 to 127"),
        (blobs()[0] * 2, "from 0 to 510"),
        (blobs()[0] * np.nan, "from nan to nan"),
    ],
)
def test_inputs_that_are_no_pixels_are_refused(bridged, inputs, received):
    with pytest.raises(ValueError, match=f"raw pixels.*Received: values {received}"):
        qat.train(bridged, batches(inputs), epochs=1)


@pytest.mark.parametrize("known_by", ["argument", "batches"])
def test_numbers_of_any_finite_range_are_taken_and_measured(tiny, known_by):
    """A spectrogram of -4 to 3.1, say: its range, and not that of pixels, is what the file's input is to hold."""
    pictures, labels = blobs()
    numbers = (pictures / 255 * 7.1 - 4).astype("float32")
    assert (numbers.min(), numbers.max()) == pytest.approx((-4, 3.1))
    kind, data = Numbers((8, 8, 1)), batches(numbers)
    if known_by == "argument":
        network = qat.prepare(tiny, data, inputs=kind)
    else:
        split = Split("train", numbers, labels, Task("spectra", kind, BLOBS.target))
        network = qat.train(tiny, pipeline.batches(split, batch_size=32), epochs=0)
    (layer,) = (layer for layer in network.layers if type(layer).__name__ == "QuantizeLayer")
    np.testing.assert_allclose(layer(numbers, training=False), numbers, atol=7.1 / 255)
    assert len(np.unique(layer(numbers, training=False))) > 100
    for broken in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite numbers that are not all zero"):
            qat.prepare(tiny, batches(numbers * broken), inputs=kind)


def test_a_softmax_at_the_end_is_taken_off(bridged):
    """Exactly: what learns has the logits of the model that was given."""
    x = next(iter(batches()))[0]
    for last in (tf_keras.layers.Softmax(name="end"), tf_keras.layers.Dense(3, activation="softmax", name="end")):
        model = tf_keras.Model(bridged.inputs, last(bridged.outputs[0]))
        shares = model(x, training=False)
        logits = fine_tuning.with_logits(model, purpose="Quantization-aware training")(x, training=False)
        np.testing.assert_allclose(tf.nn.softmax(logits), shares, atol=1e-6)
        found = qat.prepare(model, batches().take(1))(x, training=False)
        assert np.abs(found - logits).mean() < 0.1 * np.abs(logits).mean()


def test_batches_of_unknown_length_are_refused(bridged):
    with pytest.raises(ValueError, match=r"known length\. Received: cardinality -1"):
        qat.train(bridged, batches().repeat(), epochs=1)


def test_no_batches_are_refused(bridged):
    with pytest.raises(ValueError, match="at least one batch"):
        qat.train(bridged, batches().take(0), epochs=0)


def test_a_layer_that_cannot_be_quantized_is_named(bridged):
    model = tf_keras.Model(bridged.inputs, tf_keras.layers.UnitNormalization(name="unit")(bridged.outputs[0]))
    with pytest.raises(ValueError, match=r"TF-MOT can quantize\. Received: Layer unit:"):
        qat.train(model, batches(), epochs=1)


def test_weights_that_are_not_finite_stop_the_training(tiny):
    with pytest.raises(callbacks.NonFiniteError, match="after step 1 these weights are not finite"):
        qat.train(tiny, batches(), epochs=1, loss=lambda labels, logits: logits * np.nan)


class Poison(keras.callbacks.Callback):
    """Writes one NaN into the last bias before the third step of the second epoch."""

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == int(self.params["steps"]) + 2:
            bias = self.model.trainable_variables[-1]
            bias.assign(np.r_[np.nan, np.zeros(bias.shape[0] - 1)])


def test_a_weight_behind_a_finite_loss_stops_the_training_at_its_step(tiny):
    """Where the bad weight does not reach the loss, Keras' TerminateOnNaN goes on to the end."""
    step = len(batches()) + 3

    def flat(labels, logits):
        return tf.reduce_mean(tf.where(tf.math.is_finite(logits), 0.0 * logits, 0.0))

    with pytest.raises(callbacks.NonFiniteError, match=rf"after step {step} these weights are not finite: .*bias"):
        qat.train(tiny, batches(), epochs=3, loss=flat, callbacks=[Poison()])


def test_numbers_are_learnt_as_they_are_and_have_no_accuracy(tiny):
    """Labels that are a model's own answers, probabilities too: nothing stands between them and the loss."""
    pictures = blobs()[0]
    model = tf_keras.Model(tiny.inputs, tf_keras.layers.Softmax(name="end")(tiny.outputs[0]))
    answers = model.predict(pictures, verbose=0)
    data = tf.data.Dataset.from_tensor_slices((pictures, answers)).batch(32)

    def squared(labels, outputs):
        return tf.reduce_mean(tf.square(labels - outputs), -1)

    network = qat.train(model, data, epochs=2, loss=squared, validation=data)
    assert set(qat.curves(network).values) == {"loss", "val_loss"}
    assert np.abs(network.predict(pictures, verbose=0) - answers).mean() < 0.02
    with pytest.raises(ValueError, match=r"takes labels for one index of a class an example"):
        qat.train(tiny, data, epochs=1)


def test_several_inputs_are_refused(bridged):
    other = tf_keras.Input(bridged.input_shape[1:], name="other")
    two = tf_keras.Model([bridged.inputs[0], other], bridged.outputs[0] + bridged(other))
    with pytest.raises(ValueError, match=r"models of one input\. Received: 2 inputs; .*static_int8"):
        qat.train(two, batches(), epochs=1)
