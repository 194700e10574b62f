from __future__ import annotations

import csv
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from kerastl.data import class_order, image_folder, splits, streamed, unpack
from kerastl.inputs import pictures
from kerastl.system import downloads
from kerastl.tasks.multi_label import MultiLabel


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
    assert dataset.task.target.names == ("1", "2", "10", "zebra", "Äpfel")  # by number, then by code point
    counts = [len(split) for split in (dataset.train, dataset.validation, dataset.test)]
    assert counts == [32, 8, 10]
    received = {}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.labels.tolist()) == set(range(5))
        for row, label in zip(split.inputs, split.labels, strict=True):
            received[row.tobytes()] = dataset.task.target.names[label]
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


def test_folders_of_splits_are_kept_apart(tmp_path, capsys):
    planted = {}
    for seed, split in enumerate(("training", "val", "test")):
        planted[split] = plant(tmp_path / split, ["a", "b"], each=4 + seed, seed=seed)
    dataset = image_folder.load(tmp_path, **LOAD)
    for split, name in ((dataset.train, "training"), (dataset.validation, "val"), (dataset.test, "test")):
        assert {row.tobytes() for row in split.inputs} == {pixels.tobytes() for pixels in planted[name].values()}
    assert dataset.leakage["exact_duplicates"] == 0
    copied = next(iter(planted["training"]))
    shutil.copy(copied, tmp_path / "test" / copied.parent.name / "copied.png")
    assert image_folder.load(tmp_path, **LOAD).leakage["exact_duplicates"] == 1
    plant(tmp_path / "stray", ["a"], each=3)
    capsys.readouterr()
    assert len(image_folder.load(tmp_path, **LOAD).train) == 8
    assert "stray is left out: 3 files whose name is of no split" in capsys.readouterr().err


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


@pytest.mark.parametrize("more", [{}, {"in_memory": 0}, {"in_memory": 0, "cache_bytes": 0}])
def test_training_and_prediction_see_the_same_pixels(tmp_path, more):
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
    turned.resize((300, 200)).save(tmp_path / "a" / "large.jpg", exif=exif.tobytes())
    dataset = image_folder.load(tmp_path, **LOAD, **more)
    rows = {row.tobytes() for split in (dataset.train, dataset.validation, dataset.test) for row in split.inputs}
    for name in ("a/turned.jpg", "a/large.jpg", "a/print.jpg", "b/grey.png", "b/see_through.webp", "b/palette.gif"):
        assert pictures.read(tmp_path / name, channels=3, size=(12, 10)).pixels.tobytes() in rows, name
        assert dataset.task.inputs.read(str(tmp_path / name)).tobytes() in rows, name


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
    assert turned.task.target.names == ("dog", "cat")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], r"no class, in .*set\. No file in it is a picture by its name"),
        (["a.png"], "A folder is a class, and the picture in it lies in none: give each class a folder of its own"),
        (["a.png", "b.png"], "A folder is a class, and all 2 pictures in it lie in none: give each class a folder"),
        (["cat/a.png"], "one class only, 'cat': .* A folder is a class. Where a table names each picture"),
    ],
)
def test_where_pictures_lie_in_no_classes_it_says_what_to_do(files, words, tmp_path):
    for name in files:
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=words):
        image_folder.load(tmp_path / "set", size=(8, 8))


@pytest.mark.parametrize("names", [[], ["alone"]])
def test_fewer_than_two_classes_are_refused(names, tmp_path):
    plant(tmp_path / "set", names)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="two classes at least"):
        image_folder.load(tmp_path / "set", **LOAD)


def test_an_empty_class_is_named(tmp_path):
    plant(tmp_path, ["a", "b"])
    (tmp_path / "void").mkdir()
    with pytest.raises(ValueError, match=r"none of 'void' in train"):
        image_folder.load(tmp_path, **LOAD)
    with pytest.raises(FileNotFoundError, match=r"no folder of pictures .*nowhere"):
        image_folder.load(tmp_path / "nowhere", **LOAD)


