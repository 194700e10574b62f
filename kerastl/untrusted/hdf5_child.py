"""The child of `untrusted.hdf5_copy`: reads a stranger's HDF5 file, and hands over what is plain in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kerastl.untrusted import hdf5, sandbox

_NUMBERS = "buifcSV"  # kinds of NumPy that are their bytes: numbers, and texts of one length


def main(memory: int) -> None:
    """Answers the parent's questions until it closes the pipe."""
    sandbox.serve(answer, memory=memory)


def answer(question: dict[str, Any], _: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to one question about the file at ``path``, which nobody else can change.

    Args:
        question: ``do``: ``"look"`` gives everything in it by name, or why it is not read; ``"read"`` the numbers of
            the data set at ``name``, or of its attribute ``attribute``.

    Returns:
        For ``"look"`` ``findings``, and as JSON in bytes the items: a ``name``, of a data set ``dtype`` and ``shape``,
        and ``attributes``, each a ``text``, ``texts`` or again ``dtype`` and ``shape``. For ``"read"`` the bytes.
    """
    path = Path(question["path"])
    if question["do"] == "look":
        found = list(hdf5.findings(path))[:100]
        return {"findings": found}, b"" if found else json.dumps(_items(path)).encode()
    with h5py.File(path, "r") as file:
        item = file[question["name"]]
        value = item[()] if question["attribute"] is None else item.attrs[question["attribute"]]
        return {}, np.ascontiguousarray(value).tobytes()


def _items(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with h5py.File(path, "r") as file:
        waiting: list[tuple[str, Any]] = [("/", file)]
        seen = set()
        while waiting:
            name, item = waiting.pop()
            described: dict[str, Any] = {
                "name": name,
                "attributes": {key: _described(item.attrs[key], name) for key in item.attrs},
            }
            if isinstance(item, h5py.Dataset):
                described |= _described(np.empty(0, item.dtype), name) | {"shape": list(item.shape)}
            else:
                address = h5py.h5o.get_info(item.id).addr
                if address in seen:  # a hard link may lead back up
                    continue
                seen.add(address)
                waiting += [(f"{name.rstrip('/')}/{key}", item[key]) for key in item]
            found.append(described)
    return found


def _described(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, str):
        return {"text": value}
    array = np.asarray(value)
    if array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat):
        return {"texts": array.tolist()}
    if array.dtype.kind not in _NUMBERS or array.dtype.names is not None:
        raise hdf5.Hdf5Error(f"{where} holds {array.dtype}, neither numbers nor words")
    return {"dtype": array.dtype.str, "shape": list(array.shape)}
