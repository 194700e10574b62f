"""The front door: what `--data` names is loaded by its source, as that source itself would, and errors name flags."""

from __future__ import annotations

import dataclasses
import json
import types as modules
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import tensorflow_datasets
from PIL import Image

import kerastl
from kerastl.data import arrays, image_folder, loading, mnist, table_csv, text_csv
from kerastl.data.reading import PictureReading, TableReading, TextReading
from kerastl.tasks.multi_label import MultiLabel

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (80, 12, 10, 3)).astype(np.uint8)
FOLDS = ["train"] * 50 + ["val"] * 14 + ["test"] * 16
READING = PictureReading(validation=0.2, test=0.25)


@pytest.fixture
def folder(tmp_path, cache):
    """Pictures a class, and tables of them beside, their columns under names of one's own."""
    lines = ["file,kind,fold,both,red,round"]
    for index, picture in enumerate(PICTURES):
        path = tmp_path / "set" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
        flags = (index % 4 < 2, index % 3 == 0)
        both = "|".join(name for name, flag in zip(("red", "round"), flags, strict=True) if flag)
        row = (f"{'ab'[index % 2]}/{index}.png", "ab"[index % 2], FOLDS[index], both, *map(int, flags))
        lines.append(",".join(map(str, row)))
    (tmp_path / "set" / "set.csv").write_text("\n".join(lines))
    return tmp_path / "set"


def sizes(data):
    return [len(split) for split in (data.train, data.validation, data.test)]


# ------------------------------------------------------------------------------------------------------------- pictures


