from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from kerastl.models.pretrained import safetensors_file


def written(path, header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers)
    return path


def test_arrays_come_back(tmp_path):
    one, two = np.arange(6, dtype="<f4").reshape(2, 3), np.array([7], "<i8")
    header = {
        "__metadata__": {"format": "pt"},
        "one": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "two": {"dtype": "I64", "shape": [1], "data_offsets": [24, 32]},
    }
    found = safetensors_file.arrays(written(tmp_path / "a", header, one.tobytes() + two.tobytes()))
    np.testing.assert_array_equal(found["one"], one)
    np.testing.assert_array_equal(found["two"], two)
    assert set(found) == {"one", "two"}


def test_what_is_written_is_what_is_read(tmp_path):
    named = {
        "a.weight": np.arange(6, dtype="<f4").reshape(2, 3),
        "scalar": np.float32(2) * np.ones(()),
        "b": np.ones(3),
    }
    safetensors_file.write(tmp_path / "a", named)
    content = (tmp_path / "a").read_bytes()
    (size,) = struct.unpack_from("<Q", content)
    assert size % 8 == 0
    assert json.loads(content[8 : 8 + size])["b"] == {"dtype": "F32", "shape": [3], "data_offsets": [28, 40]}
    found = safetensors_file.arrays(tmp_path / "a")
    assert list(found) == list(named)
    for name, array in named.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].shape == array.shape


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 25]},
        {"dtype": "F32", "shape": [2, 3], "data_offsets": [8, 32]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"dtype": "BF16", "shape": [12], "data_offsets": [0, 24]},
        {"dtype": "F32", "shape": [6]},
        {"dtype": "F32", "shape": [6], "data_offsets": [-24, 0]},
        [],
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, entry):
    with pytest.raises(ValueError, match=r"no \.safetensors file that can be read"):
        safetensors_file.arrays(written(tmp_path / "a", {"one": entry}, bytes(24)))


@pytest.mark.parametrize("content", [b"", b"\x05", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_what_is_no_such_file_is_refused(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=r"no \.safetensors file that can be read"):
        safetensors_file.arrays(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        safetensors_file.arrays(tmp_path / "b")
