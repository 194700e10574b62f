"""Any classification set of TensorFlow Datasets, by its name there."""

from __future__ import annotations

import difflib
import os
import re
import socket
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_datasets

from kerastl import types
from kerastl.data import splits
from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.system import bounded_json, downloads
from kerastl.tasks.single_label import SingleLabel


def fetch(name: str, *, data_dir: str | os.PathLike | None = None) -> Path:
    """Downloads and prepares a data set with TFDS, unless it is there.

    Args:
        name: its name in TFDS, for example ``"cifar10"`` or ``"emnist/letters"``.
        data_dir: where TFDS keeps its data sets; ``None`` is TFDS' own choice (``$TFDS_DATA_DIR`` or
            ``~/tensorflow_datasets``).

    Returns:
        The folder of the prepared data set.

    Raises:
        ValueError: TFDS knows no such data set; offers near names.
        FileNotFoundError: not prepared here and not to be had.
    """
    return Path(_prepared(name, data_dir).data_path)


def load(
    name: str,
    *,
    seed: int = 0,
    validation: int | float = 0.1,
    limit: int | None = None,
    size: tuple[int, int] | None = None,
    data_dir: str | os.PathLike | None = None,
) -> types.Dataset:
    """A TFDS classification set in three splits, in memory.

    The set's own test split tests. Where it has none with labels, its validation split does, and where it has neither,
    a fifth of train. Validation always comes out of train.

    Args:
        name: its name in TFDS.
        seed: decides which examples validate, and the order.
        validation: share (float) or number (int) of the training examples that validate.
        limit: keeps so many training examples, and the other splits in proportion, for a smoke run.
        size: ``(height, width)`` every picture is resized to (bilinear, antialiased); needed where pictures differ.
        data_dir: see `fetch`.

    Returns:
        Inputs in the type TFDS gives, pictures uint8 ``(examples, height, width, channels)``; labels int32.

    Raises:
        ValueError: unknown name (near names are offered), not a classification set, or pictures of different sizes.
        FileNotFoundError: not prepared here and not to be had.
    """
    builder = _prepared(name, data_dir)
    features, class_names = _supervised(builder)
    arrays = {}
    for split, origin in (("train", "train"), ("test", _test_split(builder))):
        if origin is not None:
            arrays[f"{split}_inputs"], arrays[f"{split}_labels"] = _read(builder, origin, features, size)
    if "test_labels" in arrays and (arrays["test_labels"] < 0).any():  # TFDS writes -1 where a label is kept secret
        del arrays["test_inputs"], arrays["test_labels"]
        if "validation" in builder.info.splits:
            arrays["test_inputs"], arrays["test_labels"] = _read(builder, "validation", features, size)
    if "test_labels" not in arrays:
        # Seed 0, not the caller's: the examples that test must stay the same whichever seed trains.
        train, test = splits.stratified(arrays["train_labels"], validation=0.2, seed=0)
        for part in ("inputs", "labels"):
            whole = arrays[f"train_{part}"]
            arrays[f"train_{part}"], arrays[f"test_{part}"] = whole[train], whole[test]
    shape, of_pixels = arrays["train_inputs"].shape[1:], arrays["train_inputs"].dtype == np.uint8
    kind = Image(shape) if len(shape) == 3 and of_pixels else Numbers(shape)
    task = types.Task(builder.info.name, kind, SingleLabel(class_names))
    arguments: dict[str, object] = {"name": name}
    if size is not None:
        arguments["size"] = tuple(size)
    if data_dir is not None:
        arguments["data_dir"] = str(data_dir) if "://" in str(data_dir) else os.path.abspath(data_dir)
    return splits.dataset(
        task, arrays, seed=seed, validation=validation, limit=limit, source="tfds", arguments=arguments
    )


def _prepared(name: str, data_dir: str | os.PathLike | None) -> tensorflow_datasets.core.DatasetBuilder:
    _check_features(name, data_dir)
    # a name space stands for code on the network, and behind a comma may stand any argument of a builder
    plain = re.fullmatch(r"[\w.]+(/[\w.-]+)?(:[\d.*]+)?", name) and "://" not in str(data_dir)
    if not plain:
        downloads.check_online(name)
    try:
        builder = tensorflow_datasets.builder(name, data_dir=data_dir)
    except tensorflow_datasets.core.DatasetNotFoundError as error:
        known = tensorflow_datasets.list_builders(with_community_datasets=False)
        near = difflib.get_close_matches(name.lower(), known, n=5, cutoff=0.6)
        raise ValueError(
            f"TensorFlow Datasets has no data set of that name. Received: {name!r}. "
            + (f"Near names: {', '.join(near)}." if near else f"It has {len(known)}, see `tfds.list_builders()`.")
        ) from error
    if not builder.is_prepared():
        downloads.check_online(name)
        try:
            _knock(builder)
            builder.download_and_prepare()
        except ImportError as error:
            raise ImportError(
                f"TFDS needs one more package for {name!r} ({error}). Run:\n"
                f"  python -m pip install {error.name or 'tensorflow-datasets[' + builder.name + ']'}"
            ) from error
        except Exception as error:  # TFDS lets through whatever its downloaders raise
            raise FileNotFoundError(
                f"TFDS data set {name!r} is not prepared in {builder.data_path}, and TFDS could not make it there "
                f"({type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else 'no message'}).\n"
                f"On a machine with a network, run:\n  kerastl fetch {name}\n"
                f"and, for a machine without, copy that folder there."
            ) from error
    return builder


