"""Small trained models of both Kerases, and the files they are exported to, made once."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from kerastl.export import metadata, phone, tflite
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark

SHAPE = (28, 28, 1)
# The MNIST student's own widths, for its size is what the size tests are about.
BLOCKS = ((12, 5, 2), (20, 3, 1), (24, 3, 2), (28, 3, 1))
NAMES = tuple(f"digit {index}" for index in range(10))


def make_pictures(count: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Ten kinds of blurred blobs with noise: easy, but not constant."""
    random = np.random.default_rng(0)
    centres = random.integers(6, 22, (10, 2))
    labels = (np.arange(count) % 10).astype(np.int32)
    rows, columns = np.mgrid[0:28, 0:28]
    distance = (rows - centres[labels, 0, None, None]) ** 2 + (columns - centres[labels, 1, None, None]) ** 2
    values = 230 * np.exp(-distance / 30) + random.uniform(0, 25, (count, 28, 28))
    return values.astype(np.uint8)[..., None], labels


def make_student(library, *, scale: float = 1 / 255, offset: float = 0.0):
    """The student network in either Keras; ends in logits."""
    layers = library.layers
    image = layers.Input(SHAPE, name="image")
    value = layers.Rescaling(scale, offset, name="rescale")(image)
    for index, (width, kernel, stride) in enumerate(BLOCKS, 1):
        name = f"block_{index}_conv"
        value = layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=False, name=name)(value)
        value = layers.BatchNormalization(momentum=0.8, name=f"{name}_bn")(value)
        value = layers.ReLU(name=f"{name}_relu")(value)
    value = layers.GlobalAveragePooling2D(name="pool")(value)
    return library.Model(image, layers.Dense(10, name="logits")(value), name="student")


def fitted(library, model, *, epochs: int = 3):
    inputs, labels = make_pictures()
    model.compile(library.optimizers.Adam(3e-3), library.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs.astype(np.float32), labels, batch_size=32, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="session")
def digits() -> Task:
    return Task("digits", Image(SHAPE), SingleLabel(NAMES))


@pytest.fixture(scope="session")
def several_digits() -> Task:
    """Pictures that may show several digits, or none."""
    return Task("digits", Image(SHAPE), MultiLabel(NAMES))


@pytest.fixture(scope="session")
def pictures():
    return make_pictures


@pytest.fixture(scope="session")
def student():
    return make_student


@pytest.fixture(scope="session")
def float_student():
    import keras

    keras.utils.set_random_seed(0)
    return fitted(keras, make_student(keras))


@pytest.fixture(scope="session")
def aware_student():
    """The student trained quantization-aware with TF-MOT; its Rescaling has no quantizer of its own."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    quantization = tfmot.quantization.keras

    class AsItIs(quantization.QuantizeConfig):
        def get_weights_and_quantizers(self, layer):
            return []

        def get_activations_and_quantizers(self, layer):
            return []

        def set_quantize_weights(self, layer, quantize_weights):
            pass

        def set_quantize_activations(self, layer, quantize_activations):
            pass

        def get_output_quantizers(self, layer):
            return []

        def get_config(self):
            return {}

    def annotated(layer):
        if type(layer).__name__ == "InputLayer":
            return layer
        return quantization.quantize_annotate_layer(layer, AsItIs() if layer.name == "rescale" else None)

    tf_keras.utils.set_random_seed(0)
    plain = tf_keras.models.clone_model(make_student(tf_keras), clone_function=annotated)
    with quantization.quantize_scope({"AsItIs": AsItIs}):
        return fitted(tf_keras, quantization.quantize_apply(plain))


@pytest.fixture(scope="session")
def float_file(float_student, digits, tmp_path_factory):
    from kerastl.export import tflite

    return tflite.write(float_student, tmp_path_factory.mktemp("float") / "model.tflite", digits)


@pytest.fixture(scope="session")
def integer_file(aware_student, digits, tmp_path_factory):
    from kerastl.export import tflite

    folder = tmp_path_factory.mktemp("integer")
    return tflite.write(aware_student, folder / "model.tflite", digits, integer=True)


@pytest.fixture
def write_bundle(tiny_text, tmp_path):
    """Writes the bundle of `tiny_text`, or of another model of its texts, for a target; returns its page."""

    def write(target, *, kind=None, model=None) -> str:
        task = Task("toy", kind or tiny_text.task.inputs, target)
        data = tiny_text.float32 if model is None else tflite.convert(model, task)
        data = metadata.add(data, task, description="toy")
        facts = benchmark.inspect(data)
        ends = {
            name: {"dtype": end.dtype, "shape": list(end.shape), "scale": None, "zero_point": None}
            for name, end in (("input", facts.input), ("output", facts.output))
        }
        row = {"name": "float32", "bytes": len(data), **ends, "score": 0.9, "score_low": 0.8, "score_high": 1.0}
        row |= {"sha256": facts.sha256, "latency_ms": {"median": 0.1, "p95": 0.1, "threads": 1, "runs": 100}}
        report = {"recipe": "toy", "metric": "accuracy", "chosen": "float32", "data": {"test": 9}, "variants": [row]}
        for name, content in phone.files(data, report, task).items():
            (tmp_path / name).write_bytes(content)
        return (tmp_path / "README.md").read_text()

    return write