def test_a_folder_that_is_called_like_a_set_is_a_folder_as_a_path(tmp_path, monkeypatch):
    for kind in ("left", "right"):
        (tmp_path / "mnist" / kind).mkdir(parents=True)
        for number in range(12):
            place = np.zeros((8, 8), "uint8")
            place[number % 8, :: 1 + (kind == "left")] = 20 * number + 9
            Image.fromarray(place).save(tmp_path / "mnist" / kind / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    for data in (Path("./mnist"), Path("mnist"), "./mnist"):
        found = loading.pictures(data, size=(8, 8), channels=1)
        assert (found.source, found.task.target.names) == ("image_folder", ("left", "right"))


def test_pictures_of_a_folder_are_those_of_its_source(folder):
    data = loading.pictures(folder, size=(8, 6), reading=READING, seed=3)
    plain = image_folder.load(folder, size=(8, 6), validation=0.2, test=0.25, seed=3)
    assert (data.source, data.arguments, data.digest) == ("image_folder", plain.arguments, plain.digest)
    assert image_folder.load(**json.loads(json.dumps(dict(data.arguments)))).digest == data.digest
    grey = loading.pictures(str(folder), size=(8, 6), channels=1, reading=READING)
    assert grey.task.inputs.shape == (8, 6, 1)
    few = loading.pictures(folder, size=(8, 6), reading=PictureReading(max_train_examples=20))
    assert len(few.train) == 20


def test_classes_stand_in_the_order_that_is_said(folder, tmp_path):
    (tmp_path / "names.txt").write_text("b\na\n")
    reading = dataclasses.replace(READING, class_names=str(tmp_path / "names.txt"))
    found = loading.pictures(folder, size=(8, 8), reading=reading)
    assert found.task.target.names == ("b", "a")
    plain = loading.pictures(folder, size=(8, 8), reading=READING)
    np.testing.assert_array_equal(found.test.labels, 1 - plain.test.labels)
    assert loading.pictures(folder, size=(8, 8), class_names=["b", "a"], reading=READING).digest == found.digest
    with pytest.raises(ValueError, match=r"The classes have to be b, c\. Received: new ones \['a'\]"):
        loading.pictures(folder, size=(8, 8), class_names=["b", "c"], reading=READING)


def test_columns_of_a_table_go_by_their_names(folder):
    columns = {"path_column": "file", "split_column": "fold"}
    one = loading.pictures(folder / "set.csv", size=(8, 6), reading=PictureReading(label_column="kind", **columns))
    assert sizes(one) == [50, 14, 16]
    assert one.task.target.names == ("a", "b")
    separated = PictureReading(label_column="both", label_separator="|", **columns)
    flagged = PictureReading(label_columns=("red", "round"), **columns)
    found = [loading.pictures(folder / "set.csv", size=(8, 6), reading=reading) for reading in (separated, flagged)]
    assert all(isinstance(data.task.target, MultiLabel) for data in found)
    assert found[0].digest == found[1].digest
    with pytest.raises(ValueError, match=r"Wanted pictures of one class each\. .*set\.csv.*image_classifier"):
        loading.pictures(folder / "set.csv", size=(8, 6), reading=flagged, single_label=True)
    assert loading.pictures(folder, size=(8, 6), single_label=True).task.target.names == ("a", "b")


def test_arrays_come_as_they_are_and_say_so(folder, tmp_path):
    np.savez(tmp_path / "set.npz", x=PICTURES, y=np.arange(80) % 2)
    data = loading.pictures(tmp_path / "set.npz", size=(12, 10), reading=READING, seed=1)
    plain = arrays.load(tmp_path / "set.npz", validation=0.2, test=0.25, seed=1)
    assert (data.source, data.arguments, data.digest) == ("arrays", plain.arguments, plain.digest)
    with pytest.raises(
        ValueError, match=r"Wanted pictures of the shape \(8, 6, 3\)\. Received: \(12, 10, 3\) in --data"
    ):
        loading.pictures(tmp_path / "set.npz", size=(8, 6))
    assert loading.pictures(tmp_path / "set.npz", size=(8, 6), any_shape=True).task.inputs.shape == (12, 10, 3)


def test_parquet_files_are_brought_to_the_size(folder, tmp_path):
    contents = [(folder / "ab"[index % 2] / f"{index}.png").read_bytes() for index in range(80)]
    table = pyarrow.table(
        {"image": [*contents, b"<html>"], "kind": [*(["x", "y"] * 40), "x"], "fold": [*FOLDS, "test"]}
    )
    pyarrow.parquet.write_table(table, tmp_path / "set.parquet")
    columns = {"label_column": "kind", "split_column": "fold"}
    with pytest.raises(ValueError, match="policy='skip' leaves them out") as caught:
        loading.pictures(tmp_path / "set.parquet", size=(8, 6), reading=PictureReading(**columns))
    assert caught.value.__notes__ == ["As flags: --on-unreadable skip."]
    reading = PictureReading(on_unreadable="skip", **columns)
    data = loading.pictures(tmp_path / "set.parquet", size=(8, 6), reading=reading)
    assert (data.source, sizes(data), data.task.inputs.shape) == ("arrays", [50, 14, 16], (8, 6, 3))
    with pytest.raises(ValueError, match="Separated labels are read from tables"):  # they would be passed over
        loading.pictures(tmp_path / "set.parquet", size=(8, 6), reading=PictureReading(label_separator="|"))
    with pytest.raises(ValueError, match="has no column sort") as caught:
        loading.pictures(tmp_path / "set.parquet", size=(8, 6), reading=PictureReading(label_column="sort"))
    assert caught.value.__notes__ == ["As flags: --split-column NAME, --label-column NAME, --path-column NAME."]


class Fake(modules.ModuleType):
    """A source that says what it was asked."""

    def __init__(self, name, shape):
        super().__init__(name)
        self.shape, self.asked = shape, []

    def load(self, *arguments, **options):
        self.asked.append((arguments, options))
        task = kerastl.types.Task("fake", kerastl.inputs.image.Image(self.shape), mnist.TASK.target)
        return kerastl.types.Dataset(task, *([kerastl.types.Split("x", [], [], task)] * 3), "0", self.__name__)


def test_a_set_by_its_name_is_asked_for_what_it_takes(monkeypatch):
    groceries, cifar10 = Fake("groceries", (8, 6, 3)), Fake("cifar10", (32, 32, 3))
    monkeypatch.setattr(loading, "groceries", groceries)
    monkeypatch.setitem(loading._NAMED, "cifar10", cifar10)
    reading = PictureReading(validation=9, max_train_examples=30, on_unreadable="skip")
    for nothing in (None, "", "groceries"):
        assert loading.pictures(nothing, size=(8, 6), reading=reading, seed=5).source == "groceries"
    settings = {"validation": 9, "limit": 30, "seed": 5}
    assert groceries.asked == [((), {"size": (8, 6), **settings})] * 3
    assert loading.pictures("cifar10", size=(32, 32), reading=reading, seed=5).source == "cifar10"
    assert cifar10.asked == [((), settings)]
    with pytest.raises(ValueError, match=r"\(8, 6, 3\)\. Received: \(32, 32, 3\) in --data cifar10"):
        loading.pictures("cifar10", size=(8, 6))
    assert loading.pictures("cifar10", size=(8, 6), any_shape=True).source == "cifar10"


def test_the_smallest_named_set_is_loaded():
    reading = PictureReading(validation=100, max_train_examples=300)
    data = loading.pictures("mnist", size=(28, 28), channels=1, reading=reading)
    plain = mnist.load(validation=100, limit=300)
    assert (data.source, data.digest, data.task) == ("mnist", plain.digest, mnist.TASK)


class KerastlFrontDoor(tensorflow_datasets.core.GeneratorBasedBuilder):
    """A TFDS set of coloured pictures, small enough to be made here."""

    VERSION = tensorflow_datasets.core.Version("1.0.0")

    def _info(self):
        features = tensorflow_datasets.features
        pair = {"image": features.Image(shape=(12, 12, 3)), "label": features.ClassLabel(num_classes=2)}
        return tensorflow_datasets.core.DatasetInfo(
            builder=self, features=features.FeaturesDict(pair), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(40), "test": self._generate_examples(20)}

    def _generate_examples(self, count):
        for number in range(count):
            yield number, {"image": np.full((12, 12, 3), number, np.uint8), "label": number % 2}


def test_a_set_of_tfds_is_brought_to_the_size(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    data = loading.pictures("tfds:kerastl_front_door", size=(6, 4), reading=PictureReading(validation=8))
    assert (data.source, sizes(data), data.task.inputs.shape) == ("tfds", [32, 8, 20], (6, 4, 3))


@pytest.mark.parametrize("data", [None, "mnist", "tfds:anything"])
@pytest.mark.parametrize("changed", [{"label_column": "kind"}, {"label_separator": "|"}, {"path_column": "file"}])
def test_columns_of_a_set_without_any_are_refused_before_it_is_fetched(data, changed):
    (name, value) = next(iter(changed.items()))
    words = f"Columns are listed in a table.*Received: --{name.replace('_', '-')} {value!r} for the set"
    with pytest.raises(ValueError, match=words.replace("|", r"\|")):
        loading.pictures(data, size=(8, 6), reading=PictureReading(**changed))


def test_what_is_not_there_or_no_pictures_is_said(folder, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"--data fashon_mnist, where there is nothing\. Did you mean fashion_mn"
    ):
        loading.pictures("fashon_mnist", size=(28, 28))
    with pytest.raises(ValueError, match="listed in a table"):
        loading.pictures(folder, size=(8, 6), reading=PictureReading(label_separator="|"))
    with pytest.raises(ValueError, match=r"one column that may hold labels.*--label-column NAME"):
        loading.pictures(folder / "set.csv", size=(8, 6))


# ---------------------------------------------------------------------------------------------------------------- texts


@pytest.fixture
def sentences(tmp_path):
    rows = [f"a {'good' if n % 2 else 'bad'} film {n},{'good' if n % 2 else 'bad'},{FOLDS[n]}" for n in range(80)]
    (tmp_path / "films.csv").write_text("\n".join(["review,kind,fold", *rows]))
    return tmp_path / "films.csv"


WORDS = {"sequence_length": 8, "vocabulary": None, "vocabulary_size": 200}
COLUMNS = {"text_column": "review", "label_column": "kind"}


def test_texts_of_a_file_are_those_of_its_source(sentences):
    data = loading.texts(sentences, **WORDS, reading=TextReading(split_column="fold", **COLUMNS), seed=2)
    plain = text_csv.load(sentences, **WORDS, **COLUMNS, split_column="fold", validation=0.1, test=0.1, seed=2)
    assert (data.source, data.arguments, data.digest) == ("text_csv", plain.arguments, plain.digest)
    assert sizes(data) == [50, 14, 16]
    reading = TextReading(validation=10, test=20, max_train_examples=30, **COLUMNS)
    assert len(loading.texts(sentences, **WORDS, reading=reading).train) == 30
    toy = loading.texts(sentences, **WORDS, reading=TextReading(evaluate_on_train=True, **COLUMNS))
    assert sizes(toy) == [50, 50, 50], "the splits of the column are found"


def test_texts_that_cannot_be_used_are_said_with_the_flag(sentences, tmp_path):
    with sentences.open("a") as file:
        file.write("\n,good,test")
    with pytest.raises(ValueError, match="policy='skip' leaves them out") as caught:
        loading.texts(sentences, **WORDS, reading=TextReading(**COLUMNS))
    assert caught.value.__notes__ == ["As flags: --on-unreadable skip."]
    assert sizes(loading.texts(sentences, **WORDS, reading=TextReading(on_unreadable="skip", **COLUMNS))) == [
        50,
        14,
        16,
    ]
    with pytest.raises(ValueError, match=r"has no column 'topic'") as caught:
        loading.texts(sentences, **WORDS, reading=TextReading(label_column="topic"))
    assert "--text-column NAME" in caught.value.__notes__[0]
    (tmp_path / "two.csv").write_text("text,label\nI like it,good\nI do not,bad\n")
    with pytest.raises(ValueError, match="measure_on_train=True measures") as caught:
        loading.texts(tmp_path / "two.csv", **WORDS)
    assert caught.value.__notes__ == ["As flags: --evaluate-on-train."]
    with pytest.raises(FileNotFoundError, match="Did you mean movie_reviews"):
        loading.texts("movie_review", **WORDS)
    np.savez(tmp_path / "set.npz", x=np.zeros((4, 4)), y=np.zeros(4, int))
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "empty", r"no such file by its name; of a folder a class each text ends in \.txt"),
        (tmp_path / "set.npz", "arrays"),
    ):
        with pytest.raises(ValueError, match=rf"Wanted sentences: \.csv.*--data .*, which holds {words}\."):
            loading.texts(path, **WORDS)


