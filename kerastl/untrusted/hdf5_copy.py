"""Clean copies of strangers' HDF5 files: a child reads, and what it hands over is written anew.

The HDF5 library trusts the file it is given. So it opens a stranger's in no process that has anything to lose: the copy
holds the same groups, data sets and attributes, and was written here.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kerastl.untrusted import hdf5, sandbox

SECONDS, MEMORY = 60.0, 1_000_000_000
"""How long one question may take, and bytes of address space beyond the file's size, several times over."""


def inspect(path: Path) -> None:
    """As `hdf5.inspect`, by way of a child.

    Raises:
        Hdf5Error: the first of its findings; or the child did not survive the file.
    """
    with _Child(path) as child:
        child.items()


def write(path: Path, target: Path) -> None:
    """Writes what a stranger's file holds into a file of one's own.

    Args:
        path: a file that nobody else can change, as `snapshots.of` gives one.
        target: the copy; there is none yet. No data set of it is compressed.

    Raises:
        Hdf5Error: as `inspect`; or it holds what is neither numbers nor words.
    """
    if sys.platform == "win32":  # where no child is bounded
        hdf5.inspect(path)
        shutil.copyfile(path, target)
        return
    with _Child(path) as child, h5py.File(target, "w") as copy:
        for item in child.items():
            name = item["name"]
            if "shape" in item:
                made: Any = copy.create_dataset(name, data=child.array(item, name))
            else:
                made = copy.require_group(name)
            for key, value in item["attributes"].items():
                if "text" in value:
                    made.attrs[key] = value["text"]
                elif "texts" in value:
                    made.attrs[key] = value["texts"]
                else:
                    made.attrs[key] = child.array(value, name, attribute=key)


class _Child:
    """The child that has one file open to it; what it says is checked before it is believed."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        self._child = sandbox.Sandbox("kerastl.untrusted.hdf5_child", memory=MEMORY + 4 * self._size)

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.close()

    def items(self) -> list[dict[str, Any]]:
        """Everything in the file, a group before what is in it."""
        said, raw = self._ask({"do": "look"}, largest=100_000_000)
        for words in said.get("findings", []):
            raise hdf5.Hdf5Error(str(words))
        try:
            found = json.loads(raw)
            assert all(isinstance(one["name"], str) and isinstance(one["attributes"], dict) for one in found)
        except Exception as error:
            raise hdf5.Hdf5Error("the process that read it answered with no items") from error
        return found

    def array(self, described: Mapping[str, Any], name: str, *, attribute: str | None = None) -> np.ndarray:
        """The numbers of a data set or of one of its attributes."""
        try:
            shape, kind = tuple(int(size) for size in described["shape"]), np.dtype(described["dtype"])
            size = math.prod(shape) * kind.itemsize
            if min(shape, default=0) < 0 or kind.hasobject:
                raise ValueError(shape)
        except (KeyError, TypeError, ValueError) as error:
            raise hdf5.Hdf5Error(f"{name} is described by no numbers") from error
        _, raw = self._ask({"do": "read", "name": name, "attribute": attribute}, largest=size)
        if len(raw) != size:
            raise hdf5.Hdf5Error(f"{name} of {size:,} bytes was read as {len(raw):,}")
        return np.frombuffer(raw, kind).reshape(shape)

    def _ask(self, question: Mapping[str, Any], *, largest: int) -> tuple[dict[str, Any], bytes]:
        try:
            return self._child.ask({**question, "path": str(self._path)}, b"", seconds=SECONDS, largest=largest)
        except sandbox.SandboxError as error:
            raise hdf5.Hdf5Error(
                f"it cannot be read: {str(error).replace(str(self._path), self._path.name)}"
            ) from error
