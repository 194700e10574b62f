"""What a path holds: the same answer for recipes, `kerastl advise` and `kerastl audit`."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from kerastl.data import audit, column_roles, facts, formats, loading

RANDOM = np.random.default_rng(0)
PICTURES = RANDOM.integers(0, 256, (60, 20, 20, 3)).astype(np.uint8)
LABELS = np.arange(60) % 2


def parquet(path):
    contents = []
    for index, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(path.parent / f".{index}.png")
        contents.append((path.parent / f".{index}.png").read_bytes())
        (path.parent / f".{index}.png").unlink()
    pyarrow.parquet.write_table(pyarrow.table({"image": contents, "label": LABELS}), path)


def class_folders(root):
    for index, (picture, label) in enumerate(zip(PICTURES, LABELS, strict=True)):
        path = root / "ab"[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)


@pytest.fixture
def places(tmp_path):
    """Pictures in every way that they may lie, by what `format_of` says of it."""
    class_folders(tmp_path / "folder")
    rows = [f"{'ab'[label]}/{index}.png,{'ab'[label]}" for index, label in enumerate(LABELS)]
    (tmp_path / "folder" / "set.csv").write_text("\n".join(["path,label", *rows]))
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "folder")
    parquet(tmp_path / "one.parquet")
    (tmp_path / "hub").mkdir()
    parquet(tmp_path / "hub" / "train.parquet")
    (tmp_path / "hub" / "notes").mkdir()
    (tmp_path / "hub" / "notes" / "words.md").write_text("of no class")
    np.savez(tmp_path / "one.npz", x=PICTURES, y=LABELS)
    (tmp_path / "numpy").mkdir()
    np.save(tmp_path / "numpy" / "x.npy", PICTURES)
    np.save(tmp_path / "numpy" / "y.npy", LABELS)
    return {
        "folder": [tmp_path / "folder"],
        "table": [tmp_path / "folder" / "set.csv"],
        "archive": [tmp_path / "packed.zip"],
        "parquet": [tmp_path / "one.parquet", tmp_path / "hub"],
        "arrays": [tmp_path / "one.npz", tmp_path / "numpy", tmp_path / "numpy" / "y.npy"],
    }


def test_recipes_advice_and_audit_take_a_path_for_the_same(places, cache):
    looked = 0
    for kind, paths in places.items():
        for path in paths:
            assert formats.format_of(path) == kind, path
            data = loading.pictures(path, size=(20, 20))
            assert data.source == ("arrays" if kind in ("arrays", "parquet") else "image_folder"), path
            assert sum(map(len, (data.train, data.validation, data.test))) == 60
            assert list(facts.summarize(path).counts.values()) == [30, 30], path
            assert not [one for one in audit.audit(path) if one.severity == "error"], path
            looked += 1
    assert looked == 8


def test_pictures_in_folders_come_before_arrays_beside_them(places):
    """Features that somebody saved beside the classes are no data set; folders without a picture are no classes."""
    (folder,) = places["folder"]
    np.save(folder / "features.npy", np.zeros((60, 4)))
    parquet(folder / "index.parquet")
    assert formats.format_of(folder) == "folder"
    assert list(facts.summarize(folder).counts.values()) == [30, 30]
    assert loading.pictures(folder, size=(20, 20)).source == "image_folder"
    for picture in folder.rglob("*.png"):
        picture.unlink()
    assert formats.format_of(folder) == "parquet"


def test_what_is_nothing_that_is_known_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        formats.format_of(tmp_path / "nowhere")
    (tmp_path / "notes.md").write_text("words")
    with pytest.raises(ValueError, match=r"Wanted a table .*Received: .*notes\.md"):
        formats.format_of(tmp_path / "notes.md")
    (tmp_path / "set.rar").write_bytes(b"Rar!")
    assert formats.format_of(tmp_path / "set.rar") == "archive", "that it cannot be unpacked says `unpack`"
    (tmp_path / "empty").mkdir()
    assert formats.format_of(tmp_path / "empty") == "folder"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", "path,label\n", "pictures"),
        ("a.csv", "text,label\n", "texts"),
        ("a.csv", "path,text,label\n", "texts"),
        ("a.csv", "other,label\n", "texts"),
        ("a.csv", "other,label\na/1.jpg,x\nb/2.PNG,y\n", "pictures"),
        ("a.csv", "price,rooms,town\n100.5,3,Rome\n90,2,Paris\n", "numbers"),
        ("a.csv", "5.1,3.5,1\n4.9,3.0,2\n", "numbers"),
        ("a.csv", "stars,words\n5,a film that I liked\n1,a film that I left\n", "texts"),
        ("a.tsv", "path\tlabel\n", "pictures"),
        ("a.tab", "path\tlabel\n", "pictures"),
        ("a.txt", "path,label\n", "pictures"),
        ("a.jsonl", '{"path": "1.png", "label": "a"}\n', "pictures"),
        ("a.csv", "", "texts"),
    ],
)
def test_a_table_is_one_of_sentences_of_pictures_or_of_numbers(tmp_path, name, content, kind):
    (tmp_path / name).write_text(content)
    assert formats.format_of(tmp_path / name) == "table"
    assert formats.kind_of_table(tmp_path / name, column_roles.Asked()) == kind


def test_columns_have_the_names_that_are_given(tmp_path):
    (tmp_path / "a.csv").write_text("file,words,label\n")
    asked = column_roles.Asked(path="file", text="words")
    assert formats.kind_of_table(tmp_path / "a.csv", asked) == "texts"
    assert formats.kind_of_table(tmp_path / "a.csv", column_roles.Asked(path="file")) == "pictures"
    assert formats.kind_of_table(tmp_path / "a.csv", column_roles.Asked(path="2")) == "pictures"


@pytest.mark.parametrize("kind", ["table", "parquet", "arrays", "archive", "folder"])
def test_several_classes_are_asked_for_of_what_can_say_them(kind):
    formats.check_label_options(kind, {}, where="set")
    may_be = ["table", "folder", "archive"]  # of which the last two may hold a table
    for options, able in (({"label_separator": "|"}, may_be), ({"label_columns": ["a", "b"]}, [*may_be, "parquet"])):
        if kind in able:
            formats.check_label_options(kind, options, where="set")
            continue
        with pytest.raises(ValueError, match=r"are listed in a table\. .*Received: \{'label_.*\} for set"):
            formats.check_label_options(kind, options, where="set")
