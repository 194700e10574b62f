"""PyTorch files of weights, read without PyTorch and without running what is in them.

A ``.pth`` file is a pickle, and a pickle is a program: it may name any function of any module and call it. Here a
state dict needs four names, which stand for a dictionary, an array and the kinds of numbers; any other ends the
reading before it is looked up, let alone called.
"""

from __future__ import annotations

import collections
import io
import math
import pickle
import pickletools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from kerastl.system import bounded_zip

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of files before PyTorch 1.6
_DEEPEST = 50  # tuples inside of tuples; a tensor has three
_STORED = 0  # of a zip archive: not compressed
_KINDS = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class TorchFileError(ValueError):
    """A PyTorch file that is not read, and why."""


# Tuples and texts stand for what the pickle describes, for a pickle can change the attributes of any other object.
class _Storage(NamedTuple):
    """A run of numbers that tensors look into: what it is called in the file, of which kind, and how many."""

    key: str
    dtype: np.dtype
    count: int


class _View(NamedTuple):
    """A tensor as the pickle describes it, before its storage is read."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name, in a file that ``torch.save`` wrote.

    Raises:
        FileNotFoundError: no such file.
        TorchFileError: it is no such file or is damaged; it names anything that a state dict does not need (nothing of
            it has run then); or it holds anything but a dictionary of tensors of numbers.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        if bounded_zip.is_zip(path):
            views, storages = _read_archive(path)
        else:
            with path.open("rb") as file:
                views, storages = _read_stream(file)
        return {name: _array(name, view, storages) for name, view in views.items()}
    except TorchFileError as error:
        raise TorchFileError(f"{path} is not read: {error}.") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to provoke
        raise TorchFileError(f"{path} is no PyTorch file, or damaged: {error or type(error).__name__}.") from error


def _read_stream(file: IO[bytes]) -> tuple[dict[str, _View], dict[str, np.ndarray]]:
    """The older format: five pickles, then every storage as its count of elements and their bytes."""
    if _unpickle(file) != _MAGIC or _unpickle(file) != _PROTOCOL:
        raise TorchFileError("it does not start as a PyTorch file does")
    _unpickle(file)  # the writer's byte order and sizes; the bytes below are always little-endian
    views = _state_dict(_unpickle(file))
    kinds = {view.storage.key: view.storage for view in views.values()}
    storages = {}
    for key in _unpickle(file):
        (count,) = np.frombuffer(_bytes(file, 8), "<i8")
        if key not in kinds or count != kinds[key].count:
            raise TorchFileError(f"storage {key!r} is not what the state dict says")
        storages[key] = np.frombuffer(_bytes(file, int(count) * kinds[key].dtype.itemsize), kinds[key].dtype)
    return views, storages


def _read_archive(path: Path) -> tuple[dict[str, _View], dict[str, np.ndarray]]:
    """The format since PyTorch 1.6: a zip archive of one pickle and one member a storage, none compressed."""
    with bounded_zip.opened(path) as archive:
        found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(found) != 1 or any(entry.compress_type != _STORED for entry in archive.infolist()):
            raise TorchFileError("its archive is not as PyTorch writes it")
        folder = found[0].removesuffix("data.pkl")
        if archive.namelist().count(found[0]) > 1:
            raise TorchFileError("its archive holds two pickles")
        order = f"{folder}byteorder"
        if order in archive.namelist() and bounded_zip.read(archive, order) != b"little":
            raise TorchFileError("its numbers are big-endian")
        views = _state_dict(_unpickle(io.BytesIO(bounded_zip.read(archive, found[0]))))
        storages = {}
        for view in views.values():
            if view.storage.key not in storages:
                content = bounded_zip.read(archive, f"{folder}data/{view.storage.key}")
                storages[view.storage.key] = np.frombuffer(content, view.storage.dtype)
    return views, storages


def _bytes(file: IO[bytes], count: int) -> bytes:
    content = file.read(count) if count >= 0 else b""
    if len(content) != count:
        raise TorchFileError("it ends before its numbers do")
    return content


def _array(name: str, view: _View, storages: dict[str, np.ndarray]) -> np.ndarray:
    storage: np.ndarray = storages[view.storage.key]
    if len(storage) != view.storage.count:
        raise TorchFileError(f"the storage of {name!r} has {len(storage)} numbers instead of {view.storage.count}")
    # Strides may repeat numbers: they make no array larger than the storage, and none that reaches beyond it.
    last = view.offset + sum((size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True))
    sound = all(value >= 0 for value in (view.offset, *view.shape, *view.strides))
    if not sound or math.prod(view.shape) > len(storage) or (0 not in view.shape and last >= len(storage)):
        raise TorchFileError(f"{name!r} reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, steps).copy()


def _state_dict(content: object) -> dict[str, _View]:
    if not isinstance(content, dict) or not content:
        raise TorchFileError("it holds no state dict")
    strange = [name for name, value in content.items() if not (isinstance(name, str) and isinstance(value, _View))]
    if strange:
        raise TorchFileError(f"its entry {strange[0]!r} is no tensor")
    return dict(content)


def _rebuild_tensor(storage: object, offset: int, shape: Sequence[int], strides: Sequence[int], *_: object) -> _View:
    numbers = (offset, *shape, *strides)  # whatever the pickle says they are
    if not isinstance(storage, _Storage) or not all(type(number) is int for number in numbers):
        raise TorchFileError("a tensor is described by something that is no tensor")
    return _View(storage, offset, tuple(shape), tuple(strides))


_NAMES: dict[tuple[str, str], Callable | str] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", kind): kind for kind in _KINDS},
}


class _Unpickler(pickle.Unpickler):
    """Finds the names that a state dict needs, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise TorchFileError(f"it names {module}.{name}, which no state dict needs")
        return _NAMES[module, name]

    def persistent_load(self, pid: tuple[object, ...]) -> _Storage:
        word, kind, key, _, count, *_ = pid
        if (
            word == "storage"
            and isinstance(kind, str)
            and kind in _KINDS
            and isinstance(key, str)
            and type(count) is int
        ):
            return _Storage(key, np.dtype(_KINDS[kind]), count)
        raise TorchFileError("a storage is described by something that is no storage")


