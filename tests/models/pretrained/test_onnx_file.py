"""Messages written here byte by byte, as the format's own description says; the real files are the embedding's test."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.models.pretrained import onnx_file


def number(value: int) -> bytes:
    """A number in pieces of seven bits."""
    head, rest = value & 0x7F, value >> 7
    return bytes([head | 0x80]) + number(rest) if rest else bytes([head])


def field(place: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return number(place << 3) + number(value)
    return number(place << 3 | 2) + number(len(value)) + value


def tensor(name: str, array: np.ndarray, *, kind: int, packed: bool = False) -> bytes:
    sizes = field(1, b"".join(map(number, array.shape)))
    dimensions = sizes if packed else b"".join(field(1, size) for size in array.shape)
    return dimensions + field(2, kind) + field(8, name.encode()) + field(9, array.tobytes())


def written(path, *tensors: bytes):
    """A model with a version, a node that is passed over, numbers of fixed length, and these constants."""
    node = field(1, field(4, b"Conv")) + number(9 << 3 | 5) + b"1234" + number(10 << 3 | 1) + b"12345678"
    path.write_bytes(field(1, 7) + field(7, node + b"".join(field(5, one) for one in tensors)))
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_come_back(packed, tmp_path):
    one, two = np.arange(600, dtype="<f4").reshape(2, 300), np.array(-7, "<i8")
    constants = [tensor("one", one, kind=1, packed=packed), tensor("two", two, kind=7)]
    found = onnx_file.arrays(written(tmp_path / "a.onnx", *constants))
    assert set(found) == {"one", "two"}
    np.testing.assert_array_equal(found["one"], one)
    np.testing.assert_array_equal(found["two"], two)
    assert found["two"].shape == ()


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path):
    whole = written(tmp_path / "a.onnx", tensor("one", np.arange(6, dtype="<f4"), kind=1)).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut.onnx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"no \.onnx file that can be read"):
            onnx_file.arrays(tmp_path / "cut.onnx")


@pytest.mark.parametrize(
    ("constant", "why"),
    [
        (tensor("odd", np.zeros(3, "<f4"), kind=8), "of type 8"),
        (field(1, 4) + field(2, 1) + field(8, b"short") + field(9, b"12345"), "has 5 bytes"),
        (field(1, 4) + field(2, 1) + field(8, b"none"), "has 0 bytes"),
        (field(1, 1 << 62) + field(2, 1) + field(9, b""), "has 0 bytes"),
        (b"\xff" * 12, "a number without an end"),
        (number(1 << 3 | 3), "a field of kind 3"),
        (field(1, 4) + field(2, 1) + field(9, 5), "has no len"),
    ],
)
def test_a_constant_that_is_none_is_refused(constant, why, tmp_path):
    with pytest.raises(ValueError, match=why):
        onnx_file.arrays(written(tmp_path / "a.onnx", constant))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no file"):
        onnx_file.arrays(tmp_path / "none.onnx")
