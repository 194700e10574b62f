"""Keras models of strangers, `.keras` and `.h5`: looked at whole before Keras sees them, and loaded as a copy.

Keras' own safe mode is on as well, but stands second: what it refuses has changed with every release, and it does not
look at files of the older format as closely. Nothing here reaches tf_keras, which runs a Lambda's code on loading.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import re
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.legacy.saving import legacy_h5_format
from keras.src.saving import saving_lib

from kerastl.system import bounded_json, bounded_zip, scratch
from kerastl.untrusted import declared_size, hdf5, hdf5_copy, keras2, keras_config, snapshots, trusted

_WEIGHTS = "model.weights.h5"
_LONGEST = 400
"""Letters of what Keras says that are shown."""
# What Keras writes; the only assets that the layers on the list have are vocabularies.
_MEMBER = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets/(?:[^/\\]+/)*[^/\\]+\.txt")


class KerasFileError(ValueError):
    """A Keras file that is not opened, and why."""


def load(path: Path) -> keras.Model:
    """The model in a foreign `.keras` or `.h5` file, of Keras 3 or 2 (see `keras2`), not compiled.

    Raises:
        FileNotFoundError: no such file.
        KerasFileError: neither format, or damaged; an archive with other members than Keras writes, or that unpacks
            to far more than it is; a class or function that is not on the list (`keras_config.ALLOWED`); the name of
            a file or an address in the configuration; links, references, objects or other files' bytes among the
            weights; or what Keras itself refuses.
    """
    with _copied(path) as copy:
        if copy.suffix == ".h5":
            text = _text_in_hdf5(copy)
            for words in _configuration_findings(text):
                raise KerasFileError(f"{path} is not opened: {words}.")
            with h5py.File(copy, "r+") as file:
                file.attrs["model_config"] = _repaired(text or "")
        with declared_size.bounded(_held(copy)):
            return _built(path, _by_keras(path, lambda: keras.saving.load_model(copy, compile=False, safe_mode=True)))


def load_unshared(path: Path) -> keras.Model:
    """As `load`, of a file that nobody else can change: it makes no copy, and works where nothing may be written.

    Raises:
        KerasFileError: as for `load`; or its ending is not that of its format, by which Keras chooses how to read it;
            or it keeps a vocabulary beside its weights (a layer that was adapted), which Keras unpacks onto the disk.
    """
    for words in findings(path):
        raise KerasFileError(f"{path} is not opened: {words}.")
    if bounded_zip.is_zip(path) != (path.suffix == ".keras"):
        raise KerasFileError(f"{path} is not opened: its ending is not that of its format.")
    if path.suffix == ".keras":
        with bounded_zip.opened(path) as archive:
            for name in archive.namelist():
                if name.startswith("assets/") and not name.endswith("/"):
                    raise KerasFileError(
                        f"{path} is not opened: {name} is a vocabulary in a file of its own, and Keras would have to "
                        "write it to the disk first. Save the model with the words in its configuration: "
                        "StringLookup(vocabulary=layer.get_vocabulary(include_special_tokens=False))."
                    )
    if _configuration(path) == keras2.repaired(_configuration(path)):
        return _built(path, _by_keras(path, lambda: keras.saving.load_model(path, compile=False, safe_mode=True)))
    return _built(path, _by_keras(path, lambda: _in_memory(path)))


def _in_memory(path: Path) -> keras.Model:
    """What `keras.saving.load_model` makes of a file of Keras 2, which is repaired on no disk."""
    options: dict[str, Any] = {"custom_objects": None, "compile": False, "safe_mode": True}
    if path.suffix == ".h5":
        with h5py.File(io.BytesIO(path.read_bytes()), "r+") as file:
            file.attrs["model_config"] = json.dumps(keras2.repaired(_configuration(path)))
            return legacy_h5_format.load_model_from_hdf5(file, **options)
    content = io.BytesIO()
    with bounded_zip.opened(path) as stranger, zipfile.ZipFile(content, "w") as clean:
        for member in stranger.infolist():
            clean.writestr(member.filename, b"" if member.is_dir() else _member(stranger, member))
    return saving_lib._load_model_from_fileobj(content, **options)


def functional(model: keras.Model) -> keras.Model:
    """The same layers as a functional model, which has names for what it answers; a `keras.Sequential` has none."""
    return keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model


def findings(path: Path) -> Iterator[str]:
    """Everything for which `load` would refuse a file, without giving it to Keras.

    Raises:
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if bounded_zip.is_zip(path):
        yield from _archive_findings(path)
        return
    yield from hdf5.findings(path)
    with contextlib.suppress(OSError):  # damaged, which has been said
        yield from _configuration_findings(_text_in_hdf5(path))


