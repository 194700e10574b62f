"""Every way that people keep tables, texts and pictures is read rightly, or refused with the flag that helps.

A row a layout: what lies there, and what the one reader makes of it. `kerastl advise`, `kerastl audit` and recipes read
through it. No framework is imported.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from kerastl.data import column_roles, formats, labelled_texts, picture_listing, tables
from kerastl.data.tables import files
from kerastl.data.tables.table import Layout

TEXTS = [(f"wörter number {index} of a sentence", "spam" if index % 3 == 0 else "ham") for index in range(12)]
COUNTS = {"spam": 4, "ham": 8}


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path_factory.mktemp("home")))


def lines(delimiter=",", header="text,label", rows=TEXTS, order=(0, 1), quote=False):
    written = [header.replace(",", delimiter)] if header else []
    for row in rows:
        cells = [row[place] for place in order]
        written.append(delimiter.join(f'"{cell}"' if quote else cell for cell in cells))
    return "\n".join(written) + "\n"


def objects(rows=TEXTS):
    return [{"text": text, "label": label} for text, label in rows]


def parquet(rows=TEXTS, **columns):
    held = io.BytesIO()
    texts, labels = zip(*rows, strict=True)
    pyarrow.parquet.write_table(pyarrow.table({"text": texts, "label": labels, **columns}), held)
    return held.getvalue()


def hub_parquet():
    """Labels as indices, named in the metadata, as the Hugging Face hub writes them."""
    names = {"info": {"features": {"label": {"names": ["ham", "spam"], "_type": "ClassLabel"}}}}
    texts, labels = zip(*TEXTS, strict=True)
    table = pyarrow.table({"text": texts, "label": [int(label == "spam") for label in labels]})
    held = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": json.dumps(names)}), held)
    return held.getvalue()


def packed(**members):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return held.getvalue()


def tarred(name, content):
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return held.getvalue()


def workbook(**sheets):
    import openpyxl

    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


def plant(root: Path, content) -> Path:
    """Writes files by their paths; of one path alone it is returned, else the folder."""
    for name, inner in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(inner if isinstance(inner, bytes) else inner.encode())
    return root / next(iter(content)) if len(content) == 1 else root


POLISH = "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw są oni obdarzeni rozumem"
CODED = [(f"{POLISH} {index}", label) for index, (_, label) in enumerate(TEXTS)]
QUOTES = [(f'"{text}' if index == 5 else text, label) for index, (text, label) in enumerate(TEXTS)]
READ = {
    "csv": {"a.csv": lines()},
    "semicolons": {"a.csv": lines(";")},
    "semicolons, commas in the texts": {"a.csv": lines(";", rows=[(f"{text}, so", label) for text, label in TEXTS])},
    "bars": {"a.csv": lines("|")},
    "tabs": {"a.tsv": lines("\t")},
    "tabs in a csv": {"a.csv": lines("\t")},
    "quoted, with a space before": {"a.csv": lines(", ", quote=True)},
    "names in capitals": {"a.csv": lines(header="Review,Sentiment")},
    "names that nobody knows": {"a.csv": lines(header="what,kind")},
    "a column of numbers before": {"a.csv": "id" + lines(header=",text,label", rows=[(f"{n},{t}", k) for n, (t, k) in enumerate(TEXTS)])},
    "an unnamed index": {"a.csv": lines(header=",text,label", rows=[(f"{n},{t}", k) for n, (t, k) in enumerate(TEXTS)])},
    "no header, label first": {"a.tsv": lines("\t", header="", order=(1, 0))},
    "no header, text first": {"a.csv": lines(header="")},
    "no header, in a .txt": {"a.txt": lines("\t", header="", order=(1, 0))},
    "quotes of the texts": {"a.tsv": lines("\t", header="", order=(1, 0), rows=QUOTES)},
    "fasttext": {"a.txt": "".join(f"__label__{label} {text}\n" for text, label in TEXTS)},
    "utf-8 with a mark": {"a.csv": "\ufeff" + lines()},
    "utf-16": {"a.csv": lines().encode("utf-16")},
    "utf-16 without a mark": {"a.csv": lines().encode("utf-16-le")},
    "utf-32": {"a.csv": lines().encode("utf-32")},
    "cp1252": {"a.csv": lines().encode("cp1252")},
    "cp1250": {"a.csv": lines(rows=CODED).encode("cp1250")},
    "json lines": {"a.jsonl": "".join(json.dumps(one) + "\n" for one in objects())},
    "json lines in a .json": {"a.json": "".join(json.dumps(one) + "\n" for one in objects())},
    "json list": {"a.json": json.dumps(objects(), indent=1)},
    "json list inside": {"a.json": json.dumps({"version": "1.0", "data": objects()})},
    "json pairs a split": {"a.json": json.dumps({"train": TEXTS[:8], "val": TEXTS[8:10], "test": TEXTS[10:]})},
    "json columns": {"a.json": json.dumps({name: {str(n): one[name] for n, one in enumerate(objects())} for name in ("text", "label")})},
    "parquet": {"a.parquet": parquet()},
    "parquet of the hub": {"a.parquet": hub_parquet()},
    "parquet in a folder": {"data/train-00000-of-00001.parquet": parquet(TEXTS[:8]), "data/test-00000-of-00001.parquet": parquet(TEXTS[8:])},
    "xlsx": {"a.xlsx": workbook(one=[("text", "label"), *TEXTS])},
    "xlsx without a header": {"a.xlsx": workbook(one=TEXTS, two=[("x",)])},
    "xlsx behind a note": {"a.xlsx": workbook(note=[("please read",)], one=[("text", "label"), *TEXTS])},
    "xlsx, a sheet a split": {"a.xlsx": workbook(train=[("text", "label"), *TEXTS[:8]], test=[("text", "label"), *TEXTS[8:]])},
    "gz": {"a.csv.gz": gzip.compress(lines().encode())},
    "bz2": {"a.tsv.bz2": bz2.compress(lines("\t").encode())},
    "xz": {"a.jsonl.xz": lzma.compress("".join(json.dumps(one) + "\n" for one in objects()).encode())},
    "zip of one": {"a.zip": packed(inner__a_dot_csv=lines())},
    "zip of splits": {"a.zip": packed(x__train_dot_csv=lines(rows=TEXTS[:8]), x__test_dot_csv=lines(rows=TEXTS[8:]), x__readme_dot_txt="hi")},
    "tar.gz": {"a.tar.gz": tarred("set/a.csv", lines().encode())},
    "train and test": {"train.csv": lines(rows=TEXTS[:8]), "test.csv": lines(rows=TEXTS[8:]), "README.md": "words"},
    "train, dev and test without headers": {
        f"{split}.tsv": lines("\t", header="", order=(1, 0), rows=TEXTS[first:last])
        for split, first, last in (("train", 0, 6), ("dev", 6, 9), ("test", 9, 12))
    },
    "a folder of texts": {f"{label}/{index}.txt": text for index, (text, label) in enumerate(TEXTS)},
    "texts in splits": {f"{'test' if index > 8 else 'train'}/{label}/{index}.txt": text for index, (text, label) in enumerate(TEXTS)},
    "a zip of texts": {"a.zip": packed(**{f"set__{label}__{index}_dot_txt": text for index, (text, label) in enumerate(TEXTS)})},
}  # fmt: skip


@pytest.mark.parametrize("layout", READ)
def test_texts_are_read_in_every_layout(tmp_path, layout):
    path = plant(tmp_path, READ[layout])
    assert formats.format_of(path) == "table"
    assert formats.kind_of_table(path, column_roles.Asked()) == "texts"
    found = labelled_texts.read(path)
    assert found.problems == []
    rows = CODED if layout == "cp1250" else QUOTES if layout.startswith("quotes of") else TEXTS
    ends = (", so",) if "commas" in layout else ("",)
    assert sorted((one.text.removesuffix(ends[0]), one.label) for one in found.examples) == sorted(rows)
    divided = {"split", "splits", "test", "parquet in a folder"} & set(layout.split()) or "in a folder" in layout
    assert ({one.split for one in found.examples} != {None}) == bool(divided)
    assert len({(one.file, one.line) for one in found.examples}) == len(TEXTS), "each can be found again"


def test_what_is_guessed_is_said(tmp_path):
    said = {}
    for layout in (
        "cp1252",
        "no header, label first",
        "names in capitals",
        "quotes of the texts",
        "xlsx without a header",
    ):
        (tmp_path / layout).mkdir()
        said[layout] = " ".join(labelled_texts.read(plant(tmp_path / layout, READ[layout])).said)
    assert "is read as cp1252; --encoding" in said["cp1252"]
    assert "no header" in said["no header, label first"]
    assert "labels in the column '1' (--label-column)" in said["no header, label first"]
    assert "texts in the column 'Review' (--text-column)" in said["names in capitals"]
    assert "--quoting yes" in said["quotes of the texts"]
    assert "its sheet 'one' is read" in said["xlsx without a header"]
    assert labelled_texts.read(plant(tmp_path / "x", READ["csv"])).said == ()


MIXED = "gut,a\nschön,b\n" + "größer,a\n" * 9
REFUSED = {
    "another encoding": ({"a.csv": lines().encode()}, Layout(encoding="ascii"), "is not ASCII: line 2, byte"),
    "no encoding": ({"a.csv": lines()}, Layout(encoding="utf-9"), "Wanted an encoding"),
    "torn utf-8": ({"a.csv": MIXED.encode() + b"\xff,a\n"}, Layout(), r"not UTF-8: line 12, .*--encoding"),
    "no text": ({"a.csv": lines(rows=[("1", "2")] * 4, header="x,y")}, Layout(), "--text-column"),
    "two labels": ({"a.csv": lines(header="text,art,kind", rows=[(t, f"{k},{k}") for t, k in TEXTS])}, Layout(), "--label-column"),
    "flags": ({"a.csv": lines(header="text,x,y", rows=[(t, "0,1" if k == "ham" else "1,0") for t, k in TEXTS])}, Layout(), "--label-columns x y"),
    "case": ({"a.csv": lines(rows=[*TEXTS, ("more", "Ham")])}, Layout(), r"'ham' \(8\) and 'Ham' \(1\)\. --class-case merge"),
    "a wide delimiter": ({"a.csv": lines()}, Layout(delimiter=";;"), "one character"),
    "open quotes": ({"a.csv": 'text,label\n"never closed,1\n'}, Layout(), "line 2, cannot be read: .*--quoting no"),
    "no label in lines": ({"a.txt": "one\ntwo words\n"}, Layout(), "Wanted a text and its label in every line"),
    "tables without train": ({"a.csv": lines(), "b.csv": lines()}, Layout(), r"called train .*Received: a\.csv, b\.csv"),
    "empty": ({"a.csv": "\n \n"}, Layout(), r"a\.csv is empty"),
    "empty json": ({"a.json": "[]"}, Layout(), "an empty list"),
    "json of no rows": ({"a.json": '{"a": 1}'}, Layout(), "Wanted a list of objects"),
    "no json": ({"a.jsonl": '{"text": "a", "label": 1}\n{"text": '}, Layout(), "line 2, is no JSON"),
    "a workbook that is none": ({"a.xlsx": b"PK no"}, Layout(), "cannot be read"),
    "a gz that is none": ({"a.csv.gz": b"no"}, Layout(), "cannot be unpacked"),
    "a bomb": ({"a.csv.gz": gzip.compress(b"a" * 30_000_000)}, Layout(), "unpacks to more than 200 times"),
    "packed parquet": ({"a.parquet.gz": gzip.compress(parquet())}, Layout(), "packed already"),
    "another ending": ({"a.doc": "x"}, Layout(), r"ends in .*\.csv"),
    "deep json": ({"a.jsonl": "[" * 100_000}, Layout(), "nested too deep"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_read_is_refused_with_what_helps(tmp_path, what):
    content, layout, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        labelled_texts.read(plant(tmp_path, content), layout=layout)


def test_somebody_says_how_it_is_written(tmp_path):
    def labels(name, content, layout, **asked):
        return Counter(one.label for one in labelled_texts.read(plant(tmp_path / name, content), column_roles.Asked(**asked), layout=layout).examples)  # fmt: skip

    coded = lines().encode("cp037")  # which nobody guesses of letters alone
    assert labels("a", {"a.csv": coded}, Layout(encoding="cp037")) == COUNTS
    assert labels("b", {"a.csv": lines("~")}, Layout(delimiter="~")) == COUNTS
    assert labels("c", {"a.csv": lines(header="good,ham")}, Layout(header="no"))["ham"] == 9
    assert labels("d", {"a.csv": lines(header="", rows=[("ham", "spam"), *TEXTS])}, Layout(header="yes")) == COUNTS
    assert labels("e", {"a.csv": lines(rows=[*TEXTS, ("more", "Ham")])}, Layout(class_case="merge"))["ham"] == 9
    assert labels("f", {"a.csv": lines(rows=[*TEXTS, ("more", "Ham")])}, Layout(class_case="keep"))["Ham"] == 1
    assert labels("g", {"a.csv": lines(header="")}, Layout(), text="1", label="2") == COUNTS
    test = plant(tmp_path / "h", {"held.csv": lines(rows=TEXTS[8:])})
    found = labelled_texts.read(
        plant(tmp_path / "i", {"a.csv": lines(rows=TEXTS[:8])}), layout=Layout(test_file=str(test))
    )
    assert Counter(one.split for one in found.examples) == {"train": 8, "test": 4}
    assert found.examples[-1].where == "held.csv, line 5"


def test_a_test_set_without_labels_is_left_out_and_said(tmp_path):
    unlabelled = "text\n" + "".join(f"{text}\n" for text, _ in TEXTS)
    found = labelled_texts.read(plant(tmp_path, {"train.csv": lines(), "test.csv": unlabelled}))
    assert len(found.examples) == 12
    assert "test.csv is left out: none of its 12 rows has a label" in found.said


def picture(value=0):
    held = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(held, "PNG")
    return held.getvalue()


DOT = picture()
PATHS = [f"{label}/{index}.png" for label in ("cat", "dog") for index in range(4)]
TABLE = [("cat_1.png", "cat"), ("cat_2.png", "cat"), ("dog_1.png", "dog")]


def dots(*folders, count=2):
    return {f"{folder}/{index}.png": DOT for folder in folders for index in range(count)}


def listed(header, *, delimiter=",", rows=TABLE):
    return lines(delimiter, header=header, rows=rows)


LOOSE = {name: DOT for name, _ in TABLE}
PICTURES = {
    "folders": (dots("cat", "dog"), {"cat": 2, "dog": 2}, {"train"}),
    "a folder around them": (dots("set/cat", "set/dog"), {"cat": 2, "dog": 2}, {"train"}),
    "splits": (dots("train/cat", "train/dog", "valid/cat", "valid/dog", "test/cat", "test/dog"), {"cat": 6, "dog": 6}, {"train", "validation", "test"}),
    "doubled levels": (dots("seg_train/seg_train/cat", "seg_train/seg_train/dog", "seg_test/seg_test/cat", "seg_test/seg_test/dog", "seg_pred/seg_pred"), {"cat": 4, "dog": 4}, {"train", "test"}),
    "words in capitals": (dots("Training Set/cat", "Training Set/dog", "TestData/cat", "TestData/dog"), {"cat": 4, "dog": 4}, {"train", "test"}),
    "splits beside others": (dots("train/cat", "train/dog", "test/cat", "test/dog", "backup/x"), {"cat": 4, "dog": 4}, {"train", "test"}),
    "a test set without classes": (dots("train/cat", "train/dog", "test"), {"cat": 2, "dog": 2}, {"train"}),
    "splits in the classes": (dots("cat/train", "cat/test", "dog/train", "dog/test"), {"cat": 4, "dog": 4}, {"train", "test"}),
    "a class that is called train": (dots("train", "car", "bus"), {"train": 2, "car": 2, "bus": 2}, {"train"}),
    "a class of a train": (dots("bullet_train/red", "bullet_train/blue", "car/red"), {"bullet_train": 4, "car": 2}, {"train"}),
    "folders in classes": (dots("cat/old", "cat/new", "dog/old"), {"cat": 4, "dog": 2}, {"train"}),
    "filename and class": ({**LOOSE, "labels.csv": listed("filename,class")}, {"cat": 2, "dog": 1}, {"train"}),
    "no header": ({**LOOSE, "labels.csv": listed("")}, {"cat": 2, "dog": 1}, {"train"}),
    "semicolons": ({**LOOSE, "labels.csv": listed("bild;art", delimiter=";")}, {"cat": 2, "dog": 1}, {"train"}),
    "spaces": ({**LOOSE, "list.txt": "".join(f"{name} {label}\n" for name, label in TABLE)}, {"cat": 2, "dog": 1}, {"train"}),
    "json lines of the hub": ({**LOOSE, "metadata.jsonl": "".join(json.dumps({"file_name": name, "label": label}) + "\n" for name, label in TABLE)}, {"cat": 2, "dog": 1}, {"train"}),
    "in another folder": ({**{f"images/{name}": DOT for name in LOOSE}, "labels.csv": listed("image,label")}, {"cat": 2, "dog": 1}, {"train"}),
    "without endings": ({**{f"train/{name}": DOT for name in LOOSE}, "test/9.png": DOT, "labels.csv": listed("id,breed", rows=[(name[:-4], label) for name, label in TABLE])}, {"cat": 2, "dog": 1}, {"train"}),
    "of windows": ({**LOOSE, "labels.csv": listed("path,label", rows=[(f"C:\\Users\\me\\set\\{name}", label) for name, label in TABLE])}, {"cat": 2, "dog": 1}, {"train"}),
    "of another machine": ({**LOOSE, "labels.csv": listed("path,label", rows=[(f"/home/me/set/{name}", label) for name, label in TABLE])}, {"cat": 2, "dog": 1}, {"train"}),
    "of a bucket": ({**LOOSE, "labels.csv": listed("set,path,label", rows=[(f"{split},gs://bucket/{name}", label) for split, (name, label) in zip(("TRAIN", "TRAIN", "TEST"), TABLE, strict=True)])}, {"cat": 2, "dog": 1}, {"train", "test"}),
    "xlsx": ({**LOOSE, "labels.xlsx": workbook(one=[("filename", "class"), *TABLE])}, {"cat": 2, "dog": 1}, {"train"}),
    "a zip of doubled levels": ({"a.zip": packed(**{f"x__seg_{split}__seg_{split}__{label}__{index}_dot_png": DOT for split in ("train", "test") for label in ("cat", "dog") for index in range(2)})}, {"cat": 4, "dog": 4}, {"train", "test"}),
    "a zip with a table": ({"a.zip": packed(**{f"x__images__{name.replace('.', '_dot_')}": DOT for name in LOOSE}, x__labels_dot_csv=listed("file,label"))}, {"cat": 2, "dog": 1}, {"train"}),
}  # fmt: skip


@pytest.mark.parametrize("layout", PICTURES)
def test_pictures_are_found_in_every_layout(tmp_path, layout):
    content, counts, parts = PICTURES[layout]
    path = plant(tmp_path, content)
    assert formats.format_of(path) in ("folder", "archive")
    found = picture_listing.listed(path)
    assert Counter(row.label for row in found.rows) == counts
    assert {row.split for row in found.rows} == parts
    assert all(Path(row.path).is_file() for row in found.rows)
    for name in ("labels.csv", "labels.xlsx", "metadata.jsonl", "list.txt"):
        if name in content:  # the table itself, for the same
            assert formats.kind_of_table(tmp_path / name, column_roles.Asked()) == ("pictures")
            assert picture_listing.listed(tmp_path / name).rows == found.rows


def test_what_was_understood_of_pictures_is_said(tmp_path):
    said = {}
    for layout in ("doubled levels", "folders in classes", "filename and class", "of windows", "splits beside others"):
        content, *_ = PICTURES[layout]
        said[layout] = " ".join(picture_listing.listed(plant(tmp_path / layout, content)).said)
    assert "seg_train is taken for train" in said["doubled levels"]
    assert "seg_pred is left out: 2 files in no class folder" in said["doubled levels"]
    assert "2 classes hold folders of their own, 3 in all (cat/new, cat/old, dog/old): --classes-at leaf" in said["folders in classes"]  # fmt: skip
    assert (
        "pictures in the column 'filename' (--path-column), labels in the column 'class'" in said["filename and class"]
    )
    assert "3 paths of the table lead nowhere" in said["of windows"]
    assert "backup is left out: 2 files whose name is of no split" in said["splits beside others"]


def test_classes_are_the_innermost_folders_where_somebody_says_so(tmp_path):
    plant(tmp_path, PICTURES["folders in classes"][0])
    found = picture_listing.listed(tmp_path, layout=Layout(classes_at="leaf"))
    assert Counter(row.label for row in found.rows) == {"cat/old": 2, "cat/new": 2, "dog/old": 2}


DOUBTFUL = {
    "splits without train": (dots("val/cat", "val/dog", "test/cat", "test/dog"), "has one called train"),
    "splits without classes": (dots("train", "val", "test"), "whose files lie in no class.*--table"),
    "splits of other classes": (dots("my_train/cat", "my_train/dog", "my_test/red", "my_test/blue"), "Splits hold the same classes"),
    "two of one split": (dots("train/cat", "train/dog", "val/cat", "valid/cat"), "one folder a split"),
    "train beside classes": (dots("train/steam", "train/electric", "car/red", "bus/red"), "called train is a split"),
    "splits in one class alone": (dots("set/train/cat", "set/test/cat", "other/dog"), "or splits with such folders inside"),
    "masks": (dots("images", "masks"), "pictures and what belongs to each of them"),
    "annotations": ({**dots("JPEGImages"), "Annotations/0.xml": "<a/>"}, "pictures and what belongs"),
    "two tables": ({**LOOSE, "a.csv": listed("path,label"), "b.csv": listed("path,label")}, "--table a.csv"),
    "case": (dots("Cat", "cat", "dog"), "'Cat' .* --class-case merge"),
    "elsewhere": ({"labels.csv": listed("path,label", rows=[("../other/1.png", "cat")])}, "leads out of .*--root"),
    "two labels": ({**LOOSE, "a.csv": listed("path,kind,art", rows=[(n, f"{k},{k}") for n, k in TABLE] * 2)}, "--label-column"),
}  # fmt: skip


@pytest.mark.parametrize("what", DOUBTFUL)
def test_what_may_be_splits_or_masks_is_asked_about(tmp_path, what):
    content, words = DOUBTFUL[what]
    with pytest.raises(ValueError, match=words):
        picture_listing.listed(plant(tmp_path, content))


def test_every_format_is_found_and_read_above():
    """A new format is one file here and one row above."""
    endings = {Path(name.removesuffix(".gz").removesuffix(".bz2").removesuffix(".xz")).suffix for content in READ.values() for name in content}  # fmt: skip
    members = set(map(str, (member.__name__.rpartition(".")[2] for member in tables.formats().values())))
    assert members == {"delimited", "json_records", "text_lines", "workbook", "parquet"}
    for member in set(tables.formats().values()):
        assert endings & set(member.ENDINGS), member.__name__
    assert {".csv", ".jsonl", ".xlsx", ".parquet", ".txt"} <= set(files.endings())
