"""Kernels of one scale: which LiteRT computes with beside float activations, and which keep a scale a channel."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from kerastl.compress import ptq
from kerastl.export import packing, tflite
from kerastl.verify import predict_tflite

LAYERS = {
    "depthwise": lambda: keras.layers.DepthwiseConv2D(3, name="layer"),
    "depth_multiplier": lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=3, name="layer"),
    "dilated": lambda: keras.layers.DepthwiseConv2D(3, dilation_rate=2, name="layer"),
    "separable": lambda: keras.layers.SeparableConv2D(6, 3, name="layer"),
    "groups": lambda: keras.layers.Conv2D(8, 3, groups=4, name="layer"),
    "whole": lambda: keras.layers.Conv2D(8, 3, name="layer"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_kernel_of_one_scale_is_one_that_is_computed_with(name):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((8, 8, 8), name="numbers")
    model = keras.Model(numbers, LAYERS[name]()(numbers))
    inputs = np.random.default_rng(0).normal(size=(8, 8, 8, 8)).astype(np.float32)
    data = ptq.dynamic_int8(tflite.convert(model), per_channel=False)
    wanted = model.predict(inputs, verbose=0)
    for plain in (False, True):
        found = predict_tflite(data, inputs, plain=plain)
        assert np.linalg.norm(found - wanted) < 0.03 * np.linalg.norm(wanted)
    graph = packing.unpack(data).subgraphs[0]
    kernels = [one for one in graph.tensors if one.quantization is not None and one.quantization.scale is not None]
    scales = {len(one.quantization.scale) for one in kernels}
    assert (1 in scales) == (name in ("whole", "separable"))  # a kernel that may have one has it
