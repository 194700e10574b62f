"""Small models, data and files that several tests share, and what they share to look at them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerastl.export import tflite
from kerastl.inputs import wordpiece
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.training import fitting
from kerastl.types import Schedule, Task

# ------------------------------------------------------------------------------------------------------------- training


DIRECTIONS = Task("directions", Numbers((4,)), SingleLabel(("a", "b", "c")))
"""What the fixture `examples` asks of a small model."""
SEVERAL = Task("several", Numbers((4,)), MultiLabel(("a", "b", "c")))


def small_model(seed=0):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((4,), name="image")
    x = keras.layers.Dense(8, name="hidden")(inputs)
    x = keras.layers.ReLU()(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32", name="logits")(x))


def batches(inputs, labels, size=8):
    return tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(size)


def quiet(model, data, **options):
    options.setdefault("task", DIRECTIONS)
    options.setdefault("schedule", Schedule(epochs=2, batch_size=8, peak_learning_rate=1e-2))
    return fitting.fit(model, data, progress=False, **options)


class Killed(Exception):
    pass


class At(keras.callbacks.Callback):
    """Dies once, after so many steps of a process."""

    def __init__(self, step):
        super().__init__()
        self.left = step

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise Killed


class Stop(keras.callbacks.Callback):
    """Ctrl-C after so many steps of the optimizer; never by default."""

    def __init__(self, *, at: int = 0):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if self.at and self.model.optimizer.iterations == self.at:
            raise KeyboardInterrupt


def compiled(distiller: keras.Model, learning_rate: float = 1.0, loss: Any = None) -> keras.Model:
    """A distiller whose step is one of plain gradient descent."""
    distiller.compile(
        keras.optimizers.SGD(learning_rate),
        loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    return distiller


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    powers = np.exp(logits / temperature - (logits / temperature).max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# ------------------------------------------------------------------------------------------------------- exported files

CLASSES, SIZE = 4, 8


@dataclasses.dataclass(frozen=True)
class TinyFiles:
    """A network in NumPy (``expected``), the same as a float and as a full-integer file, and labelled pictures."""

    inputs: np.ndarray
    labels: np.ndarray
    expected: np.ndarray
    kernel: np.ndarray
    dense: np.ndarray
    float32: bytes
    integer: bytes
    task: Task


def _pictures(random) -> tuple[np.ndarray, np.ndarray]:
    """Four classes: which quarter of the picture is bright."""
    labels = np.tile(np.arange(CLASSES), 50).astype(np.int32)
    inputs = random.integers(0, 60, (len(labels), SIZE, SIZE, 1))
    for index, label in enumerate(labels):
        row, column = 4 * (label // 2), 4 * (label % 2)
        inputs[index, row : row + 4, column : column + 4] += random.integers(60, 190)
    inputs[:, 0, 0], inputs[0, -1, -1] = 0, 255
    return inputs.astype(np.uint8), labels


def tiny_files() -> TinyFiles:
    """Without Keras: a convolution, a mean, a dense layer."""
    random = np.random.default_rng(0)
    inputs, labels = _pictures(random)
    kernel = random.normal(0, 0.005, (4, 4, 1, 6)).astype(np.float32)
    kernel[:, :, :, :3] = np.abs(kernel[:, :, :, :3])
    features = np.maximum(_convolved(inputs, kernel), 0).reshape(len(inputs), -1)
    # Least squares to one-hot labels: a network that has learnt, without training.
    solution = np.linalg.lstsq(np.c_[features, np.ones(len(features))], 8 * np.eye(CLASSES)[labels], rcond=1e-3)[0]
    dense, bias = solution[:-1].astype(np.float32), solution[-1].astype(np.float32)
    logits = features @ dense.astype(np.float64) + bias
    expected = np.exp(logits - logits.max(-1, keepdims=True))
    expected /= expected.sum(-1, keepdims=True)

    @tf.function(input_signature=[tf.TensorSpec((1, SIZE, SIZE, 1), tf.float32, name="image")], autograph=False)
    def network(image):
        value = tf.nn.relu(tf.nn.conv2d(image, kernel, 4, "VALID"))
        return {"probabilities": tf.nn.softmax(tf.reshape(value, (1, -1)) @ dense + bias)}

    def converter():
        return tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())

    integer = converter()
    integer.optimizations = [tf.lite.Optimize.DEFAULT]
    integer.representative_dataset = lambda: ([example[None].astype(np.float32)] for example in inputs)
    integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    integer.inference_input_type = integer.inference_output_type = tf.uint8
    task = Task("tiny", Image((SIZE, SIZE, 1)), SingleLabel(("upper left", "upper right", "lower left", "lower right")))
    return TinyFiles(inputs, labels, expected, kernel, dense, converter().convert(), integer.convert(), task)


def _convolved(inputs: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """4x4 kernels at stride 4 without padding: a product over blocks."""
    blocks = inputs.astype(np.float64).reshape(len(inputs), 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 2, 2, 16)
    return blocks @ kernel.reshape(16, -1).astype(np.float64)


VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "the", "##s", "a", "##b", "!")
LENGTH = 8


@dataclasses.dataclass(frozen=True)
class TinyText:
    """Sentences that say good or bad, a Keras model that has learnt them, and its float file."""

    vocabulary: tuple[str, ...]
    inputs: np.ndarray
    labels: np.ndarray
    model: Any
    expected: np.ndarray
    float32: bytes
    task: Task


def tiny_text() -> TinyText:
    random = np.random.default_rng(0)
    labels = (np.arange(120) % 2).astype(np.int32)
    fill = np.asarray(["the", "film", "a", "films", "!"])
    tokenizer = wordpiece.Tokenizer(VOCABULARY)
    sentences = [" ".join([("bad", "good")[label], *random.choice(fill, random.integers(1, 5))]) for label in labels]
    inputs = np.asarray([tokenizer.encode(sentence, LENGTH) for sentence in sentences], np.int32)
    ids = keras.Input((LENGTH,), dtype="int32", name="token_ids")
    x = keras.layers.Embedding(len(VOCABULARY), 64, name="embedding")(ids)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(ids, keras.layers.Dense(2, name="logits")(x), name="tiny_text")
    table = random.normal(0, 0.5, (len(VOCABULARY), 64)).astype(np.float32)
    table[:, 0], table[5, 0], table[6, 0] = 0, 8, -8
    dense = random.normal(0, 0.05, (64, 2)).astype(np.float32)
    dense[0] = -3, 3
    model.set_weights([table, dense, np.zeros(2, np.float32)])
    logits = table[inputs].mean(1, dtype=np.float64) @ dense  # an independent calculation
    expected = np.exp(logits - logits.max(-1, keepdims=True))
    expected /= expected.sum(-1, keepdims=True)
    task = Task("tiny_text", Text(LENGTH, VOCABULARY), SingleLabel(("bad", "good")))
    return TinyText(VOCABULARY, inputs, labels, model, expected, tflite.convert(model, task), task)


def changed(data: bytes, change: Callable[[Any], None]) -> bytes:
    """A TFLite file with its parsed form changed."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.array(buffer.data, np.uint8)
    change(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


# -------------------------------------------------------------------------------------------------- pretrained encoders

TOKENS = (*wordpiece.SPECIAL, *(f"word{n}" for n in range(45)))
ENCODER_TASK = Task("toy", Text(12, TOKENS), SingleLabel(("a", "b", "c")))
ENCODER_SIZES = {"num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32, "max_sequence_length": 40}


def save_preset(folder, *, tokens=TOKENS, lowercase=True, backbone="BertBackbone", rows=50, **options) -> keras.Model:
    """A preset, saved by keras-hub itself."""
    import keras_hub  # takes seconds, and only presets need it

    keras.utils.set_random_seed(0)
    body = getattr(keras_hub.models, backbone)(vocabulary_size=rows, **ENCODER_SIZES, **options)
    for weight in body.weights:
        array = np.random.default_rng(weight.shape[0]).normal(0, 0.2, weight.shape)
        weight.assign(1 + np.abs(array) if weight.name == "gamma" else array)
    body.save_to_preset(str(folder))
    if tokens:
        keras_hub.models.BertTokenizer(vocabulary=list(tokens), lowercase=lowercase).save_to_preset(str(folder))
    return body


def write_safetensors(path, arrays):
    """Float arrays by their names (https://huggingface.co/docs/safetensors)."""
    header, content = {}, b""
    for name, array in arrays.items():
        array = np.ascontiguousarray(array, "<f4")
        header[name] = {
            "dtype": "F32",
            "shape": array.shape,
            "data_offsets": [len(content), len(content) + array.nbytes],
        }
        content += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def without_network(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs code in a process whose caches are empty and that reaches nobody."""
    empty = dict.fromkeys(("KAGGLEHUB_CACHE", "HF_HOME", "KERAS_HOME"), str(folder))
    environment = {**os.environ, **empty}
    environment |= dict.fromkeys(("https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    root = Path(__file__).resolve().parents[1]
    return subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, timeout=300
    )


# ----------------------------------------- channel pruning: the old model in which everything that did not stay is zero


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Layers calculate in float64."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def at_random(model: keras.Model, seed: int = 0) -> keras.Model:
    """No two weights are the same number, so that a number tells where it came from; variances are positive."""
    draw = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):  # holds statistics, of what no channel is cut from
            continue
        for weight in layer.weights:
            size = weight.shape if len(weight.shape) < 2 else (1, *weight.shape[:-1])
            values = draw.normal(0, 1 / np.sqrt(max(np.prod(size), 1)) if len(weight.shape) > 1 else 0.3, weight.shape)
            if weight.name in ("gamma", "moving_variance"):
                values = np.abs(values) + 0.5
            weight.assign(values)
    return model


def masked(model: keras.Model, small: keras.Model) -> keras.Model:
    """A copy of ``model``: each of its weights is zero that ``small`` does not have in the layer of the same name.

    A channel that is removed on one side of a sum and another one on the other would be zero on neither, and which
    rows of a kernel belong to which channel is not asked anywhere.
    """
    copy = keras.models.clone_model(model)
    for old, new in zip(model.layers, copy.layers, strict=True):
        kept = small.get_layer(old.name).weights
        assert len(kept) == len(old.weights)
        for before, after, stayed in zip(old.weights, new.weights, kept, strict=True):
            values = before.numpy()
            if before.name != "moving_variance" and before.shape != stayed.shape:
                values = np.where(np.isin(values, stayed.numpy()), values, 0)
            after.assign(values)
    return copy


def assert_like_masked(model: keras.Model, small: keras.Model, inputs) -> None:
    """The pruned model answers as the old one with zeros, to the last bits of float64, and not as the whole one."""
    wanted, received = masked(model, small)(inputs, training=False), small(inputs, training=False)
    wanted, received = (np.asarray(keras.tree.flatten(one)[0]) for one in (wanted, received))
    assert wanted.dtype == "float64"
    np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-9 * np.abs(wanted).max())
    whole = np.asarray(keras.tree.flatten(model(inputs, training=False))[0])
    assert np.abs(whole - wanted).max() > 1e-4 * np.abs(whole).max()


def one_convolution() -> keras.Model:
    """Pictures of 8 by 8 pixels to the logits of four classes, in layers that every technique knows."""
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.ReLU(name="relu")(keras.layers.Conv2D(8, 3, strides=2, name="conv")(x))
    return keras.Model(image, keras.layers.Dense(4, name="logits")(keras.layers.Flatten(name="flatten")(x)))


def foundation() -> keras.Model:
    """Colour pictures of 96 pixels to 24 features: strides, a residual, batch norms, and weights as they begin."""
    keras.utils.set_random_seed(0)
    image = keras.Input((96, 96, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    for filters in (8, 16, 24):
        x = keras.layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    branch = keras.layers.BatchNormalization()(keras.layers.SeparableConv2D(24, 3, padding="same")(x))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, branch])), name="small")
