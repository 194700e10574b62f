from __future__ import annotations

import os
import pickle

import h5py
import keras
import numpy as np
import pytest

from kerastl.models.pretrained import weights


@pytest.fixture
def model() -> keras.Model:
    image = keras.Input((4, 4, 3), name="image")
    x = keras.layers.Conv2D(2, 3, name="conv")(image)
    return keras.Model(image, keras.layers.Dense(5, name="dense")(keras.layers.Flatten()(x)))


@pytest.fixture
def arrays(model) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    names = ("conv/kernel", "conv/bias", "dense/kernel", "dense/bias")
    return {
        name: random.normal(size=weight.shape).astype("float32")
        for name, weight in zip(names, model.weights, strict=True)
    }


def test_every_weight_gets_its_array(model, arrays):
    arrays["head/kernel"] = np.zeros(3, "float32")
    shuffled = dict(reversed(arrays.items()))
    account = weights.fill(model, shuffled, source="a test", left_out=("head",))
    for name, weight in zip(arrays, model.get_weights(), strict=False):
        np.testing.assert_array_equal(weight, arrays[name], err_msg=name)
    assert account.loaded == ("conv/kernel", "conv/bias", "dense/kernel", "dense/bias")
    assert account.left_out == ("head/kernel",)
    assert account.missing == account.unexpected == account.mismatched == account.not_finite == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv/bias": None}, "missing from the file: conv/bias. 3 would fit"),
        ({"conv/gamma": np.zeros(2)}, "unknown to the model: conv/gamma"),
        ({"dense/kernel": np.zeros((8, 4))}, r"dense/kernel is \(8, 4\) in the file and \(8, 5\) in the model"),
        ({"dense/bias": np.full(5, np.nan)}, "with NaN or infinity: dense/bias"),
        ({"conv/bias": None, "other/bias": np.zeros(2)}, "missing from the file: conv/bias; unknown to the model: oth"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_changed(model, arrays, change, words):
    before = model.get_weights()
    arrays = {name: value for name, value in {**arrays, **change}.items() if value is not None}
    with pytest.raises(weights.WeightsError, match=words):
        weights.fill(model, arrays, source="a test")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_many_names_are_counted(model):
    arrays = {f"layer{index}/kernel": np.zeros(1) for index in range(20)}
    with pytest.raises(weights.WeightsError, match=r"layer7/kernel and 12 more\. 0 would fit"):
        weights.fill(model, arrays, source="a test")


def test_hdf5_of_older_keras(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file["model_weights/deep/deep/depthwise_kernel:0"] = np.arange(3.0)
        file["model_weights/norm/norm/gamma:0"] = np.ones(2)
        file["optimizer_weights/training/Adam/norm/gamma/m:0"] = np.zeros(2)
    arrays = weights.read_hdf5(tmp_path / "old.h5")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "deep/kernel": [0, 1, 2],
        "norm/gamma": [1, 1],
    }
    with h5py.File(tmp_path / "weights.h5", "w") as file:  # `save_weights` has no group around them
        file["norm/norm/gamma:0"] = np.ones(2)
    assert list(weights.read_hdf5(tmp_path / "weights.h5")) == ["norm/gamma"]


def test_what_keras_passes_over_is_found_missing(model, tmp_path, monkeypatch):
    """Its loading warns of some weights that it did not find, and leaves them as they were."""
    model.save_weights(tmp_path / "sound.weights.h5")
    wanted = model.get_weights()
    account = weights.load_file(model, tmp_path / "sound.weights.h5", source="a test")
    assert len(account.loaded) == 4
    for old, new in zip(wanted, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    monkeypatch.setattr(model.get_layer("dense"), "load_own_variables", lambda store: None)
    with pytest.raises(weights.WeightsError, match=r"from the file: dense/kernel, dense/bias\. 2 would fit"):
        weights.load_file(model, tmp_path / "sound.weights.h5", source="a test")


def test_hostile_files_are_not_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.h5"):
        weights.read_hdf5(tmp_path / "none.h5")
    (tmp_path / "pickle.h5").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(weights.WeightsError, match="no HDF5 file"):
        weights.read_hdf5(tmp_path / "pickle.h5")
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["a/kernel:0"] = np.zeros(2)
        file["b"] = h5py.ExternalLink(os.fspath(tmp_path / "secret.h5"), "/")
    with pytest.raises(weights.WeightsError, match=r"a link to .*secret\.h5"):
        weights.read_hdf5(tmp_path / "link.h5")
