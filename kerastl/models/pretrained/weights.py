"""Weights put into a model by name, every one of them accounted for."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import h5py
import keras
import numpy as np

from kerastl.untrusted import hdf5, keras_file


class WeightsError(ValueError):
    """Weights that do not fit their model, each named."""


@dataclasses.dataclass(frozen=True)
class WeightReport:
    """What became of every weight, of the model and of the source.

    Attributes:
        source: where the weights come from, in words.
        loaded: weights that the model got, ``"layer/weight"``.
        left_out: weights of the source that belong to a head which is not built.
        missing: weights of the model that the source does not have.
        unexpected: weights of the source that the model does not have.
        mismatched: name, shape in the model, shape in the source.
        not_finite: weights of the source that hold NaN or infinity.
    """

    source: str
    loaded: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()
    not_finite: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises `WeightsError`, naming each weight that is not where it belongs."""
        shapes = [f"{name} is {theirs} in the file and {ours} in the model" for name, ours, theirs in self.mismatched]
        wrong = [
            f"{words}: {_listed(names)}"
            for words, names in (
                ("missing from the file", self.missing),
                ("unknown to the model", self.unexpected),
                ("of another shape", shapes),
                ("with NaN or infinity", self.not_finite),
            )
            if names
        ]
        if wrong:
            raise WeightsError(
                f"Wanted one sound array for every weight of the model. Received: {self.source}, with weights "
                f"{'; '.join(wrong)}. {len(self.loaded)} would fit."
            )


def fill(
    model: keras.Model, arrays: Mapping[str, np.ndarray], *, source: str, left_out: Collection[str] = ()
) -> WeightReport:
    """Gives every weight of a flat model its array; all or none.

    Args:
        model: a built functional model whose layers have no layers inside.
        arrays: ``"layer/weight"`` -> array of the weight's shape.
        source: where the arrays come from, in words, for errors and the accounting.
        left_out: layers of the source that the model rightly does not have.

    Raises:
        WeightsError: naming every weight that is missing, unexpected, of another shape or not finite. The model is
            left as it was.
    """
    weights = {f"{layer.name}/{weight.name}": weight for layer in model.layers for weight in layer.weights}
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    outside = [name for name in arrays if name not in weights]
    known = {name: array for name, array in arrays.items() if name in weights}
    mismatched = [(name, shapes[name], a.shape) for name, a in known.items() if a.shape != shapes[name]]
    not_finite = [name for name, array in known.items() if not np.all(np.isfinite(array))]
    wrong = {*(name for name, _, _ in mismatched), *not_finite}
    account = WeightReport(
        source,
        loaded=tuple(name for name in weights if name in known and name not in wrong),
        left_out=tuple(name for name in outside if name.partition("/")[0] in left_out),
        missing=tuple(name for name in weights if name not in known),
        unexpected=tuple(name for name in outside if name.partition("/")[0] not in left_out),
        mismatched=tuple(mismatched),
        not_finite=tuple(not_finite),
    )
    account.check()
    for name, weight in weights.items():
        weight.assign(arrays[name])
    return account


def load_file(model: keras.Model, path: Path, *, source: str) -> WeightReport:
    """Gives a model the weights in a file that Keras wrote, `.weights.h5`, `.h5` or `.keras`.

    Keras' own loading leaves some weights as they were, with a warning, where it finds none for them. So they are NaN
    before, and what is NaN afterwards was not loaded.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not opened (see `untrusted.keras_file.load_weights`).
        WeightsError: naming the weights that the file did not bring.
    """
    for weight in model.weights:
        weight.assign(np.full(weight.shape, np.nan, "float32"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping nested container")
        keras_file.load_weights(model, path)
    return account(model, source=source)


def account(model: keras.Model, *, source: str) -> WeightReport:
    """What became of the weights of a model that somebody else has loaded, all of them or none.

    Raises:
        WeightsError: naming weights that are NaN throughout, as missing, and those that hold NaN or infinity.
    """
    missing, not_finite, loaded = [], [], []
    for weight in model.weights:
        array = np.asarray(weight.numpy(), "float32")
        sound = bool(np.all(np.isfinite(array)))
        (loaded if sound else missing if np.all(np.isnan(array)) else not_finite).append(weight.path)
    found = WeightReport(source, tuple(loaded), missing=tuple(missing), not_finite=tuple(not_finite))
    found.check()
    return found


def read_hdf5(path: Path) -> dict[str, np.ndarray]:
    """The arrays of layers in an HDF5 file as Keras wrote them before version 3, ``"layer/weight"`` -> array.

    Only data sets are read: no configuration, and with it no code, that a file may hold.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no HDF5 file, or one that does not hold all its numbers itself (see `untrusted.hdf5.inspect`).
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        hdf5.inspect(path)
    except ValueError as error:
        raise WeightsError(f"{path} is not opened: {error}.") from error
    arrays = {}

    def take(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            parts = name.split("/")
            # What a depthwise layer calls its kernel has changed.
            weight = parts[-1].partition(":")[0].replace("depthwise_kernel", "kernel")
            arrays[f"{parts[0]}/{weight}"] = item[()]

    with h5py.File(path, "r") as file:
        file.get("model_weights", file).visititems(take)
    return arrays


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
