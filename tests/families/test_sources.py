"""Every source of examples keeps the same promises."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import zipfile

import numpy as np
import pyarrow.parquet
import pytest
import soundfile
import tensorflow_datasets
from PIL import Image

import kerastl.data
from kerastl import types
from kerastl.data import splits
from kerastl.tasks.detection import Detection
from kerastl.tasks.single_label import SingleLabel

FOUND = sorted(
    member.name
    for member in pkgutil.iter_modules(kerastl.data.__path__)
    if hasattr(importlib.import_module(f"kerastl.data.{member.name}"), "load")
)

# What is one's own is there already.
FETCHED = [name for name in FOUND if hasattr(importlib.import_module(f"kerastl.data.{name}"), "fetch")]

# What is read from files that people look into says where each example was found.
WITH_ORIGINS = {
    "adult_census",
    "arrays",
    "bike_rentals",
    "image_folder",
    "movie_reviews",
    "table_csv",
    "text_csv",
    "unlabelled",
}
WITH_ORIGINS |= {"audio_folder", "spoken_words", "sentence_tasks", "tagged_texts", "unlabelled_texts"}
WITH_ORIGINS |= {"face_pictures", "mask_folder"}

# Nothing is asked of these before a model has answered them.
UNLABELLED = {"unlabelled", "unlabelled_texts"}

# Their columns and the scale of their labels are those of the training rows: there is no task before these are read.
TASK_OF_ROWS = {"adult_census", "bike_rentals", "table_csv"}


class KerastlFamily(tensorflow_datasets.core.GeneratorBasedBuilder):
    """A TFDS set small enough to be made here."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")

    def _info(self):
        features = tensorflow_datasets.features
        both = {"image": features.Image(shape=(4, 4, 1)), "label": features.ClassLabel(num_classes=3)}
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=features.FeaturesDict(both), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(range(600)), "test": self._generate_examples(range(600, 900))}

    def _generate_examples(self, numbers):
        for number in numbers:
            picture = np.zeros((4, 4, 1), np.uint8)
            picture[0, 0], picture[1, 1] = number % 256, number // 256
            yield number, {"image": picture, "label": number % 3}


