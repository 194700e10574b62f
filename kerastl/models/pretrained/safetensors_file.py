"""The arrays of a ``.safetensors`` file: a length, that much JSON, and the numbers as they lie in memory."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kerastl.system import bounded_json

_KINDS = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4", "U8": "|u1"}


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a file, by name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is no such file, is cut off, or holds a type that is not read here (bfloat16).
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    content = path.read_bytes()
    try:
        (size,) = struct.unpack_from("<Q", content)
        if size > len(content) - 8:
            raise ValueError(f"a header of {size:,} bytes in a file of {len(content):,}")
        header, numbers = bounded_json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
        return {name: _array(entry, numbers) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no .safetensors file that can be read: {error!r}.") from error


def write(path: Path, named: Mapping[str, np.ndarray]) -> None:
    """Writes arrays as float32, by name, in their order (https://huggingface.co/docs/safetensors)."""
    header, place = {}, 0
    for name, array in named.items():
        size = 4 * array.size
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [place, place + size]}
        place += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of eight bytes
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in named.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())


def _array(entry: dict, numbers: memoryview) -> np.ndarray:
    kind, shape, (start, end) = np.dtype(_KINDS[entry["dtype"]]), entry["shape"], entry["data_offsets"]
    if not 0 <= start <= end <= len(numbers) or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"an array of shape {shape} between bytes {start} and {end} of {len(numbers)}")
    return np.frombuffer(numbers[start:end], kind).reshape(shape)