def contents(path: Path) -> Iterator[tuple[str, str]]:
    """What can be read off a file without building the model: ``(what, in words)``.

    Raises:
        ValueError, OSError: as much of it is damaged.
    """
    if bounded_zip.is_zip(path):
        with bounded_zip.opened(path) as opened:
            if "metadata.json" in opened.namelist():
                written = _parsed(bounded_zip.read(opened, "metadata.json"))
                yield "written by", f"Keras {written.get('keras_version')}"
    else:
        yield "written by", "a Keras that writes HDF5"
    found = collections.Counter(keras_config.layers(_configuration(path)))
    types = ", ".join(f"{name} {count}" for name, count in sorted(found.items()))
    yield "layers", f"{found.total()}: {types}"


def _configuration(path: Path) -> Any:
    """The configuration as it stands in a file."""
    if not bounded_zip.is_zip(path):
        text = _text_in_hdf5(path)
        return None if text is None else _parsed(text)
    with bounded_zip.opened(path) as opened:
        return _parsed(bounded_zip.read(opened, "config.json"))


def load_weights(model: keras.Model, path: Path) -> None:
    """Gives a model the weights in a foreign `.weights.h5`, `.h5` or `.keras` file.

    Raises:
        FileNotFoundError: no such file.
        KerasFileError: as for `load`, or the weights do not fit the model.
    """
    with _copied(path) as copy:
        if copy.suffix == ".h5":
            with h5py.File(copy, "r") as file:
                old = "layer_names" in file.attrs or "model_weights" in file
            copy = copy.rename(copy.with_name("old.h5" if old else _WEIGHTS))
        _by_keras(path, lambda: model.load_weights(copy))


