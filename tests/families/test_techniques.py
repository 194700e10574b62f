"""What every technique of the compress family promises: known members, and the caller's model left as it was."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import kerastl.compress
from kerastl import verify
from kerastl.compress import channels, cluster, exceptions, mixed_precision, prune, ptq, qat, rounding
from kerastl.compress.tf_keras import bridge
from kerastl.inputs.image import Image

# How layers are quantized is no technique, nor is the training of what is compressed; `qat` and `cluster` are. Nor is
# what is read off a file before it is quantized, how one kernel is rounded or written, a last look at the file, nor how
# a model of sequences is laid out before `qat` trains it.
INNER = {
    "quantize_scheme", "lowering", "fine_tuning", "float_file", "gptq", "tf_keras", "full_integer", "four_bits",
    "finished_file", "attention_masks", "calibration_runs", "quantizer_output", "sequences",
}  # fmt: skip
MEMBERS = {member.name for member in pkgutil.iter_modules(kerastl.compress.__path__)} - INNER
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1)).astype("uint8")
KIND = Image((8, 8, 1))
LABELS = np.random.default_rng(1).integers(0, 3, 32)


@pytest.fixture
def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    return keras.Model(image, keras.layers.Dense(3, name="logits")(x))


def float_file(model: keras.Model) -> bytes:
    signature = [tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")]
    holder = tf.Module()
    holder.variables_of_model = [variable.value for variable in model.variables]
    holder.serve = tf.function(lambda image: tf.nn.softmax(model(image, training=False)), input_signature=signature)
    return tf.lite.TFLiteConverter.from_concrete_functions([holder.serve.get_concrete_function()], holder).convert()


def by_pruning(model: keras.Model) -> None:
    """Pruning works on the model it is given; what must stay is its shape, not its weights."""
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = prune.Prune(sparsity=0.5, begin_step=0, end_step=4, frequency=1)
    model.fit(PIXELS.astype("float32"), LABELS, batch_size=8, verbose=0, callbacks=[callback])
    assert prune.achieved(model) == pytest.approx(0.5, abs=0.02)


def by_training(model: keras.Model) -> None:
    weights = model.get_weights()
    bridged = bridge.to_tf_keras(model, probe=PIXELS.astype("float32"))
    before = bridged.get_weights()
    batches = tf.data.Dataset.from_tensor_slices((PIXELS.astype("float32"), LABELS)).batch(8)
    qat.train(bridged, batches, epochs=1)
    for old, new in zip(weights + before, model.get_weights() + bridged.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def by_clustering(model: keras.Model) -> None:
    weights = model.get_weights()
    bridged = bridge.to_tf_keras(model, probe=PIXELS.astype("float32"))
    before = bridged.get_weights()
    batches = tf.data.Dataset.from_tensor_slices((PIXELS.astype("float32"), LABELS)).batch(8)
    network = cluster.train(bridged, batches, number_of_clusters=4, epochs=1)
    home = bridge.to_keras(network, like=model)
    for old, new in zip(weights + before, model.get_weights() + bridged.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert cluster.unique_values(home)["conv"].kernel == 4 < cluster.unique_values(model)["conv"].kernel
    assert home.get_layer("conv") is not model.get_layer("conv")


def by_rebuilding(model: keras.Model) -> None:
    weights = model.get_weights()
    batches = tf.data.Dataset.from_tensor_slices((PIXELS.astype("float32"), LABELS)).batch(8)
    plan = channels.plan(model, keep_ratio=0.5, batches=batches, divisor=1)
    small = channels.apply(model, plan)
    for old, new in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert plan.channels["conv"] == (4, 2)
    assert [layer.name for layer in small.layers] == [layer.name for layer in model.layers]
    assert len(float_file(small)) < len(float_file(model))


def by_rewriting(model: keras.Model) -> None:
    original = float_file(model)
    copy = bytes(original)
    functions = public_functions(ptq)
    print("post-training techniques:", sorted(functions))
    eight, sixteen = {"dynamic_int8", "static_int8", "weight_only_int8"}, {"float16", "static_int16_activations"}
    assert set(functions) == {*eight, *sixteen, "int4_weights", "quantize"}
    for name, technique in functions.items():
        calibrated = "calibration" in inspect.signature(technique).parameters
        options: dict = {"calibration": PIXELS, "inputs": KIND} if calibrated else {}
        options |= {"name": "dynamic_wi4b32_afp32"} if name == "quantize" else {}
        first, second = technique(original, **options), technique(original, **options)
        assert isinstance(first, bytes), name
        assert first[4:8] == b"TFL3", name
        assert first == second, f"{name} does not give the same bytes twice"
    assert original == copy


def by_measuring(model: keras.Model) -> None:
    original = float_file(model)
    copy = bytes(original)
    measured = mixed_precision.sensitivities(original, answers=lambda file: verify.predict_tflite(file, PIXELS))
    assert [(one.operator.kind, one.bits) for one in measured] == [
        ("CONV_2D", 8),
        ("CONV_2D", 4),
        ("FULLY_CONNECTED", 8),
        ("FULLY_CONNECTED", 4),
    ]
    found = mixed_precision.search(original, measured, score=lambda file: 1.0, least=1.0)
    assert set(found.assignment.bits.values()) == {4}
    assert original == copy


def by_leaving_float(model: keras.Model) -> None:
    original = float_file(model)
    copy = bytes(original)
    measured = mixed_precision.sensitivities(original, answers=lambda file: verify.predict_tflite(file, PIXELS))
    scores = iter((0.0, 1.0))  # the first file, without an exception, is not good enough
    found = exceptions.search(original, measured, quantize=ptq.dynamic_int8, score=lambda file: next(scores), least=1.0)
    assert len(found.content) < len(original)
    assert original == copy


def by_recalculating(model: keras.Model) -> None:
    original = float_file(model)
    plain = ptq.int4_weights(original)
    copies = bytes(original), bytes(plain)
    result = rounding.output_aware_rounding(original, plain, calibration=PIXELS, inputs=KIND)
    assert result == ptq.int4_weights(original, calibration=PIXELS, inputs=KIND)
    assert len(result) == len(plain)
    wanted = verify.predict_tflite(original, PIXELS)
    errors = [np.square(verify.predict_tflite(file, PIXELS) - wanted).mean() for file in (plain, result)]
    assert errors[1] < errors[0]
    assert (original, plain) == copies


def public_functions(module: types.ModuleType) -> dict:
    """Its own; of a folder those that its door gives."""
    return {
        name: member
        for name, member in inspect.getmembers(module, inspect.isfunction)
        if member.__module__.startswith(module.__name__) and not name.startswith("_")
    }


CONTRACTS = {
    "channels": by_rebuilding,
    "cluster": by_clustering,
    "exceptions": by_leaving_float,
    "mixed_precision": by_measuring,
    "prune": by_pruning,
    "ptq": by_rewriting,
    "qat": by_training,
    "rounding": by_recalculating,
}


def test_every_member_has_its_contract():
    print("techniques:", sorted(MEMBERS))
    assert set(CONTRACTS) == MEMBERS
    assert len(MEMBERS) == 8


@pytest.mark.parametrize("name", sorted(CONTRACTS))
def test_contract(name, model):
    layers, shapes = [layer.name for layer in model.layers], [weight.shape for weight in model.weights]
    CONTRACTS[name](model)
    assert [layer.name for layer in model.layers] == layers
    assert [weight.shape for weight in model.weights] == shapes


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_docstrings_and_keyword_arguments(name):
    """Every public function says what it raises, and takes at most two arguments by position."""
    module = getattr(kerastl.compress, name)
    assert ast.get_docstring(ast.parse(inspect.getsource(module)))
    functions = public_functions(module)
    assert functions
    for function in functions.values():
        assert function.__doc__, function
        positional = [p for p in inspect.signature(function).parameters.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= 2, function