def tabled(folder, rows, *, columns=("path", "label"), name="set.csv"):
    with open(folder / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder / name


def contents(dataset):
    """Split -> bytes of its pictures -> class."""
    return {
        split.name: {
            row.tobytes(): dataset.task.target.names[label]
            for row, label in zip(split.inputs, split.labels, strict=True)
        }
        for split in (dataset.train, dataset.validation, dataset.test)
    }


STREAMED = {"in_memory": 0}


def test_a_table_is_the_folder_it_lists(tmp_path):
    planted = plant(tmp_path, ["a", "b", "10"])
    rows = [(path.relative_to(tmp_path), path.parent.name) for path in planted]
    table = tabled(tmp_path, sorted(rows, key=lambda row: class_order.natural(row[1])))
    one, other = image_folder.load(tmp_path, **LOAD), image_folder.load(table, **LOAD)
    assert other.task.target.names == one.task.target.names == ("10", "a", "b")
    assert contents(other) == contents(one)
    assert other.task.name == "set"
    assert image_folder.load(**other.arguments).digest == other.digest


def test_streamed_pictures_are_the_array(tmp_path):
    plant(tmp_path, ["a", "b", "c"])
    held = image_folder.load(tmp_path, **LOAD)
    shown = image_folder.load(tmp_path, **LOAD, **STREAMED)
    for name in ("train", "validation", "test"):
        one, other = getattr(held, name), getattr(shown, name)
        assert isinstance(one.inputs, np.ndarray)
        assert isinstance(other.inputs, streamed.Pictures)
        np.testing.assert_array_equal(one.inputs, other.inputs[:])
        np.testing.assert_array_equal(one.labels, other.labels)
    assert shown.leakage == held.leakage
    again = image_folder.load(**shown.arguments)
    assert again.digest == shown.digest
    assert again.digest == splits.digest(again.train, again.validation, again.test)
    other = next((tmp_path / "a").iterdir())
    Image.fromarray(255 - np.asarray(Image.open(other))).save(other)
    assert image_folder.load(**shown.arguments).digest != shown.digest


def test_copies_and_contradictions_of_streamed_pictures(tmp_path):
    planted = plant(tmp_path, ["a", "b"])
    first = next(iter(planted))
    shutil.copy(first, tmp_path / "a" / "copy.png")
    dataset = image_folder.load(tmp_path, **LOAD, **STREAMED)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 20
    shutil.copy(first, tmp_path / "b" / "copy.png")
    with pytest.raises(ValueError, match=r"the same one in 'a' and 'b': .*0.png and .*copy.png"):
        image_folder.load(tmp_path, **LOAD, **STREAMED)


def test_a_column_of_splits_is_respected(tmp_path):
    planted = plant(tmp_path, ["a", "b"], each=12)
    words = {0: "test", 1: "VAL", 2: "dev"}
    rows = [
        (path.relative_to(tmp_path), path.parent.name, words.get(int(path.stem) % 6, "training")) for path in planted
    ]
    table = tabled(tmp_path, rows, columns=("path", "label", "split"))
    dataset = image_folder.load(table, **LOAD)
    for name, remainders in (("train", (3, 4, 5)), ("validation", (1, 2)), ("test", (0,))):
        wanted = {
            pixels.tobytes(): path.parent.name for path, pixels in planted.items() if int(path.stem) % 6 in remainders
        }
        assert contents(dataset)[name] == wanted
    assert [len(part) for part in contents(image_folder.load(table, **LOAD, split_column=None)).values()][2] == 5


def test_a_column_of_splits_that_is_wrong(tmp_path):
    plant(tmp_path, ["a", "b"], each=2)
    rows = [("a/0.png", "a", "train"), ("b/0.png", "b", "tset")]
    with pytest.raises(ValueError, match=r"'tset'"):
        image_folder.load(tabled(tmp_path, rows, columns=("path", "label", "split")), **LOAD)
    rows = [("a/0.png", "a", "test"), ("b/0.png", "b", "test")]
    with pytest.raises(ValueError, match="none of split train"):
        image_folder.load(tabled(tmp_path, rows, columns=("path", "label", "split")), **LOAD)
    with pytest.raises(ValueError, match=r"has no column 'fold'"):
        image_folder.load(tmp_path / "set.csv", **LOAD, split_column="fold")


@pytest.mark.parametrize("more", [{}, STREAMED])
def test_no_group_stands_in_two_splits(tmp_path, more):
    planted = plant(tmp_path, ["a", "b", "c"], each=40)
    rows = [(path.relative_to(tmp_path), path.parent.name, f"patient {int(path.stem) % 13}") for path in planted]
    table = tabled(tmp_path, rows, columns=("path", "label", "patient"))
    dataset = image_folder.load(table, **LOAD, group_column="patient", **more)
    group_of = {pixels.tobytes(): int(path.stem) % 13 for path, pixels in planted.items()}
    groups = [{group_of[row] for row in part} for part in contents(dataset).values()]
    assert len(set.union(*groups)) == sum(map(len, groups)) == 13
    for split in (dataset.train, dataset.validation, dataset.test):
        counts = np.bincount(split.labels, minlength=3)
        assert counts.max() - counts.min() <= 3
    assert abs(len(dataset.test) - 24) <= 4
    assert image_folder.load(**dataset.arguments).digest == dataset.digest


def test_groups_that_cannot_be_kept_together(tmp_path):
    planted = plant(tmp_path, ["a", "b"], each=9)
    rows = [
        (p.relative_to(tmp_path), p.parent.name, ("train", "val", "test")[int(p.stem) % 3], p.stem) for p in planted
    ]
    table = tabled(tmp_path, rows, columns=("path", "label", "split", "group"))
    image_folder.load(table, **LOAD, group_column="group")
    rows[0] = (*rows[0][:3], "1")
    table = tabled(tmp_path, rows, columns=("path", "label", "split", "group"))
    with pytest.raises(ValueError, match=r"in one split. Received: '1' in train and validation"):
        image_folder.load(table, **LOAD, group_column="group")
    rows = [(path.relative_to(tmp_path), path.parent.name, f"{int(path.stem) % 2}") for path in planted]
    table = tabled(tmp_path, rows, columns=("path", "label", "group"))
    with pytest.raises(ValueError, match=r"needs 3 groups at least.*2 of 2 classes with fewer: 'a' \(2\), 'b' \(2\)"):
        image_folder.load(table, **LOAD, group_column="group")
    with pytest.raises(ValueError, match="Groups are a column of a table"):
        image_folder.load(tmp_path, **LOAD, group_column="group")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
@pytest.mark.parametrize("around", [True, False])
def test_an_archive_is_unpacked_once(tmp_path, kind, around, monkeypatch):
    planted = plant(tmp_path / "in" / "flowers", ["a", "b"])
    tabled(
        tmp_path / "in" / "flowers",
        [(path.relative_to(tmp_path / "in" / "flowers"), "cd"[int(path.stem) % 2]) for path in planted],
    )
    if around:
        (tmp_path / "in" / "__MACOSX").mkdir()
        (tmp_path / "in" / "__MACOSX" / "._x").write_text("")
    folder = tmp_path / "in" / ("" if around else "flowers")
    path = shutil.make_archive(str(tmp_path / "flowers"), kind, folder)
    with pytest.raises(ValueError, match=r"folders a, b and set.csv with c, d .*--table set\.csv .*--classes-at leaf"):
        image_folder.load(path, **LOAD)
    folders = {**LOAD, "layout": {"classes_at": "leaf"}}
    dataset = image_folder.load(path, **folders)
    assert dataset.task.name == "flowers"
    assert contents(dataset) == contents(image_folder.load(tmp_path / "in" / "flowers", **folders))
    monkeypatch.setattr(unpack, "unpack", lambda *anything: pytest.fail("unpacked twice"))
    assert image_folder.load(**dataset.arguments).digest == dataset.digest
    table = image_folder.load(path, **LOAD, table="set.csv")
    assert table.task.target.names == ("c", "d")
    assert image_folder.load(**table.arguments).digest == table.digest
    with pytest.raises(FileNotFoundError, match=r"no table other\.csv"):
        image_folder.load(path, **LOAD, table="other.csv")


def test_archives_that_are_none_leave_nothing(tmp_path):
    path = tmp_path / "set.zip"
    path.write_bytes(b"PK\3\4 and nothing else")
    with pytest.raises(unpack.ArchiveError, match="no zip or tar"):
        image_folder.load(path, **LOAD)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/0.png", b"x")
        archive.writestr("../b/0.png", b"x")
    with pytest.raises(unpack.ArchiveError, match="leads out"):
        image_folder.load(path, **LOAD)
    assert list((downloads.home() / "unpacked").iterdir()) == []


def test_a_thousand_classes_of_one_picture_each(tmp_path):
    (tmp_path / "0").mkdir()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "0" / "0.png")
    content = (tmp_path / "0" / "0.png").read_bytes()
    rows = []
    for number in range(1000):
        (tmp_path / "0" / f"{number}.png").write_bytes(content)
        rows.append((f"0/{number}.png", number))
    with pytest.raises(ValueError, match="A picture belongs to one class"):  # all are the same one
        image_folder.load(tabled(tmp_path, rows), size=(2, 2))
    for number in range(1000):
        pixels = np.array([[number % 256, number // 256]], np.uint8)
        Image.fromarray(pixels).save(tmp_path / "0" / f"{number}.png")
    words = (
        r"3 pictures at least, one each for train, test and validation.*1,000 of 1,000 classes with fewer: '0' \(1\)"
    )
    with pytest.raises(ValueError, match=words):
        image_folder.load(tabled(tmp_path, rows), size=(1, 2))


def test_rows_without_a_file_are_unreadable_pictures(tmp_path, capsys):
    planted = plant(tmp_path, ["a", "b"])
    rows = [(path.relative_to(tmp_path), path.parent.name) for path in planted]
    table = tabled(tmp_path, [*rows, ("a/nowhere.png", "a"), ("b", "b")])
    with pytest.raises(ValueError, match=r"2 pictures of [^$]*nowhere.png: there is no such file"):
        image_folder.load(table, **LOAD)
    dataset = image_folder.load(table, **LOAD, policy="skip")
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 20
    assert "2 pictures" in capsys.readouterr().err


def table_of_sets(folder, sets, *, more=()):
    """A table of pictures of noise, each with a set of classes."""
    planted = plant(folder, ["photos"], each=len(sets))
    with open(folder / "sets.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", *(name for name, _ in more)])
        for index, names in enumerate(sets):
            writer.writerow([f"photos/{index}.png", "|".join(names), *(cells[index] for _, cells in more)])
    return folder / "sets.csv", [planted[folder / "photos" / f"{index}.png"] for index in range(len(sets))]


SETS = [("a", "b"), ("b",), (), ("a",), ("a", "b", "c"), ("c",)] * 5


def test_pictures_of_several_classes(tmp_path):
    path, planted = table_of_sets(tmp_path, SETS)
    dataset = image_folder.load(path, **LOAD, label_separator="|")
    assert isinstance(dataset.task.target, MultiLabel)
    assert dataset.task.target.names == ("a", "b", "c")
    expected = {
        pixels.tobytes(): [int(name in names) for name in "abc"] for pixels, names in zip(planted, SETS, strict=True)
    }
    made = (dataset.train, dataset.validation, dataset.test)
    assert [len(split) for split in made] == [19, 5, 6]
    assert {
        row.tobytes(): label.tolist() for split in made for row, label in zip(split.inputs, split.labels, strict=True)
    } == expected
    assert all((split.labels.sum(0) > 0).all() for split in made)
    assert image_folder.load(**dataset.arguments).digest == dataset.digest
    assert image_folder.load(path, **LOAD, label_separator="|", in_memory=0).digest != dataset.digest  # streamed
    smaller = image_folder.load(path, **LOAD, label_separator="|", limit=9)
    assert len(smaller.train) == 9
    assert (smaller.train.labels.sum(0) > 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_three_pictures_of_a_class_are_enough_for_three_splits(tmp_path, seed):
    sets = [("a",), ("b",), ("a", "b")] * 8
    for index in (0, 4, 8):
        sets[index] += ("rare",)
    path, _ = table_of_sets(tmp_path, sets)
    dataset = image_folder.load(path, size=(12, 10), test=0.6, validation=0.4, label_separator="|", seed=seed)
    made = (dataset.train, dataset.validation, dataset.test)
    assert [int(part.labels[:, 2].sum()) for part in made] == [1, 1, 1]


def test_groups_of_pictures_of_several_classes_stay_together(tmp_path):
    patients = [str(index // 2) for index in range(30)]
    path, planted = table_of_sets(tmp_path, SETS, more=[("patient", patients)])
    dataset = image_folder.load(path, **LOAD, label_separator="|", group_column="patient")
    patient_of = {pixels.tobytes(): patient for pixels, patient in zip(planted, patients, strict=True)}
    made = [
        {patient_of[row.tobytes()] for row in part.inputs} for part in (dataset.train, dataset.validation, dataset.test)
    ]
    assert sum(map(len, made)) == 15
    assert all((part.labels.sum(0) > 0).all() for part in (dataset.train, dataset.validation, dataset.test))


def test_splits_of_a_table_of_sets_are_kept(tmp_path):
    splits_of = [("train", "val", "test")[index // 12] for index in range(30)]
    path, planted = table_of_sets(tmp_path, SETS, more=[("split", splits_of)])
    dataset = image_folder.load(path, **LOAD, label_separator="|")
    assert {row.tobytes() for row in dataset.test.inputs} == {pixels.tobytes() for pixels in planted[24:]}


def test_what_is_wrong_with_several_classes_is_said(tmp_path):
    path, _ = table_of_sets(tmp_path, [*SETS, ("rare", "a")])
    with pytest.raises(ValueError, match=r"3 pictures at least.*1 of 4 classes with fewer: 'rare' \(1\)"):
        image_folder.load(path, **LOAD, label_separator="|")
    with pytest.raises(ValueError, match="stands in no field"):
        image_folder.load(path, **LOAD, label_separator="+")
    flags = [[index % 2 for index in range(31)], [0] * 31]
    path, _ = table_of_sets(tmp_path / "flags", [*SETS, ("a",)], more=[("odd", flags[0]), ("never", flags[1])])
    with pytest.raises(ValueError, match=r"none of 'never' in train"):
        image_folder.load(path, **LOAD, label_columns=["odd", "never"])


def test_the_same_picture_with_other_classes_is_refused(tmp_path):
    path, _ = table_of_sets(tmp_path, SETS)
    shutil.copy(tmp_path / "photos" / "0.png", tmp_path / "photos" / "1.png")
    with pytest.raises(
        ValueError, match=r"the same classes wherever it stands. Received: the same one in 'a\|b' and 'b'"
    ):
        image_folder.load(path, **LOAD, label_separator="|")
    shutil.copy(tmp_path / "photos" / "0.png", tmp_path / "photos" / "6.png")
    shutil.copy(tmp_path / "photos" / "7.png", tmp_path / "photos" / "1.png")
    dataset = image_folder.load(path, **LOAD, label_separator="|")  # of the same classes it is left out
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 28


def test_a_share_smaller_than_the_classes_is_one_of_each(tmp_path):
    plant(tmp_path / "many", [f"class {number}" for number in range(30)], each=4)
    dataset = image_folder.load(tmp_path / "many", size=(12, 10))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [60, 30, 30]
    for index in range(80):  # and a rare class beside large ones
        pixels = np.random.default_rng(index + 10_000).integers(0, 256, (12, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "many" / "class 0" / f"more {index}.png")
    dataset = image_folder.load(tmp_path / "many", size=(12, 10))
    assert all(set(split.labels.tolist()) == set(range(30)) for split in (dataset.train, dataset.test))


def found_again(dataset, root):
    """Whether every origin names the file, below the root, whose pixels stand there."""
    for split in (dataset.train, dataset.validation, dataset.test):
        for origin, pixels in zip(split.origins, split.inputs, strict=True):
            np.testing.assert_array_equal(pictures.read(root / origin).pixels, pixels)
    return True


def test_each_picture_knows_its_file(tmp_path):
    """In a folder, in folders of splits, in a table with a root of its own, and in an archive."""
    planted = plant(tmp_path / "set", ["a", "b"])
    (tmp_path / "lists").mkdir()
    rows = [(path.relative_to(tmp_path), path.parent.name) for path in planted]
    table = tabled(tmp_path / "lists", rows)
    assert found_again(image_folder.load(tmp_path / "set", **LOAD, **STREAMED), tmp_path / "set")
    dataset = image_folder.load(table, **LOAD, root=tmp_path, limit=12)
    assert found_again(dataset, tmp_path)
    assert len(dataset.train.origins) == 12
    assert dataset.train.origins[0].startswith("set/")
    for split in ("train", "test"):
        plant(tmp_path / "parts" / split, ["a", "b"], seed=len(split))
    parts = image_folder.load(tmp_path / "parts", **LOAD)
    assert found_again(parts, tmp_path / "parts")
    assert {origin.split("/")[0] for origin in parts.test.origins} == {"test"}
    packed = image_folder.load(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set"), **LOAD)
    assert found_again(packed, tmp_path / "set")
