"""A model of one's own through `shrink_model`: opened, its range found, and what cannot be done said."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow_datasets
from keras import layers

from kerastl.data.reading import PictureReading
from kerastl.recipes import shrink_model

CLASSES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Arrays of bytes, and a model that was trained on them from 0 to 1, as most tutorials do."""
    folder = tmp_path_factory.mktemp("own")
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, 600)
    pictures = generator.integers(0, 50, (600, 12, 12, 1)) + 90 * labels[:, None, None, None] // (CLASSES - 1) + 50
    np.savez(folder / "data.npz", x=pictures.astype("uint8"), y=labels)
    keras.utils.set_random_seed(0)
    convolutions = [layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(32, 3, activation="relu")]
    body = keras.Sequential([keras.Input((12, 12, 1)), *convolutions, layers.GlobalAveragePooling2D()])
    image = keras.Input((12, 12, 1))
    model = keras.Model(image, layers.Dense(CLASSES, activation="softmax")(body(image)))
    model.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(pictures / 255.0, labels, epochs=8, batch_size=16, verbose=0)
    model.save(folder / "mine.keras")
    return folder


def settings(folder, **changes) -> shrink_model.Config:
    config = dataclasses.replace(
        shrink_model.Config.smoke(),
        model=str(folder / "mine.keras"),
        data=str(folder / "data.npz"),
        reading=PictureReading(),
    )
    without = dataclasses.replace(config.tune, epochs=0)
    accept = dataclasses.replace(config.accept, max_score_drop=0.02)
    return dataclasses.replace(config, **({"tune": without, "accept": accept, "rounding": 8} | changes))


def test_a_nested_model_of_another_range_becomes_a_ladder_of_files(folder, tmp_path, capfd):
    result = shrink_model.run(settings(folder), tmp_path / "run")
    said = capfd.readouterr().out
    assert "mine.keras answers" in said
    assert "it gets 0..1." in said
    rows = {row["name"]: row for row in result["variants"]}
    wanted = {
        "float32",
        "float16",
        "dynamic_int8",
        "weight_only_int8",
        "static_int8",
        "int4_weights",
        "mixed_precision",
    }
    assert set(rows) == wanted
    assert result["skipped"] == {}
    assert rows["float32"]["validation_score"] > 0.95
    assert rows["static_int8"]["input"]["dtype"] == "uint8"
    assert rows[result["chosen"]]["bytes"] == min(rows[name]["bytes"] for name in result["frontier"])
    assert json.loads((tmp_path / "run" / "report.json").read_text())["frontier"] == result["frontier"]


def test_channels_go_from_ones_own_model(folder, tmp_path):
    tiny = dataclasses.replace(shrink_model.Config.smoke().tune, epochs=1, batch_size=16)
    accept = dataclasses.replace(shrink_model.Config.smoke().accept, max_score_drop=0.02)
    result = shrink_model.run(settings(folder, tune=tiny, keep_ratios=(0.5, 0.001), accept=accept), tmp_path / "run")
    rows = {row["name"]: row for row in result["variants"]}
    assert rows["channels_50_float32"]["bytes"] < rows["float32"]["bytes"]
    assert rows["channels_50_float32"]["parameters"] < 0.7 * rows["float32"]["parameters"]
    assert rows["pruned_float32"]["sparsity"] > 0.5
    assert rows["clustered_float32"]["gzip_bytes"] < 0.6 * rows["float32"]["gzip_bytes"]
    assert set(result["skipped"]) == {"channels_0"}, "so few multiply-adds cannot be reached, and the rest goes on"
    assert "Received" in result["skipped"]["channels_0"]


def test_what_is_no_match_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nothing\.keras"):
        shrink_model.run(settings(folder, model=str(folder / "nothing.keras")), tmp_path / "nothing")
    generator = np.random.default_rng(1)
    np.savez(tmp_path / "more.npz", x=generator.integers(0, 256, (90, 12, 12, 1), np.uint8), y=np.arange(90) % 5)
    with pytest.raises(ValueError, match=r"as many classes\. Received: .*mine\.keras, from .* has .* 5 classes"):
        shrink_model.run(settings(folder, data=str(tmp_path / "more.npz")), tmp_path / "more")
    held = np.load(folder / "data.npz")
    np.savez(tmp_path / "moved.npz", x=held["x"], y=(held["y"] + 1) % CLASSES)
    with pytest.raises(ValueError, match=r"in the order of its answers: 0, 1, 2\. Received: .*mine\.keras"):
        shrink_model.run(settings(folder, data=str(tmp_path / "moved.npz")), tmp_path / "moved")


class KerastlBrightness(tensorflow_datasets.core.GeneratorBasedBuilder):
    """The same three classes in colour and twice as large."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")

    def _info(self):
        features = tensorflow_datasets.features
        pair = {"image": features.Image(shape=(24, 24, 3)), "label": features.ClassLabel(num_classes=CLASSES)}
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=features.FeaturesDict(pair), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(90), "test": self._generate_examples(30)}

    def _generate_examples(self, count):
        for number in range(count):
            picture = np.full((24, 24, 3), 60 + 60 * (number % CLASSES), np.uint8)
            yield number, {"image": picture, "label": number % CLASSES}


def test_a_set_of_tfds_comes_at_the_models_size(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    image = keras.Input((12, 12, 3))
    keras.Model(image, layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(image))).save(tmp_path / "colour.keras")
    data = shrink_model.load(settings(folder, model=str(tmp_path / "colour.keras"), data="tfds:kerastl_brightness"))
    assert data.task.inputs.shape == (12, 12, 3)
    assert len(data.train) + len(data.validation) == 90
    np.testing.assert_array_equal(data.test.inputs[:, 6, 6, 0], 60 + 60 * data.test.labels)


def test_a_model_of_two_classes_need_not_be_perfect(tmp_path):
    """And one that knows them the other way round is still refused."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 600)
    pictures = (60 + 120 * labels[:, None, None, None] + generator.integers(0, 50, (600, 12, 12, 1))).astype(np.uint8)
    image, dense = keras.Input((12, 12, 1)), layers.Dense(2, activation="softmax")
    model = keras.Model(image, dense(layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(image))))
    dense.set_weights([np.array([[-9.0, 9.0]]), np.array([5.2, -5.2])])  # from 147 on it is the second
    model.save(tmp_path / "mine.keras")
    wrong = generator.random(600) < 0.1
    for name, given in (("set", np.where(wrong, 1 - labels, labels)), ("moved", 1 - labels)):
        np.savez(tmp_path / f"{name}.npz", x=pictures, y=given)
    config = shrink_model.Config(
        model=str(tmp_path / "mine.keras"), data=str(tmp_path / "set.npz"), reading=PictureReading(validation=200)
    )
    workspace = SimpleNamespace(stage="opened")
    made = shrink_model.load_model(config, shrink_model.load(config), workspace)
    assert made.model.output_shape == (None, 2)
    config = dataclasses.replace(config, data=str(tmp_path / "moved.npz"))
    with pytest.raises(ValueError, match="in the order of its answers: 0, 1"):
        shrink_model.load_model(config, shrink_model.load(config), workspace)


def test_pictures_of_several_classes_are_not_its_own(tmp_path):
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (200, 28, 28, 1)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", x=pictures, y=generator.integers(0, 2, (200, 3)).astype(np.uint8))
    with pytest.raises(ValueError, match="Wanted pictures of one class each"):
        shrink_model.load(shrink_model.Config(data=str(tmp_path / "set.npz")))
