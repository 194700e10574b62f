"""HDF5 files of strangers: whether everything in one lies in it, is numbers, and takes the room that it declares."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import h5py

from kerastl.system import bounded_zip

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# HDF5's own filters and h5py's LZF; any other number makes the library look for a plug-in to load.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}


class Hdf5Error(ValueError):
    """An HDF5 file that is not read, and why."""


def inspect(file: Path | IO[bytes]) -> None:
    """Walks every group and data set of a file without reading one.

    Raises:
        Hdf5Error: the first of its `findings`.
    """
    for words in findings(file):
        raise Hdf5Error(words)


def findings(file: Path | IO[bytes]) -> Iterator[str]:
    """Why a file is not read: no HDF5 file, or damaged; a soft or external link, for Keras writes neither; a data set
    whose bytes lie in other files (external or virtual), that holds Python objects or references, needs a filter that
    is no part of HDF5, or declares far more than it stores; or data sets that do so together.
    """
    try:
        with file.open("rb") if isinstance(file, Path) else contextlib.nullcontext(file) as stream:
            if stream.read(len(SIGNATURE)) != SIGNATURE:
                yield "it is no HDF5 file"
                return
        declared = 0
        with h5py.File(file, "r") as opened:
            for where, item in _items(opened):
                if isinstance(item, str):
                    yield item
                elif isinstance(item, h5py.Dataset):
                    yield from _check(item, where)
                    declared += _declared(item) * (not (item.external or item.is_virtual))  # which has been said
            size = opened.id.get_filesize()
        if bounded_zip.unpacks_too_far(declared, held=size):  # many small ones are a bomb of many parts
            yield f"its data sets declare {declared:,} bytes in all, and the file holds {size:,}"
    except Exception as error:  # h5py raises whatever a damaged file provokes in it
        yield f"it cannot be read: {error}"


def _items(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset | str]]:
    """Groups and data sets by their names, and in words what is neither."""
    waiting, seen = [file], set()
    while waiting:
        group = waiting.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:  # a hard link may lead back up
            continue
        seen.add(address)
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                target = f"{getattr(link, 'filename', '')} {link.path}".strip()
                yield where, f"{where} is a link to {target!r}: only what lies in the file itself is read"
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append(item)
            elif isinstance(item, h5py.Dataset):
                yield where, item
            else:
                yield where, f"{where} is neither a group nor a data set"


def _declared(dataset: h5py.Dataset) -> int:
    return math.prod(dataset.shape or ()) * dataset.dtype.itemsize


def _check(dataset: h5py.Dataset, where: str) -> Iterator[str]:
    if dataset.external:
        yield f"{where} keeps its bytes in another file, {dataset.external[0][0]!r}"
    if dataset.is_virtual:
        yield f"{where} is put together from other files (a virtual data set)"
    if dataset.dtype.hasobject:
        yield f"{where} holds objects or references, not numbers"
    properties = dataset.id.get_create_plist()
    strange = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())} - _FILTERS
    if strange:
        yield f"{where} needs filter {min(strange)}, which is no part of HDF5"
    declared = _declared(dataset)
    stored = dataset.id.get_storage_size()
    if bounded_zip.unpacks_too_far(declared, held=stored) and not (dataset.external or dataset.is_virtual):
        yield f"{where} declares {declared:,} bytes (shape {dataset.shape}) and stores {stored:,}"
