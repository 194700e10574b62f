"""The whole way of a foundation model with a head: the bridge, TFLite, integers after training and in training.

The head is found by least squares, so that the answers mean something: a head of random numbers makes a lottery of
every rounding. The pictures are noise of four textures. In the ordinary run the backbones end after their first blocks.
"""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerastl.compress import ptq, qat
from kerastl.compress.tf_keras import bridge
from kerastl.export import tflite
from kerastl.inputs.image import Image
from kerastl.models.pretrained import backbone, efficientnet_lite0, mobilenet_v2
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark, predictions

SIZE, CLASSES = 96, 4
TASK = Task("textures", Image((SIZE, SIZE, 3)), SingleLabel(("coarse", "fine", "rows", "columns")))


def pictures(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise on grids of 6x6, 24x24, 24x2 and 2x24 places, enlarged; the whole range of bytes."""
    random = np.random.default_rng(seed)
    grids = ((6, 6), (24, 24), (24, 2), (2, 24))
    labels = np.arange(count) % CLASSES
    coarse = [random.integers(0, 256, (*grids[label], 3)).astype("float32") for label in labels]
    large = [keras.ops.image.resize(grid, (SIZE, SIZE), interpolation="bilinear") for grid in coarse]
    return np.clip(np.rint(np.stack(large)), 0, 255).astype("float32"), labels


@dataclasses.dataclass(frozen=True)
class Learnt:
    model: keras.Model
    inputs: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray
    probabilities: np.ndarray


def learnt(module, last: str | None = None) -> Learnt:
    keras.utils.set_random_seed(0)
    found = module.load(image_size=SIZE)
    if last:
        shortened = keras.Model(found.model.inputs[0], found.model.get_layer(last).output, name="shortened")
        found = dataclasses.replace(found, model=shortened)
    model = backbone.with_head(found, TASK)
    known, labels = pictures(64, seed=1)
    features = keras.Model(model.inputs[0], model.get_layer("pool").output).predict(known, verbose=0)
    features = np.c_[features, np.ones(len(features))].astype("float64")
    wanted = 8 * np.eye(CLASSES)[labels]
    solution = features.T @ np.linalg.solve(features @ features.T + 10 * np.eye(len(features)), wanted)
    model.get_layer("logits").set_weights([solution[:-1], solution[-1]])
    inputs, labels = pictures(64, seed=2)
    probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict(inputs, verbose=0)))
    assert (probabilities.argmax(1) == labels).mean() > 0.95
    return Learnt(model, inputs, labels, known, probabilities)


def agrees(file: bytes, case: Learnt, *, agreement: float, difference: float) -> None:
    received = predictions.predict_tflite(file, case.inputs.astype("uint8"))
    same = (received.argmax(1) == case.probabilities.argmax(1)).mean()
    off = np.abs(received - case.probabilities).mean()
    print(f"agreement {same:.3f}, mean difference {off:.4f}, {len(file):,} bytes")
    assert same >= agreement
    assert off <= difference
    facts = benchmark.inspect(file)
    assert facts.operators.float == facts.operators.flex == 0
    assert (facts.input.dtype, facts.input.scale, facts.input.zero_point) == ("uint8", 1.0, 0)


def crosses_the_bridge_and_becomes_a_file(case: Learnt) -> bytes:
    probe = case.inputs[:8]
    bridged = bridge.to_tf_keras(case.model, probe=probe, tolerance=1e-4)
    wanted = case.model.predict(probe, verbose=0)
    assert np.abs(bridged.predict(probe, verbose=0) - wanted).max() <= 1e-4 * np.abs(wanted).max()
    file = tflite.convert(case.model, TASK)
    difference = np.abs(predictions.predict_tflite(file, case.inputs) - case.probabilities).max()
    print(f"float: largest difference {difference:.2g}, {len(file):,} bytes")
    assert difference < 1e-3
    integers = ptq.static_int8(file, calibration=case.calibration, inputs=TASK.inputs)
    agrees(integers, case, agreement=0.95, difference=0.05)
    return file


SHORT = pytest.mark.parametrize(
    ("module", "last"), [(mobilenet_v2, "block_1_project_BN"), (efficientnet_lite0, "block3_add")], ids=["v2", "lite0"]
)
WHOLE = pytest.mark.parametrize("module", [mobilenet_v2, efficientnet_lite0], ids=["v2", "lite0"])


@SHORT
def test_both_ways_of_the_first_blocks(module, last):
    case = learnt(module, last)
    crosses_the_bridge_and_becomes_a_file(case)
    is_trained_for_integers(case)


@pytest.mark.slow
@WHOLE
def test_quantized_after_training(module):
    crosses_the_bridge_and_becomes_a_file(learnt(module))


@pytest.mark.slow
@WHOLE
def test_quantized_in_training(module):
    is_trained_for_integers(learnt(module))


def is_trained_for_integers(case: Learnt) -> None:
    bridged = bridge.to_tf_keras(case.model, probe=case.inputs[:4])
    batches = tf.data.Dataset.from_tensor_slices((case.calibration, np.zeros(64, "int32"))).batch(32)
    network = qat.train(bridged, batches, epochs=0)
    # the range is made by a 1x1 depthwise kernel, before anything is padded
    (scaled,) = (layer.layer for layer in network.layers if layer.name == "quant_rescale")
    (rescale,) = (layer for layer in case.model.layers if layer.name == "rescale")
    kernel, bias = (weight.numpy().ravel() for weight in (scaled.depthwise_kernel, scaled.bias))
    np.testing.assert_allclose(kernel, rescale.scale, rtol=1e-6)
    np.testing.assert_allclose(bias, rescale.offset, rtol=1e-6)
    file = tflite.convert(network, TASK, integer=True)
    agrees(file, case, agreement=0.95, difference=0.05)
    fake = tf.nn.softmax(network.predict(case.inputs, verbose=0)).numpy()
    assert (predictions.predict_tflite(file, case.inputs.astype("uint8")).argmax(1) == fake.argmax(1)).mean() >= 0.95