class _Rest:
    """What is left of a file, of which nobody is given more than there is, or takes memory for more."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, place = file, file.tell()
        self.readline, self.left = file.readline, file.seek(0, io.SEEK_END) - place
        file.seek(place)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(min(size, self.left) if size >= 0 else self.left)


def _unpickle(file: IO[bytes]) -> Any:
    """One pickle, its operations looked at first: none of them is run by that."""
    start, rest = file.tell(), _Rest(file)
    _check_operations(pickletools.genops(rest))  # pyright: ignore[reportArgumentType]
    file.seek(start)
    return _Unpickler(rest).load()


def _check_operations(operations: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> None:
    """Refuses what takes memory or the process along: the unpickler makes room for all places of its memo up to the
    highest, and five bytes may name the four thousand millionth; a tuple that is a key is hashed by recursion in C,
    without a look at how deep it goes.

    Raises:
        TorchFileError: a number beyond all objects that there can be, or tuples in tuples in tuples ...
    """
    depths: list[int] = []  # of tuples in what lies on the stack
    marks: list[int] = []  # heights of the stack
    memo: dict[int, int] = {}
    for seen, (operation, argument, _) in enumerate(operations):
        name, before = operation.name, operation.stack_before
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            number = len(memo) if name == "MEMOIZE" else int(argument)
            if number > seen + 256:
                raise TorchFileError(f"its pickle numbers an object {number:,}")
            memo[number] = depths[-1]
            continue
        if name == "MARK":
            marks.append(len(depths))
            continue
        if name == "POP" and marks and marks[-1] == len(depths):
            marks.pop()
            continue
        marked = pickletools.markobject in before
        height = (marks.pop() - before.index(pickletools.markobject)) if marked else len(depths) - len(before)
        if height < 0:
            raise TorchFileError("its pickle takes more than it has")
        deepest = max(depths[height:], default=0)
        del depths[height:]
        if name in ("GET", "BINGET", "LONG_BINGET"):
            deepest = memo.get(int(argument), 0)
        deepest += name in ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3")
        if deepest > _DEEPEST:
            raise TorchFileError("its pickle holds tuples in tuples without end")
        depths += [deepest] * len(operation.stack_after)
