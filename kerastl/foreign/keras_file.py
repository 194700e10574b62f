"""Keras models of strangers, `.keras` and `.h5`: looked at whole before Keras sees them, and loaded as a copy.

Keras' own safe mode is on as well, but stands second: what it refuses has changed with every release, and it does not
look at files of the older format as closely. Nothing here reaches tf_keras, which runs a Lambda's code on loading.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

from kerastl.foreign import hdf5, keras_config

_SMALL, _RATIO = 10_000_000, 200
_WEIGHTS = "model.weights.h5"
# What Keras writes; the only assets that the layers on the list have are vocabularies.
_MEMBER = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets/(?:[^/\\]+/)*[^/\\]+\.txt")


class KerasFileError(ValueError):
    """A Keras file that is not opened, and why."""


def load(path: Path) -> keras.Model:
    """The model in a foreign `.keras` or `.h5` file, not compiled.

    Raises:
        FileNotFoundError: no such file.
        KerasFileError: neither format, or damaged; an archive with other members than Keras writes, or that unpacks
            to far more than it is; a class or function that is not on the list (`keras_config.ALLOWED`); the name of
            a file or an address in the configuration; links, references, objects or other files' bytes among the
            weights; or what Keras itself refuses.
    """
    with _copied(path) as copy:
        if copy.suffix == ".h5":
            _inspect_configuration(_text_in_hdf5(copy), path)
        return _by_keras(path, lambda: keras.saving.load_model(copy, compile=False, safe_mode=True))


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
    """A copy that has been looked at, in a folder of its own and named for what it is: what is checked is loaded."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with tempfile.TemporaryDirectory(prefix="kerastl-") as folder:
        copy = Path(shutil.copyfile(path, Path(folder, "model")))
        try:
            if zipfile.is_zipfile(copy):
                copy = copy.rename(copy.with_suffix(".keras"))
                _inspect_archive(copy, Path(folder, "weights"))
            else:
                copy = copy.rename(copy.with_suffix(".h5"))
                hdf5.inspect(copy)
        except (ValueError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
            raise KerasFileError(f"{path} is not opened: {error}.") from error
        yield copy


def _by_keras(path: Path, load: Any) -> Any:
    try:
        return load()
    except Exception as error:  # Keras raises whatever a configuration that does not fit provokes in a layer
        raise KerasFileError(f"Keras cannot load {path}: {error}") from error


def _inspect_archive(archive: Path, weights: Path) -> None:
    """Raises ValueError unless an archive holds just what Keras writes and all of it is harmless."""
    with zipfile.ZipFile(archive) as opened:
        names = set()
        for member in opened.infolist():
            name = member.filename
            if member.is_dir() and re.fullmatch(r"assets/(?:[^/\\]+/)*", name):
                continue
            if not _MEMBER.fullmatch(name) or "\0" in name or {"..", "."} & set(name.split("/")):
                raise KerasFileError(f"the archive holds {name!r}, which Keras does not write")
            if name in names:
                raise KerasFileError(f"the archive holds {name!r} twice")
            if member.flag_bits & 1 or stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG):
                raise KerasFileError(f"{name!r} in the archive is encrypted, or no file")
            if member.file_size > _SMALL and member.file_size > _RATIO * max(member.compress_size, 1):
                raise KerasFileError(
                    f"{name!r} unpacks from {member.compress_size:,} bytes to {member.file_size:,}: more than "
                    f"{_RATIO} times"
                )
            names.add(name)
        missing = {"config.json", _WEIGHTS} - names
        if missing:
            raise KerasFileError(f"the archive holds no {min(missing)}")
        configuration = _parsed(opened.read("config.json"))
        if isinstance(configuration, dict):  # Keras drops this one unread where a model is not compiled
            configuration = {**configuration, "compile_config": None}
        keras_config.inspect(configuration)
        with opened.open(_WEIGHTS) as source, weights.open("xb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    hdf5.inspect(weights)


def _parsed(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KerasFileError(f"its configuration is no JSON: {error}") from error


def _text_in_hdf5(path: Path) -> bytes | str | None:
    with h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
    return text if isinstance(text, bytes | str) else None


def _inspect_configuration(text: bytes | str | None, path: Path) -> None:
    if text is None:
        raise KerasFileError(f"{path} holds weights and no model: build the model and take `load_weights`.")
    try:
        keras_config.inspect(_parsed(text))
    except ValueError as error:
        raise KerasFileError(f"{path} is not opened: {error}.") from error
