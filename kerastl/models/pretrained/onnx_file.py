"""The constants of an ``.onnx`` file: a message of protocol buffers, read field by field and nothing of it run.

Of the format (https://onnx.ai/onnx/repo-docs/IR.html) that is `ModelProto.graph`, its `initializer`, and of each
`TensorProto` its name, dimensions, type and bytes. The graph itself is not read: whoever wants its weights has built
it already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

_GRAPH, _INITIALIZER = 7, 5
_DIMENSIONS, _TYPE, _NAME, _BYTES = 1, 2, 8, 9
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2", 11: "<f8"}
_LONGEST = 10  # bytes of a number of 64 bits, seven bits each


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every constant of a file's graph, by name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such file, is cut off, or holds a constant of another type than floats and integers, or
            one whose numbers are not its bytes (`raw_data`).
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        content = memoryview(path.read_bytes())
        graphs = [graph for number, graph in _fields(content) if number == _GRAPH]
        found = [_array(tensor) for graph in graphs for number, tensor in _fields(graph) if number == _INITIALIZER]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no .onnx file that can be read: {error}.") from error
    if not found:
        raise ValueError(f"{path} is no .onnx file that can be read: it holds no constants.")
    return dict(found)


def _array(tensor: memoryview) -> tuple[str, np.ndarray]:
    """Name and numbers of a `TensorProto`."""
    shape, kind, name, raw = [], 0, "", memoryview(b"")
    for number, value in _fields(tensor):
        if number == _DIMENSIONS:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == _TYPE:
            kind = value
        elif number == _NAME:
            name = bytes(value).decode("utf-8")
        elif number == _BYTES:
            raw = value
    if kind not in _KINDS:
        raise ValueError(f"the constant {name!r} is of type {kind}, and read are {sorted(_KINDS)}")
    dtype = np.dtype(_KINDS[kind])
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"the constant {name!r} of shape {shape} has {len(raw)} bytes")
    return name, np.frombuffer(raw, dtype).reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a message, in its order: a number, or bytes. Raises `TypeError` for a number in
    the place of a message.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _DELIMITED:
            size, place = _varint(message, place)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"a field of kind {kind} at byte {place}")
        if size > len(message) - place:
            raise ValueError(f"a field of {size:,} bytes where {len(message) - place:,} are left")
        yield number, message[place : place + size]
        place += size


def _packed(values: memoryview) -> list[int]:
    found, place = [], 0
    while place < len(values):
        value, place = _varint(values, place)
        found.append(value)
    return found


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number in pieces of seven bits from ``place`` on, and the place behind it."""
    value = 0
    for shift, byte in enumerate(message[place : place + _LONGEST]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise ValueError(f"a number without an end at byte {place}")
