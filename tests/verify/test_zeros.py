from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from kerastl.verify import zeros


@pytest.mark.parametrize(("kind", "rounded"), [("float32", False), ("integer", True)])
def test_kernels_are_counted_as_written(kind, rounded, tiny_files):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(getattr(tiny_files, kind)))
    found = zeros.kernels(model)
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
