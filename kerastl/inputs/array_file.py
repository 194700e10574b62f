"""Array files of strangers: judged by their headers before memory is taken, and never unpickled.

Several belong to one data set where their names say so: ``x_train`` and ``y_train``, ``train-images-idx3-ubyte`` ...
"""

from __future__ import annotations

import gzip
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from kerastl.system import bounded_zip

INPUT_WORDS = ("x", "image", "images", "input", "inputs")
LABEL_WORDS = ("y", "label", "labels", "target", "targets")
LARGEST = 16_000_000_000
"""Bytes an array may have."""


class ArrayFileError(ValueError):
    """An array file that is not read, and why."""


def is_array(path: Path) -> bool:
    """Whether a file is one that is read here: ``.npz``, ``.npy``, or idx by its name."""
    return path.is_file() and (_ending(path) in (".npz", ".npy") or "-ubyte" in path.name.lower())


def read_set(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a data set by their names, and what is wrong with those that are not read.

    Args:
        path: a ``.npz`` file; a ``.npy`` or idx file, whose partners are looked for beside it; or a folder of such.
    """
    arrays: dict[str, np.ndarray] = {}
    problems: dict[str, str] = {}
    if _ending(path) == ".npz":
        try:
            for name, content in read_npz(path):
                if isinstance(content, ArrayFileError):
                    problems[name] = str(content)
                else:
                    arrays[name] = content
        except ArrayFileError as error:
            problems[path.name] = str(error)
        return arrays, problems
    files = sorted(file for file in (path if path.is_dir() else path.parent).iterdir() if is_array(file))
    for file in files:
        if _ending(file) != ".npz" and (path.is_dir() or _related(file, path)):
            try:
                arrays[file.name] = read_npy(file) if _ending(file) == ".npy" else read_idx(file)
            except Exception as error:  # decoders raise whatever a damaged file provokes in them
                problems[file.name] = f"cannot be read: {error}"
    return arrays, problems


def parts(
    names: Iterable[str], *, own: str = "", of: Sequence[str] = ("inputs", "labels")
) -> dict[str, dict[str, str]]:
    """Set (``"train"``, or ``"all"`` where names say nothing) -> ``inputs``, ``labels`` -> the array's name.

    Args:
        names: of arrays, or of their files.
        own: name of a model's input, which says ``inputs`` as `INPUT_WORDS` do.
        of: which parts are looked for; arrays of others are left alone.

    Raises:
        ValueError: two arrays are one part of one set, so that one of them would be left out.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        part, group = _key(name, own=own)
        if part not in of:
            continue
        first = found[group].setdefault(part, name)
        if first.removesuffix(".gz") != name.removesuffix(".gz"):  # a file beside what was unpacked of it is no other
            whose = "" if group == "all" else f" of {group}"
            raise ValueError(
                f"Wanted one array of {part}{whose}. Received: {first} and {name}: take one of them out, or give it "
                "another name."
            )
    return dict(found)


def _ending(path: Path) -> str:
    return path.suffix.lower()


def _key(name: str, *, own: str = "") -> tuple[str, str]:
    """``(which part, which set)``: ``("inputs", "train")`` for ``x_train``, ``train-images-idx3-ubyte``."""
    stem = re.sub(r"\.(npy|gz)$", "", name.lower())
    if own:  # as one word, whatever it is made of
        stem = re.sub(rf"(?<![a-z0-9]){re.escape(own.lower())}(?![a-z0-9])", INPUT_WORDS[0], stem)
    words = [word for word in re.split(r"[_\-.\s]+", stem) if word and not re.fullmatch(r"idx\d|ubyte|gz", word)]
    for part, known in (("inputs", INPUT_WORDS), ("labels", LABEL_WORDS)):
        for word in words:
            if word in known:
                return part, "_".join(other for other in words if other != word) or "all"
    return "other", "_".join(words)


def _related(file: Path, chosen: Path) -> bool:
    """Whether two files belong to one data set: a pair, or pairs of different splits, of the same kind."""
    return _ending(file) == _ending(chosen) and (_key(file.name)[0] != "other" or file == chosen)


def read_npy(path: Path, *, largest: int = LARGEST) -> np.ndarray:
    """The array in a ``.npy`` file.

    Raises:
        ArrayFileError: damaged, pickled, larger than ``largest`` bytes, or shorter than its header says.
    """
    with path.open("rb") as stream:
        return _read(stream, size=path.stat().st_size, largest=largest)


def read_idx(path: Path) -> np.ndarray:
    """An array from an idx file (LeCun's MNIST format, unsigned bytes), gzipped or not.

    Raises:
        ValueError: the header is no idx header of bytes, or the size is not the one it announces.
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    with gzip.open(path) if packed else open(path, "rb") as file:
        start = file.read(4)
        axes = start[3] if len(start) == 4 else 0
        sizes = file.read(4 * axes)
        if start[:3] != b"\0\0\x08" or len(sizes) < 4 * axes:
            raise ValueError(f"{path.name} is not an idx file of unsigned bytes. Received: header {start.hex()}.")
        shape = tuple(int.from_bytes(sizes[4 * axis : 4 * axis + 4], "big") for axis in range(axes))
        # no more than it announces: a few kilobytes of gzip can unpack to gigabytes
        count, held = math.prod(shape), path.stat().st_size
        if bounded_zip.unpacks_too_far(count, held=held):
            raise ValueError(f"{path.name} of {held:,} bytes announces {count:,} values of shape {shape}: too many.")
        values = np.frombuffer(file.read(count + 1), np.uint8)
    if values.size != count:
        holds = f"{values.size:,} values" if values.size < count else "more"
        raise ValueError(f"{path.name} announces shape {shape} but holds {holds}.")
    return values.reshape(shape)


def read_npz(path: Path, *, largest: int = LARGEST) -> Iterator[tuple[str, np.ndarray | ArrayFileError]]:
    """Name and array of each member of a ``.npz`` file; a member that is refused comes as its error.

    Args:
        path: the file.
        largest: bytes that all arrays together may have.

    Raises:
        ArrayFileError: the file as a whole cannot be read, or unpacks to far more than it holds.
    """
    left = largest
    try:
        with bounded_zip.opened(path) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                try:
                    with bounded_zip.stream(archive, member) as stream:
                        array = _read(stream, size=member.file_size, largest=left)
                    left -= array.nbytes
                    yield name, array
                except ArrayFileError as error:
                    yield name, error
                except bounded_zip.ZipError as error:
                    yield name, ArrayFileError(str(error))
    except bounded_zip.ZipError as error:
        raise ArrayFileError(str(error)) from error


def read_batch(path: Path, *, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of a ``.npy`` file as a batch of examples ``(examples, *shape)``; one example becomes a batch of one.

    A last axis of one may be missing. Of a ``.npz`` file it is the one array of that shape.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, holds no numbers, or none of this shape; of a ``.npz`` file also several.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no input file {path}.")
    try:
        array = _only(path, shape) if _ending(path) == ".npz" else read_npy(path)
    except ArrayFileError as error:
        raise ValueError(f"{path} is no array that can be read: {error}.") from error
    if array.dtype.kind not in "buif":
        raise ValueError(f"Wanted numbers. Received: {path} of {array.dtype}.")
    if array.shape == shape or (shape[-1:] == (1,) and array.shape == shape[:-1]):
        array = array.reshape(1, *shape)
    elif shape[-1:] == (1,) and array.ndim == len(shape) and array.shape[1:] == shape[:-1]:
        array = array[..., None]
    if array.shape[1:] != shape or not len(array):
        raise ValueError(f"This file takes arrays of shape {shape}, one or a batch. Received: {path} of {array.shape}.")
    return array


def _only(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The one array of a ``.npz`` file that can be examples of a shape."""
    arrays = {name: one for name, one in read_npz(path) if not isinstance(one, ArrayFileError)}
    forms = {shape, shape[:-1]} if shape[-1:] == (1,) else {shape}
    fitting = [one for one in arrays.values() if one.shape in forms or one.shape[1:] in forms]
    if len(fitting) != 1:
        shapes = ", ".join(f"{name} {one.shape}" for name, one in arrays.items())
        raise ArrayFileError(f"wanted one array of shape {shape}, or of a batch of such, it holds {shapes or 'none'}")
    return fitting[0]


def _read(stream: IO[bytes], *, size: int, largest: int) -> np.ndarray:
    """The array of a ``.npy`` stream of ``size`` bytes."""
    shape, kind = _header(stream)
    if kind.hasobject:
        raise ArrayFileError("holds Python objects, which only unpickling could read: that runs foreign code")
    declared = math.prod(shape) * kind.itemsize
    if declared > largest:
        raise ArrayFileError(f"declares {declared:,} bytes (shape {shape}, {kind}): more than the {largest:,} allowed")
    if declared > size:
        raise ArrayFileError(f"declares {declared:,} bytes (shape {shape}, {kind}) and holds fewer than {size:,}")
    rows = math.prod(shape) if kind.itemsize == 0 else math.prod(shape[:1])
    if declared == 0 and rows > size:  # no memory, until somebody goes through them
        raise ArrayFileError(f"declares {rows:,} examples that hold nothing (shape {shape}, {kind})")
    try:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    except Exception as error:
        raise ArrayFileError(f"cannot be read: {error}") from error


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            shape, _, kind = np.lib.format.read_array_header_1_0(stream)
        else:
            shape, _, kind = np.lib.format.read_array_header_2_0(stream)
    except Exception as error:
        raise ArrayFileError(f"cannot be read: {error}") from error
    return shape, kind