def _check_features(name: str, data_dir: str | os.PathLike | None) -> None:
    """Refuses a prepared set whose description names code: TFDS would import whatever module it says.

    Raises:
        ValueError: a feature is none of TFDS' own.
    """
    if data_dir is None or "://" in str(data_dir):
        return
    for path in Path(data_dir, name.split(":")[0].split("/")[0]).rglob("features.json"):
        waiting = [bounded_json.read(path)]
        while waiting:
            one = waiting.pop()
            waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
            kinds = [one.get(key) for key in ("type", "pythonClassName")] if isinstance(one, dict) else []
            for kind in kinds:
                if isinstance(kind, str) and "." in kind and not kind.startswith("tensorflow_datasets.core.features."):
                    raise ValueError(f"Wanted features of TensorFlow Datasets' own. Received: {kind!r} in {path}.")


def _knock(builder: tensorflow_datasets.core.DatasetBuilder) -> None:
    """Raises OSError where the first host the data set comes from cannot be reached: TFDS would retry for minutes."""
    address = urllib.parse.urlsplit(next(iter(builder.url_infos or {}), ""))
    if address.scheme not in ("http", "https") or not address.hostname or urllib.request.getproxies():
        return
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=10).close()
    except OSError as error:
        raise OSError(f"{address.hostname} cannot be reached: {error}") from error


def _supervised(builder: tensorflow_datasets.core.DatasetBuilder) -> tuple[tuple[str, str], tuple[str, ...]]:
    """The names of the input and the label feature, and the class names."""
    info, features = builder.info, tensorflow_datasets.features
    keys = info.supervised_keys
    if not (keys and len(keys) == 2 and all(isinstance(key, str) for key in keys)):
        raise ValueError(f"Wanted a data set with one input and one label. Received: {info.name!r} with {keys}.")
    label, example = info.features[keys[1]], info.features[keys[0]]
    if not isinstance(label, features.ClassLabel) or not label.num_classes:
        raise ValueError(f"Wanted a label that is a class. Received: {info.name!r} with label {label}.")
    if not isinstance(example, (features.Image, features.Tensor)) or example.tf_dtype == tf.string:
        raise ValueError(f"Wanted inputs that are pictures or arrays. Received: {info.name!r} with input {example}.")
    if "train" not in info.splits:
        raise ValueError(f"Wanted a train split. Received: {info.name!r} with {sorted(info.splits)}.")
    return keys, tuple(str(class_name) for class_name in label.names)


def _test_split(builder: tensorflow_datasets.core.DatasetBuilder) -> str | None:
    return next((name for name in ("test", "validation") if name in builder.info.splits), None)


def _read(
    builder: tensorflow_datasets.core.DatasetBuilder,
    split: str,
    features: tuple[str, str],
    size: tuple[int, int] | None,
) -> tuple:
    """``(inputs, labels)`` of one split, in the order of its files."""
    examples = builder.as_dataset(split=split, shuffle_files=False)
    if size is not None:
        examples = examples.map(
            lambda example: {**example, features[0]: _resized(example[features[0]], size)},
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    inputs, labels = [], []
    for example in examples.as_numpy_iterator():
        inputs.append(example[features[0]])
        labels.append(example[features[1]])
        if inputs[-1].shape != inputs[0].shape:
            raise ValueError(
                f"Pictures of {builder.info.name!r} differ in size: give load(..., size=(height, width)). "
                f"Received: {inputs[0].shape} and {inputs[-1].shape}."
            )
    return np.stack(inputs), np.asarray(labels, np.int32)


def _resized(picture: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    resized = tf.image.resize(tf.cast(picture, tf.float32), size, antialias=True)
    if picture.dtype.is_integer:
        resized = tf.round(resized)
    return tf.saturate_cast(resized, picture.dtype)
