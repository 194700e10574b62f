from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from kerastl.data import image_folder, pictures


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path_factory.mktemp("home")))


def plant(folder, names, *, each: int = 10, seed: int = 0):
    """Pictures of noise, a folder a class; what each was made of, by its path."""
    generator = np.random.default_rng(seed)
    planted = {}
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(each):
            path = folder / name / f"{index}.png"
            planted[path] = generator.integers(0, 256, (12, 10, 3)).astype(np.uint8)
            Image.fromarray(planted[path]).save(path)
    return planted


LOAD = {"size": (12, 10), "validation": 0.2, "test": 0.2}


def test_every_picture_is_there_once_with_its_class(tmp_path):
    planted = plant(tmp_path / "animals", ["1", "2", "10", "Äpfel", "zebra"])
    dataset = image_folder.load(tmp_path / "animals", **LOAD)
    assert dataset.task.name == "animals"
    assert dataset.task.class_names == ("1", "2", "10", "zebra", "Äpfel")  # by number, then by code point
    counts = [len(split) for split in (dataset.train, dataset.validation, dataset.test)]
    assert counts == [32, 8, 10]
    received = {}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.labels.tolist()) == set(range(5))
        for row, label in zip(split.inputs, split.labels, strict=True):
            received[row.tobytes()] = dataset.task.class_names[label]
    assert received == {pixels.tobytes(): path.parent.name for path, pixels in planted.items()}
    again = image_folder.load(**dataset.arguments)
    assert again.digest == dataset.digest
    assert image_folder.load(tmp_path / "animals", **LOAD, seed=1).digest != dataset.digest


def test_the_order_of_the_file_system_does_not_matter(tmp_path):
    planted = plant(tmp_path / "one" / "set", ["a", "b"])
    for path in sorted(planted, reverse=True):  # another order of creation
        copy = tmp_path / "two" / "set" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    digests = {image_folder.load(tmp_path / name / "set", **LOAD).digest for name in ("one", "two")}
    assert len(digests) == 1


def test_folders_of_splits_are_kept_apart(tmp_path):
    planted = {}
    for seed, split in enumerate(("training", "val", "test")):
        planted[split] = plant(tmp_path / split, ["a", "b"], each=4 + seed, seed=seed)
    dataset = image_folder.load(tmp_path, **LOAD)
    for split, name in ((dataset.train, "training"), (dataset.validation, "val"), (dataset.test, "test")):
        assert {row.tobytes() for row in split.inputs} == {pixels.tobytes() for pixels in planted[name].values()}
    assert dataset.overlaps["exact_duplicates"] == 0
    copied = next(iter(planted["training"]))
    shutil.copy(copied, tmp_path / "test" / copied.parent.name / "copied.png")
    assert image_folder.load(tmp_path, **LOAD).overlaps["exact_duplicates"] == 1
    (tmp_path / "stray").mkdir()
    with pytest.raises(ValueError, match="stray"):
        image_folder.load(tmp_path, **LOAD)


def test_all_unreadable_pictures_are_listed_at_once_or_left_out(tmp_path, capsys):
    plant(tmp_path, ["a", "b"])
    (tmp_path / "a" / "empty.jpg").write_bytes(b"")
    (tmp_path / "a" / "page.png").write_text("<!doctype html><p>404")
    whole = (tmp_path / "b" / "0.png").read_bytes()
    (tmp_path / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b" / "notes.txt").write_text("no picture, and not said to be one")
    with pytest.raises(ValueError, match="3 pictures") as caught:
        image_folder.load(tmp_path, **LOAD)
    for words in ("empty.jpg: an empty file", "page.png: a web page", "cut.png: unreadable"):
        assert words in str(caught.value)
    dataset = image_folder.load(tmp_path, **LOAD, policy="skip")
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 20
    assert "3 pictures" in capsys.readouterr().err
    with pytest.raises(ValueError, match="'fail' or 'skip'"):
        image_folder.load(tmp_path, **LOAD, policy="ignore")


def test_training_and_prediction_see_the_same_pixels(tmp_path):
    """Whatever the file's kind: the reader of `kerastl predict` is the one that training had."""
    plant(tmp_path, ["a", "b"], each=6)
    colour = np.random.default_rng(5).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    turned = Image.fromarray(colour)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a" / "turned.jpg", exif=exif.tobytes())
    turned.convert("CMYK").save(tmp_path / "a" / "print.jpg")
    turned.convert("L").save(tmp_path / "b" / "grey.png")
    turned.convert("RGBA").save(tmp_path / "b" / "see_through.webp", lossless=True)
    turned.convert("P").save(tmp_path / "b" / "palette.gif")
    dataset = image_folder.load(tmp_path, **LOAD)
    rows = {row.tobytes() for split in (dataset.train, dataset.validation, dataset.test) for row in split.inputs}
    for name in ("a/turned.jpg", "a/print.jpg", "b/grey.png", "b/see_through.webp", "b/palette.gif"):
        assert pictures.read(tmp_path / name, channels=3, size=(12, 10)).pixels.tobytes() in rows, name


def test_copies_are_left_out_and_contradictions_refused(tmp_path):
    planted = plant(tmp_path, ["a", "b"])
    first = next(iter(planted))
    shutil.copy(first, tmp_path / "a" / "copy.png")
    dataset = image_folder.load(tmp_path, **LOAD)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 20
    shutil.copy(first, tmp_path / "b" / "copy.png")
    with pytest.raises(ValueError, match=r"the same one in 'a' and 'b'"):
        image_folder.load(tmp_path, **LOAD)


def test_a_changed_class_is_refused_where_the_order_is_known(tmp_path):
    plant(tmp_path / "set", ["cat", "dog"])
    dataset = image_folder.load(tmp_path / "set", **LOAD)
    (tmp_path / "set" / "cat").rename(tmp_path / "set" / "kitten")
    with pytest.raises(ValueError, match=r"\['kitten'\].*\['cat'\]"):
        image_folder.load(**dataset.arguments)
    (tmp_path / "set" / "kitten").rename(tmp_path / "set" / "cat")
    turned = image_folder.load(**{**dataset.arguments, "class_names": ["dog", "cat"]})
    assert turned.task.class_names == ("dog", "cat")


@pytest.mark.parametrize("names", [[], ["alone"]])
def test_fewer_than_two_classes_are_refused(names, tmp_path):
    plant(tmp_path / "set", names)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="two at least"):
        image_folder.load(tmp_path / "set", **LOAD)


def test_an_empty_class_is_named(tmp_path):
    plant(tmp_path, ["a", "b"])
    (tmp_path / "void").mkdir()
    with pytest.raises(ValueError, match=r"pictures in train.*void"):
        image_folder.load(tmp_path, **LOAD)
    with pytest.raises(FileNotFoundError, match=r"no folder of pictures .*nowhere"):
        image_folder.load(tmp_path / "nowhere", **LOAD)


def test_natural_order_of_names():
    names = ["10", "9a", "9", "a10", "a9", "b", "", "10b", "010"]
    assert sorted(names, key=image_folder.natural) == ["", "9", "9a", "010", "10", "10b", "a9", "a10", "b"]