@pytest.fixture(scope="session")
def required(tmp_path_factory):
    """What a source cannot do without, by its name."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(360):
        picture = np.zeros((4, 4), np.uint8)
        picture[0, 0], picture[1, 1] = number % 256, number // 256
        (folder / str(number % 3)).mkdir(exist_ok=True)
        Image.fromarray(picture).save(folder / str(number % 3) / f"{number}.png")
    sentences = folder / "sentences.csv"
    sentences.write_text("text,label\n" + "".join(f"sentence {number},{number % 3}\n" for number in range(360)))
    learned = {"sequence_length": 24, "vocabulary": None, "vocabulary_size": 500}
    table = folder / "table.csv"
    table.write_text("age,wage\n" + "".join(f"{number},{number * 7 % 360}\n" for number in range(360)))
    tasks = folder / "tasks.csv"
    tasks.write_text("text,a,b\n" + "".join(f"sentence {number},{number % 3},{number % 2}\n" for number in range(360)))
    recorded = tmp_path_factory.mktemp("recordings")
    for number in range(360):
        (recorded / str(number % 3)).mkdir(exist_ok=True)
        soundfile.write(recorded / str(number % 3) / f"{number}.wav", [0.5, number / 400], 16_000)
    arrays = folder / "arrays.npz"
    inputs = np.zeros((360, 4, 4), np.uint8)
    inputs[:, 0, 0], inputs[:, 1, 1] = np.arange(360) % 256, np.arange(360) // 256
    np.savez(arrays, x_train=inputs, y_train=np.arange(360) % 3)
    return {
        "arrays": {"path": arrays},
        "text_csv": {"path": sentences, **learned},
        "sentence_tasks": {"path": tasks, "label_columns": ["a", "b"], **learned},
        "unlabelled_texts": {"path": sentences, **learned},
        "movie_reviews": learned,
        "groceries": {"size": (32, 32)},
        "spoken_words": {"voices": 30},
        "audio_folder": {"path": recorded, "seconds": 0.01},
        "table_csv": {"path": table, "label_columns": ["wage"]},
        "tfds": {"name": "kerastl_family", "data_dir": str(tmp_path_factory.mktemp("tfds"))},
        "image_folder": {"path": folder, "size": (4, 4), "channels": 1},
        "face_pictures": {"size": 32, "views": 24},
        "digit_masks": {"size": 64, "train": 300, "test": 60},
        "mask_folder": {"path": masked(tmp_path_factory.mktemp("masked")), "size": 4},
        "unlabelled": {"path": arrays, "shapes": {"image": (4, 4, 1)}},
    }


def masked(folder):
    """Pictures of their own colours and masks of two classes."""
    for name in ("images", "masks"):
        (folder / name).mkdir()
    draw = np.random.default_rng(0)
    for number in range(360):
        picture = Image.fromarray(draw.integers(0, 256, (4, 4, 3)).astype("uint8"))
        picture.save(folder / "images" / f"{number}.png")
        Image.fromarray(np.eye(4, dtype="uint8") * (number % 2)).save(folder / "masks" / f"{number}.png")
    return folder


def _load(name: str, required: dict, **arguments) -> types.Dataset:
    module = importlib.import_module(f"kerastl.data.{name}")
    try:
        return module.load(**required.get(name, {}), **arguments)
    except FileNotFoundError as error:
        if name == "mnist":  # pip is everywhere, so this one has to load everywhere
            raise
        pytest.skip(str(error))


def test_how_many_were_found():
    print(f"{len(FOUND)} sources: {', '.join(FOUND)}")
    ones_own = {"arrays", "image_folder", "table_csv", "text_csv", "sentence_tasks", "unlabelled", "unlabelled_texts"}
    ones_own |= {"tagged_texts", "spoken_words", "audio_folder"}
    ones_own |= {"mask_folder", "digit_masks"}  # scenes are made of what mnist fetches
    fetched = {
        "adult_census",
        "bike_rentals",
        "cifar10",
        "face_pictures",
        "digit_scenes",
        "fashion_mnist",
        "groceries",
        "mnist",
        "movie_reviews",
        "tfds",
    }
    assert set(FOUND) == fetched | ones_own
    assert set(FOUND) - set(FETCHED) == ones_own


@pytest.mark.parametrize("name", FOUND)
def test_signature(name):
    module = importlib.import_module(f"kerastl.data.{name}")
    parameters = inspect.signature(module.load).parameters
    assert parameters["seed"].default == 0
    assert parameters["limit"].default is None
    assert "validation" in parameters
    positional = [one for one in parameters.values() if one.kind is not one.KEYWORD_ONLY]
    assert len(positional) <= 2
    of_one_shape = not {"size", "sequence_length", "words"} & set(parameters)  # the others have a task for each
    if not required_names(module) and of_one_shape and name not in TASK_OF_ROWS:
        assert isinstance(module.TASK, types.Task)


def required_names(module) -> list[str]:
    parameters = inspect.signature(module.load).parameters.values()
    return [one.name for one in parameters if one.default is one.empty]


@pytest.mark.parametrize("name", FOUND)
def test_three_splits_of_one_task_that_load_again(name, required):
    made = _load(name, required, seed=3, limit=200)
    parts = (made.train, made.validation, made.test)
    assert [split.name for split in parts] == ["train", "validation", "test"]
    for split in parts:
        assert split.task is made.task
        assert split.inputs.dtype == made.task.inputs.dtype
        made.task.inputs.check(split.inputs, where=split.name)
        assert split.inputs.shape[1:] == made.task.inputs.shape
        made.task.target.check(split.labels, where=split.name, rows=len(split))
        if name in UNLABELLED:
            assert split.labels.shape == (len(split), 0)
            order = split.inputs.reshape(len(split), -1).astype(int) @ np.arange(1, split.inputs[0].size + 1)
            assert (np.diff(order) < 0).any()  # shuffled: not in the order of the file
            continue
        targets = dict(made.task.target.parts) if isinstance(split.labels, dict) else {"": made.task.target}
        for task, target in targets.items():
            labels_are_shuffled(split.labels[task] if task else split.labels, target)
    assert len(made.train) == 200
    if name in WITH_ORIGINS:
        origins = [set(split.origins) for split in parts]
        assert [len(some) for some in origins] == [len(split) for split in parts], "each names one example"
        assert len(set.union(*origins)) == sum(map(len, origins))
    rows = [{row.tobytes() for row in split.inputs} for split in parts]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
    assert made.digest == splits.digest(*parts)
    assert made.source == name
    module = importlib.import_module(f"kerastl.data.{made.source}")
    again = module.load(**made.arguments)
    assert again.digest == made.digest
    assert again.task == made.task
    other = module.load(**{**made.arguments, "seed": 4})
    assert other.digest != made.digest


def labels_are_shuffled(labels, target):
    """Of the type that is said, and not sorted by class."""
    assert labels.dtype == target.label_dtype
    assert (np.diff(labels, axis=0) != 0).any()
    first, last = labels[: len(labels) // 2], labels[len(labels) // 2 :]
    if isinstance(target, Detection):
        having = target.strata(labels).sum(0)
        assert (having > 0).all()
    elif isinstance(target, SingleLabel):
        assert set(labels.tolist()) == set(range(target.outputs))
        assert abs(first.mean() - last.mean()) < target.outputs / 4
    else:
        assert abs(first.mean() - last.mean()) < labels.std()  # sorted they would be 1.7 of these apart


@pytest.mark.parametrize("name", FETCHED)
def test_fetch_leaves_something_that_can_be_read(name, required):
    _load(name, required, limit=30)
    module = importlib.import_module(f"kerastl.data.{name}")
    wanted = inspect.signature(module.fetch).parameters
    path = module.fetch(**{key: value for key, value in required.get(name, {}).items() if key in wanted})
    if path.suffix == ".jpg":
        assert Image.open(path).size > (1000, 1000)
    elif path.suffix == ".csv":
        assert len(path.read_text().splitlines()) > 30
    else:
        assert path.is_dir() or zipfile.is_zipfile(path) or pyarrow.parquet.ParquetFile(path).metadata.num_rows


@pytest.mark.parametrize("name", FOUND)
def test_impossible_splits_are_refused(name, required):
    for arguments in ({"validation": 0}, {"validation": 1.5}, {"limit": 1}):
        with pytest.raises(ValueError, match="Received"):
            _load(name, required, **arguments)