@contextlib.contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """A copy that has been looked at, in a folder of its own and named for what it is: what is checked is loaded.

    Its HDF5 is written anew: the library reads no stranger's file here (`hdf5_copy`).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with scratch.folder(snapshots.PREFIX) as folder:
        copy = Path(shutil.copyfile(path, Path(folder, "model")))
        try:
            yield _clean_archive(copy) if bounded_zip.is_zip(copy) else _clean_hdf5(copy)
        except (hdf5.Hdf5Error, bounded_zip.ZipError, declared_size.DeclaredSizeError) as error:
            raise KerasFileError(f"{path} is not opened: {error}.") from error


def _clean_hdf5(copy: Path) -> Path:
    clean = copy.with_suffix(".h5")
    hdf5_copy.write(copy, clean)
    return clean


def _clean_archive(copy: Path) -> Path:
    """The same members, the weights among them written anew.

    Raises:
        ZipError, Hdf5Error: the first of what is wrong with it.
    """
    for words in _archive_findings(copy, weights=False):
        raise bounded_zip.ZipError(words)
    with bounded_zip.opened(copy) as stranger, zipfile.ZipFile(copy.with_suffix(".keras"), "w") as clean:
        for member in stranger.infolist():
            content = b"" if member.is_dir() else _member(stranger, member)
            if member.filename == _WEIGHTS:
                weights = copy.with_name("weights")
                weights.write_bytes(content)
                clean.write(_clean_hdf5(weights), _WEIGHTS)
            else:
                clean.writestr(member.filename, content)
    return copy.with_suffix(".keras")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """What a member holds; the configuration in the words of Keras 3."""
    content = bounded_zip.read(archive, member)
    return _repaired(content).encode() if member.filename == "config.json" else content


def _held(copy: Path) -> int:
    """How many numbers a clean copy holds."""
    sizes: list[int] = []
    with h5py.File(copy if copy.suffix == ".h5" else copy.with_name("weights.h5"), "r") as file:
        file.visititems(lambda _, item: sizes.append(item.size or 0) if isinstance(item, h5py.Dataset) else None)
    return sum(sizes)


def _by_keras(path: Path, load: Callable[[], keras.Model]) -> keras.Model:
    try:
        return load()
    except Exception as error:  # Keras raises whatever a configuration that does not fit provokes in a layer
        raise KerasFileError(f"Keras cannot load {path}: {_reason(error)}") from error


def _built(path: Path, model: keras.Model) -> keras.Model:
    """The model, which knows its inputs.

    Raises:
        KerasFileError: it was saved before anybody said what it takes, and so before it had weights.
    """
    if not getattr(model, "inputs", None) and type(model).__name__ in keras_config.TRUSTED.get():
        return _by_keras(path, lambda: trusted.by_signature(model))
    if not getattr(model, "inputs", None):
        raise KerasFileError(
            f"{path} is not opened: {model.name!r} was never built and has no weights. Put a keras.Input in front of "
            "its layers, train it and save it again."
        )
    return model


def _reason(error: Exception) -> str:
    """What Keras says in one sentence: it puts pages of configuration in front of what an inner layer said."""
    words = " ".join(str(error).rpartition("Exception encountered:")[2].split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ..."


def _archive_findings(archive: Path, *, weights: bool = True) -> Iterator[str]:
    """Why an archive is not opened: it holds something else than what Keras writes, or not all of it is harmless.

    Args:
        archive: the file.
        weights: whether the HDF5 file in it is looked at here as well.
    """
    try:
        with bounded_zip.opened(archive) as opened:
            names, harmless = set(), True
            for member in opened.infolist():
                if words := _member_finding(member, names):
                    harmless = False
                    yield words
                names.add(member.filename)
            missing = {"config.json", _WEIGHTS} - names
            if missing:
                yield f"the archive holds no {min(missing)}"
            if "config.json" in names:
                configuration = keras2.repaired(_parsed(bounded_zip.read(opened, "config.json")))
                if isinstance(configuration, dict):  # Keras drops this one unread where a model is not compiled
                    configuration = {**configuration, "compile_config": None}
                yield from keras_config.findings(configuration)
            if weights and harmless and _WEIGHTS in names:
                yield from hdf5.findings(io.BytesIO(bounded_zip.read(opened, _WEIGHTS)))
    except ValueError as error:
        yield str(error)


def _member_finding(member: zipfile.ZipInfo, names: set[str]) -> str | None:
    name = member.filename
    if member.is_dir() and re.fullmatch(r"assets/(?:[^/\\]+/)*", name):
        return None
    if not _MEMBER.fullmatch(name) or "\0" in name or {"..", "."} & set(name.split("/")):
        return f"the archive holds {name!r}, which Keras does not write"
    if name in names:
        return f"the archive holds {name!r} twice"
    if member.flag_bits & 1 or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
        return f"{name!r} in the archive is encrypted, or no file"
    if bounded_zip.unpacks_too_far(member.file_size, held=member.compress_size):
        return (
            f"{name!r} unpacks from {member.compress_size:,} bytes to {member.file_size:,}: more than "
            f"{bounded_zip.RATIO} times"
        )
    return None


def _repaired(text: bytes | str) -> str:
    return json.dumps(keras2.repaired(_parsed(text)))


def _parsed(text: bytes | str) -> Any:
    try:
        return bounded_json.loads(text)
    except ValueError as error:
        raise KerasFileError(f"its configuration is no JSON: {error}") from error


def _text_in_hdf5(path: Path) -> bytes | str | None:
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    return text if isinstance(text, bytes | str) else None


def _configuration_findings(text: bytes | str | None) -> Iterator[str]:
    if text is None:
        yield "it holds weights and no model: build the model and take `load_weights`"
        return
    try:
        configuration = keras2.repaired(_parsed(text))
    except ValueError as error:
        yield str(error)
        return
    yield from keras_config.findings(configuration)