def test_texts_of_several_classes_where_one_is_wanted(sentences, tmp_path):
    lines = [json.dumps({"text": f"film {n}", "label": ["a", "b"][: n % 3]}) for n in range(60)]
    (tmp_path / "sets.jsonl").write_text("\n".join(lines))
    assert isinstance(loading.texts(tmp_path / "sets.jsonl", **WORDS).task.target, MultiLabel)
    with pytest.raises(ValueError, match=r"Wanted texts of one class each\..*learns them without a teacher"):
        loading.texts(tmp_path / "sets.jsonl", **WORDS, single_label=True)
    loading.texts(sentences, **WORDS, reading=TextReading(**COLUMNS), single_label=True)


@pytest.mark.parametrize("nothing", [None, "", "movie_reviews"])
def test_the_movie_reviews_where_no_file_is_given(monkeypatch, nothing):
    fake = Fake("movie_reviews", (8, 8, 1))
    monkeypatch.setattr(loading, "movie_reviews", fake)
    reading = TextReading(validation=0.2, test=0.3, max_train_examples=7)
    assert loading.texts(nothing, **WORDS, reading=reading, seed=4).source == "movie_reviews"
    assert fake.asked == [((), {**WORDS, "validation": 0.2, "test": 0.3, "limit": 7, "seed": 4})]
    for changed in ({"text_column": "review"}, {"label_columns": ("a", "b")}, {"evaluate_on_train": True}):
        name = next(iter(changed)).replace("_", "-")
        with pytest.raises(ValueError, match=f"in a file of your own.*Received: --{name} .* movie_reviews"):
            loading.texts(nothing, **WORDS, reading=TextReading(**changed))
    assert len(fake.asked) == 1


