from __future__ import annotations

import json
import os
import shutil
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets

from kerastl.data import tfds

# Real builders, written to disk by TFDS itself and read back by name.


def _picture(number: int, *, side: int = 8) -> np.ndarray:
    return np.full((side, side, 3), number % 256, np.uint8)


class KerastlTiny(tensorflow_datasets.core.GeneratorBasedBuilder):
    """Train and test; sizes and labels as the test below counts them."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")
    SPLITS: ClassVar = {"train": range(0, 90), "test": range(90, 120)}
    SIDE = staticmethod(lambda number: 8)
    LABEL = staticmethod(lambda split, number: number % 3)

    def _info(self):
        features = tensorflow_datasets.features
        return tensorflow_datasets.core.DatasetInfo(
            builder=self,
            features=features.FeaturesDict(
                {
                    "image": features.Image(shape=(None, None, 3)),
                    "label": features.ClassLabel(names=["ant", "bee", "cow"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name, numbers) for name, numbers in self.SPLITS.items()}

    def _generate_examples(self, split, numbers):
        for number in numbers:
            picture = _picture(number, side=self.SIDE(number))
            yield number, {"image": picture, "label": self.LABEL(split, number)}


class KerastlOnlyTrain(KerastlTiny):
    SPLITS: ClassVar = {"train": range(0, 90)}


class KerastlSecretTest(KerastlTiny):
    SPLITS: ClassVar = {"train": range(0, 90), "validation": range(100, 130), "test": range(200, 220)}
    LABEL = staticmethod(lambda split, number: -1 if split == "test" else number % 3)


class KerastlManySizes(KerastlTiny):
    SIDE = staticmethod(lambda number: 6 + number % 4)


class KerastlUnsupervised(KerastlTiny):
    def _info(self):
        features = tensorflow_datasets.features
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=features.FeaturesDict({"image": features.Image()})
        )


def _declared(name: str, features: dict) -> type[KerastlTiny]:
    """A builder that says so of its features; no split of it is ever made."""

    def _info(self):
        of_features = tensorflow_datasets.features.FeaturesDict(features)
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=of_features, supervised_keys=("image", "label")
        )

    return type(name, (KerastlTiny,), {"_info": _info})


class KerastlFaraway(KerastlTiny):
    """Stands where nobody answers."""

    url_infos: ClassVar = {"http://127.0.0.1:9/pictures.zip": None}

    def _split_generators(self, dl_manager):
        raise AssertionError("would have retried for minutes")


class KerastlNeedsMore(KerastlTiny):
    def _split_generators(self, dl_manager):
        import no_such_package_for_kerastl  # noqa: F401  # pyright: ignore[reportMissingImports]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def _numbers(split) -> list[int]:
    return split.inputs[:, 0, 0, 0].tolist()


def test_loads_by_name_in_three_splits(data_dir):
    made = tfds.load("kerastl_tiny", validation=0.2, data_dir=data_dir)
    assert made.task.name == "kerastl_tiny"
    assert made.task.target.names == ("ant", "bee", "cow")
    assert made.task.inputs.shape == (8, 8, 3)
    assert made.train.inputs.dtype == np.uint8
    assert sorted(_numbers(made.train) + _numbers(made.validation)) == list(range(90))
    assert sorted(_numbers(made.test)) == list(range(90, 120))
    for split in (made.train, made.validation, made.test):
        assert split.labels.tolist() == [number % 3 for number in _numbers(split)]
        assert split.labels.dtype == np.int32
    assert np.bincount(made.validation.labels).tolist() == [6, 6, 6]
    again = tfds.load(**made.arguments)
    assert again.digest == made.digest
    assert tfds.load("kerastl_tiny", validation=0.2, seed=1, data_dir=data_dir).digest != made.digest
    limited = tfds.load("kerastl_tiny", validation=0.2, limit=9, data_dir=data_dir)
    assert np.bincount(limited.train.labels).tolist() == [3, 3, 3]


def test_fetch_names_the_prepared_folder(data_dir):
    path = tfds.fetch("kerastl_tiny", data_dir=data_dir)
    assert (path / "dataset_info.json").is_file()


def test_without_a_test_split_a_fifth_of_train_tests_whatever_the_seed(data_dir):
    first, second = (tfds.load("kerastl_only_train", seed=seed, data_dir=data_dir) for seed in (0, 1))
    assert len(first.test) == 18
    assert set(_numbers(first.test)) == set(_numbers(second.test))
    parts = [set(_numbers(split)) for split in (first.train, first.validation, first.test)]
    assert set.union(*parts) == set(range(90))
    assert sum(len(part) for part in parts) == 90


def test_secret_test_labels_are_not_used(data_dir):
    made = tfds.load("kerastl_secret_test", data_dir=data_dir)
    assert sorted(_numbers(made.test)) == list(range(100, 130))


def test_pictures_of_many_sizes_want_a_size(data_dir):
    with pytest.raises(ValueError, match=r"size=\(height, width\)"):
        tfds.load("kerastl_many_sizes", data_dir=data_dir)
    made = tfds.load("kerastl_many_sizes", size=(5, 7), data_dir=data_dir)
    assert made.train.inputs.shape[1:] == made.task.inputs.shape == (5, 7, 3)
    assert made.train.inputs.dtype == np.uint8
    assert made.train.labels.tolist() == [number % 3 for number in _numbers(made.train)]
    assert tfds.load(**made.arguments).digest == made.digest


def test_unknown_name_gets_near_names():
    with pytest.raises(ValueError, match=r"Received: 'fashion_mnits'\. Near names: fashion_mnist"):
        tfds.load("fashion_mnits")


def test_what_is_no_classification_set_is_refused(data_dir):
    builder = tensorflow_datasets.builder("kerastl_unsupervised", data_dir=data_dir)
    with pytest.raises(ValueError, match="one input and one label"):
        tfds._supervised(builder)
    kinds = tensorflow_datasets.features
    picture, label = kinds.Image(shape=(8, 8, 3)), kinds.ClassLabel(names=["ant", "bee"])
    box = kinds.Tensor(shape=(4,), dtype=np.float32)
    for name, features, words in (
        ("KerastlBoxes", {"image": picture, "label": box}, "a label that is a class"),
        ("KerastlText", {"image": kinds.Text(), "label": label}, "pictures or arrays"),
        ("KerastlFilm", {"image": kinds.Sequence(picture), "label": label}, "pictures or arrays"),
        ("KerastlUnmade", {"image": picture, "label": label}, "a train split"),
    ):
        with pytest.raises(ValueError, match=words):
            tfds._supervised(_declared(name, features)(data_dir=data_dir))


@pytest.mark.skipif(
    any(os.environ.get(name) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")),
    reason="behind a proxy nothing is known before it is asked",
)
def test_no_network_is_said_at_once(data_dir):
    with pytest.raises(FileNotFoundError) as raised:
        tfds.load("kerastl_faraway", data_dir=data_dir)
    message = str(raised.value)
    assert str(data_dir / "kerastl_faraway") in message
    assert "127.0.0.1 cannot be reached" in message
    assert "\n  kerastl fetch kerastl_faraway\n" in message


def test_missing_package_is_named_with_its_command(data_dir):
    with pytest.raises(ImportError, match="python -m pip install no_such_package_for_kerastl"):
        tfds.load("kerastl_needs_more", data_dir=data_dir)


def test_a_set_whose_description_names_code_is_refused_and_nothing_is_imported(data_dir, tmp_path, monkeypatch):
    tfds.load("kerastl_tiny", data_dir=data_dir)
    copy = tmp_path / "sets"
    shutil.copytree(data_dir / "kerastl_tiny", copy / "kerastl_copy")
    (file,) = copy.rglob("features.json")
    name, content = "kerastl_copy", json.loads(file.read_text())
    image, *_ = content["featuresDict"]["features"].values()
    image["pythonClassName"] = "probe.Feature"
    file.write_text(json.dumps(content))
    (tmp_path / "probe.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"features of TensorFlow Datasets' own\. Received: 'probe\.Feature'"):
        tfds.load(name, data_dir=copy)
    file.write_text("[" * 100_000)
    with pytest.raises(ValueError, match="nested too deep"):
        tfds.load(name, data_dir=copy)
