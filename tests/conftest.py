"""Tiny TFLite files and their pictures, without Keras: a convolution, a mean, a dense layer; and a local web server."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import dataclasses
import functools
import http.server
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CLASSES, SIZE = 4, 8


@pytest.fixture(scope="session", autouse=True)
def _timed_briefly():
    """Every run times a dozen files, for a second each; how long they take is nothing that these tests are about."""
    from kerastl.verify import benchmark

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "LEAST_SECONDS", 0.05)
        yield


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
    task: Any


def _pictures(random) -> tuple[np.ndarray, np.ndarray]:
    """Four classes: which quarter of the picture is bright."""
    labels = np.tile(np.arange(CLASSES), 50).astype(np.int32)
    inputs = random.integers(0, 60, (len(labels), SIZE, SIZE, 1))
    for index, label in enumerate(labels):
        row, column = 4 * (label // 2), 4 * (label % 2)
        inputs[index, row : row + 4, column : column + 4] += random.integers(60, 190)
    inputs[:, 0, 0], inputs[0, -1, -1] = 0, 255
    return inputs.astype(np.uint8), labels


@pytest.fixture(scope="session")
def tiny_files() -> TinyFiles:
    import tensorflow as tf

    from kerastl.inputs.image import Image
    from kerastl.tasks.single_label import SingleLabel
    from kerastl.types import Task

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


@pytest.fixture
def examples() -> tuple[np.ndarray, np.ndarray]:
    """Vectors of four numbers and which of three directions each points along."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(64, 4)).astype("float32")
    return inputs, (inputs @ generator.normal(size=(4, 3))).argmax(-1).astype("int32")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def served(tmp_path):
    """A folder, and the address at which a web server serves it."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def closed() -> str:
    """An address where nobody answers."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{found.getsockname()[1]}"


@pytest.fixture
def stream(tmp_path_factory, monkeypatch):
    """Makes of an array of pictures the same ones as files, streamed."""

    def made(array: np.ndarray, **options):
        from PIL import Image

        from kerastl.data import decoding

        folder = tmp_path_factory.mktemp("streamed")
        monkeypatch.setenv("KERASTL_HOME", str(folder / "home"))
        files = [folder / f"{index}.png" for index in range(len(array))]
        for file, picture in zip(files, array, strict=True):
            Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file)
        size, channels = array.shape[1:3], array.shape[3]
        return decoding.decode_all(list(map(str, files)), size=size, channels=channels, in_memory=0, **options).inputs

    return made


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
    task: Any


@pytest.fixture(scope="session")
def tiny_text() -> TinyText:
    import keras

    from kerastl.export import tflite
    from kerastl.inputs import wordpiece
    from kerastl.inputs.text import Text
    from kerastl.tasks.single_label import SingleLabel
    from kerastl.types import Task

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