# --------------------------------------------------------------------------------------------------------------- tables


def test_tables(tmp_path, monkeypatch):
    rows = [f"{n},{n * 7 % 50},{'xyz'[n % 3]}" for n in range(100)]
    (tmp_path / "set.csv").write_text("\n".join(["id,price,kind", *rows]))
    columns = {"label_columns": ("price",), "leave_out": ("id",), "unit": "EUR"}
    reading = TableReading(**columns, validation=10, max_train_examples=40)
    data = loading.tables(tmp_path / "set.csv", reading=reading, seed=2)
    settings = {"validation": 10, "test": 0.2, "limit": 40, "seed": 2}
    plain = table_csv.load(tmp_path / "set.csv", label_columns=["price"], leave_out=["id"], unit="EUR", **settings)
    assert (data.source, data.arguments, data.digest) == ("table_csv", plain.arguments, plain.digest)
    assert len(data.train) == 40
    with pytest.raises(FileNotFoundError, match=r"Wanted a table .*Did you mean bike_rentals"):
        loading.tables("bike_rental")
    fake = Fake("bike_rentals", (8, 8, 1))
    monkeypatch.setattr(loading, "bike_rentals", fake)
    for nothing in (None, "", "bike_rentals"):
        assert loading.tables(nothing, seed=3).source == "bike_rentals"
    assert fake.asked == [((), {"validation": 0.1, "test": 0.2, "limit": None, "seed": 3})] * 3
    with pytest.raises(ValueError, match=r"Received: --label-columns \('price',\), --unit 'EUR' for the set bike"):
        loading.tables(None, reading=TableReading(label_columns=("price",), unit="EUR"))


