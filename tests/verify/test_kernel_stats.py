from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from kerastl.verify import kernel_stats


@pytest.mark.parametrize(("kind", "rounded"), [("float32", False), ("integer", True)])
def test_kernels_are_counted_as_written(kind, rounded, tiny_files):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(getattr(tiny_files, kind)))
    found = kernel_stats.of(model)
    assert sorted(kernel.size for kernel in found) == sorted([tiny_files.kernel.size, tiny_files.dense.size])
    assert {kernel.rounded for kernel in found} == {rounded}
    if not rounded:
        assert [kernel.zeros for kernel in found] == [0, 0]
    else:  # a weight is zero where it is nearer to zero than to a step of its channel's scale
        for array in (tiny_files.kernel.reshape(-1, 6), tiny_files.dense):
            scales = np.abs(array).max(0) / 127
            expected = int((np.abs(array) < scales / 2).sum())
            per_tensor = int((np.abs(array) < np.abs(array).max() / 127 / 2).sum())
            assert any(kernel.size == array.size and kernel.zeros in (expected, per_tensor) for kernel in found)


@pytest.mark.parametrize("kind", ["float32", "float16", "dynamic_int8"])
def test_distinct_values_are_counted_in_all_and_in_the_worst_channel(kind, tiny_files):
    """One channel of the convolution gets 5 values, the others 2 of which one is everybody's; the dense layer 3."""
    from kerastl.compress import ptq

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(tiny_files.float32))
    for tensor in model.subgraphs[0].tensors:
        data = model.buffers[tensor.buffer].data
        if data is None or tensor.shape is None or len(tensor.shape) not in (2, 4):
            continue
        values = np.array(data, np.uint8).view(np.float32).reshape(tensor.shape)
        for channel, column in enumerate(values):  # channels come first
            own = [1.0, 0.5 + channel / 64] if len(tensor.shape) == 4 else [1.0, -0.5, 0.25]
            own = [1.0, 0.8, 0.6, 0.4, 0.2] if len(tensor.shape) == 4 and channel == 3 else own
            column[...] = np.resize(np.asarray(own, np.float32), column.shape) / 100
        model.buffers[tensor.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
    data = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    data = data if kind == "float32" else getattr(ptq, kind)(data)
    found = kernel_stats.of(flatbuffer_utils.read_model_from_bytearray(bytearray(data)))
    assert {(one.distinct, one.distinct_in_channel) for one in found} == {(1 + 5 + 4, 5), (3, 3)}
