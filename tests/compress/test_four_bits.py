from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from kerastl import verify
from kerastl.compress import float_file, four_bits, ptq
from kerastl.inputs.image import Image
from tests.compress.test_ptq import PICTURES, convert, keras

PIXELS = Image((8, 8, 1))


def test_scales_are_the_nearest_that_a_block_can_have():
    scales = np.random.default_rng(0).uniform(1e-4, 3, 500).astype("float32")
    wanted = scales.astype(ml_dtypes.bfloat16).astype("float32")
    np.testing.assert_array_equal(four_bits.scales_of_blocks(scales), wanted)
    np.testing.assert_array_equal(
        four_bits.scales_of_blocks(np.array([0.0, 1e-9, 1e6])), [four_bits.LEAST_SCALE] * 2 + [four_bits.MOST_SCALE]
    )
    stored = four_bits.scales_of_blocks(np.array([0.0, *scales])).astype(np.float16)
    assert (stored >= np.finfo(np.float16).tiny).all()
    np.testing.assert_array_equal(stored[1:].astype("float32"), wanted)


def test_two_integers_to_a_byte_the_first_in_the_low_bits():
    np.testing.assert_array_equal(four_bits.packed(np.array([[1, -2], [7, -7], [3, 0]])), [0xE1, 0x97, 0x03])
    np.testing.assert_array_equal(four_bits.packed(np.array([-1, 5, 2])), [0x5F, 0x02])


def test_what_blocks_can_hold():
    kernel = np.random.default_rng(0).normal(size=(4, 64))
    small = kernel.copy()
    small[1, :32] *= 1e-7  # a block of too small a scale: nothing, beside the others
    for one, wanted in (
        (kernel, True),
        (small, True),
        (kernel * 1e-6, False),  # every block
        (kernel * 1e6, False),  # the scale is no half float
        (kernel * 0.0, True),
    ):
        assert four_bits.hold(one, 32) == wanted


def without(model, *, columns=slice(None), rows=slice(None), factor: float, back: float = 1.0) -> bytes:
    """The file of the model with a part of the hidden kernel times a factor, and the next layer's times another."""
    changed = keras.models.clone_model(model)
    changed.set_weights(model.get_weights())
    kernel, bias = changed.get_layer("hidden").get_weights()
    kernel[rows, columns] *= factor
    changed.get_layer("hidden").set_weights([kernel, bias])
    kernel, bias = changed.get_layer("logits").get_weights()
    kernel[columns] *= back
    changed.get_layer("logits").set_weights([kernel, bias])
    return convert(changed)


PARTS = {
    "a block of zeros": {"columns": slice(3, 9), "rows": slice(0, 32), "factor": 0.0},
    "a dead unit": {"columns": 5, "factor": 0.0},
    "a unit that decay shrank": {"columns": 5, "factor": 1e-6},
    "all of it small": {"factor": 1e-7, "back": 1e7},
    "all of it large": {"factor": 1e7, "back": 1e-7},
    "all of it zero": {"factor": 0.0},
}


@pytest.mark.parametrize("part", PARTS)
def test_blocks_that_no_scale_serves_are_no_reason_not_to_load(model, part):
    file = without(model, **PARTS[part])
    wanted = verify.predict_tflite(file, PICTURES[:64])
    for calibration in (None, PICTURES[:48]):
        small = ptq.int4_weights(file, block_size=32, calibration=calibration, inputs=PIXELS)
        error = np.abs(verify.predict_tflite(small, PICTURES[:64]) - wanted).max()
        assert error < 0.15 * max(np.abs(wanted).max(), 1e-6)
        kinds = {
            tuple(one.shape): one.quantization
            for one in float_file.tensors(small)
            if one.type == schema.TensorType.INT4
        }
        whole = part in ("all of it small", "all of it large")
        assert (kinds[64, 64].details is None) == whole  # a scale a channel is a float32, which holds it


def test_the_errors_of_a_block_sum_to_nothing():
    blocks = np.random.default_rng(1).uniform(-1, 1, (200, 32))
    integers, scales = four_bits._nearest(blocks)
    errors = blocks - integers * scales[:, None]
    assert np.abs(errors.sum(1) / scales).max() <= 0.5 + 1e-6
    assert np.abs(errors / scales[:, None]).max() < 1.0
    nearest = np.abs(blocks - np.rint(blocks / scales[:, None]) * scales[:, None])
    assert np.square(errors).sum() < 1.3 * np.square(nearest).sum()
    blocks[:, 7] = 0.0
    assert not four_bits._nearest(blocks)[0][:, 7].any(), "what is pruned stays pruned"