def test_pictures_without_labels_are_for_pretraining_and_stand_beside_others(tmp_path):
    (plain := tmp_path / "plain").mkdir()
    for index in range(40):
        Image.fromarray(np.full((10, 12, 3), index, np.uint8)).save(plain / f"{index}.png")
    np.savez(tmp_path / "more.npz", x=np.random.default_rng(0).integers(0, 256, (90, 8, 8, 3)).astype(np.uint8))
    reading = PictureReading(validation=5, test=6)
    alone = loading.pictures_of_any_kind(plain, size=(8, 8), reading=reading, seed=1)
    assert [len(split) for split in (alone.train, alone.validation, alone.test)] == [29, 5, 6]
    assert alone.source == "unlabelled"
    with pytest.raises(ValueError, match="which has no labels"):
        loading.pictures_of_any_kind(plain, size=(8, 8), reading=PictureReading(label_column="kind"))
    more = loading.pictures_beside(tmp_path / "more.npz", alone, seed=1)
    assert (more.train.inputs.shape, len(more.test)) == ((30, 8, 8, 3), 30)
    named = loading.pictures_of_any_kind("mnist", size=(8, 8), any_shape=True, single_label=True)
    assert named.source == "mnist"
    with pytest.raises(ValueError, match="as the model takes them"):
        loading.pictures_beside(tmp_path / "more.npz", named)
