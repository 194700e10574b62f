"""A hundred ways in which people keep pictures: each is read rightly, or refused with the flag that helps; none in silence.

A row a layout: what lies there, what is asked, and what comes of it. The reader of `kerastl run`, `kerastl advise` and
`kerastl audit` are asked alike, in this process. Pictures are tiny and made once; nothing is trained.
"""

from __future__ import annotations

import functools
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from kerastl import types
from kerastl.data import audit, facts, loading, reading

COUNT = 100
"""Layouts that there are at least."""


class Read(NamedTuple):
    """What a layout is read as: pictures of each class, of each split that there is, and words that are said."""

    counts: dict[str, int]
    parts: dict[str, int]
    said: str = ""
    multi_label: bool = False
    finding: str = ""
    """What the audit says is wrong with it all the same."""


class Refused(NamedTuple):
    """A pattern of what is said; ``decoding`` where only a look into the pictures tells, which `advise` takes none."""

    words: str
    decoding: bool = False


class Layout(NamedTuple):
    """Files by their paths, the flags that are given, and what comes of both."""

    files: dict[str, bytes | str]
    expected: Read | Refused
    flags: dict[str, Any] = {}  # noqa: RUF012
    path: str = "."


@functools.cache
def pixels(number: int) -> np.ndarray:
    """Noise of its own for each picture, ``(16, 16, 3)``."""
    return np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)


@functools.cache
def picture(number: int, ending: str = ".png") -> bytes:
    held = io.BytesIO()
    formats = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP", ".gif": "GIF", ".webp": "WEBP"}
    Image.fromarray(pixels(number)).save(held, formats.get(ending.lower(), "PNG"))
    return held.getvalue()


def shot(number: int, mode: str, kind: str = "PNG", **options: Any) -> bytes:
    """A picture of another mode or format."""
    held = io.BytesIO()
    if mode == "I;16":
        made = Image.fromarray(pixels(number)[..., 0].astype(np.uint16) * 257)
    else:
        made = Image.fromarray(pixels(number)).convert(mode)
    made.save(held, kind, **options)
    return held.getvalue()


def pngs(*names: str) -> dict[str, bytes | str]:
    """Pictures under some names, no two alike."""
    return {name: picture(number, Path(name).suffix) for number, name in enumerate(names)}


def rows(*folders: str, each: int = 4, ending: str = ".png") -> dict[str, bytes | str]:
    """So many pictures in each of some folders."""
    return pngs(*(f"{folder}/{index}{ending}" for folder in folders for index in range(each)))


def split_rows(*, train=("cat", "dog"), test=("cat", "dog"), name="train", other="test") -> dict[str, bytes | str]:
    return rows(*(f"{name}/{one}" for one in train), *(f"{other}/{one}" for one in test))


CATS = [f"cat_{index}" for index in range(4)]
DOGS = [f"dog_{index}" for index in range(4)]
NAMES = [*CATS, *DOGS]
LOOSE = pngs(*(f"{name}.png" for name in NAMES))
WHOLE = {"cat": 4, "dog": 4}
ALL = Read(WHOLE, {"train": 8})
SPLIT = Read({"cat": 8, "dog": 8}, {"train": 8, "test": 8})


def said(words: str, base: Read = ALL) -> Read:
    return base._replace(said=words)


def inside(folder: str, files=None) -> dict[str, bytes | str]:
    return {f"{folder}/{name}": content for name, content in (LOOSE if files is None else files).items()}


def kind(name: str) -> str:
    return name.partition("_")[0]


def csv(header: str, *cells: tuple[object, ...], delimiter: str = ",") -> str:
    lines = [header.replace(",", delimiter)] if header else []
    return "\n".join([*lines, *(delimiter.join(map(str, row)) for row in cells)]) + "\n"


def listed(header: str, path: str = "{}.png", **options: Any) -> str:
    return csv(header, *((path.format(name), kind(name)) for name in NAMES), **options)


def zipped(files) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def tarred(files) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            content = content.encode() if isinstance(content, str) else content
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return held.getvalue()


def voc(name: str, *objects: str) -> str:
    boxes = "".join(
        f"<object><name>{one}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
        for one in objects
    )
    return f"<annotation><folder>x</folder><filename>{name}.png</filename>{boxes}</annotation>"


def coco(names, *, several: bool = False, file="{}.png", unused=()) -> str:
    classes = {"cat": 1, "dog": 2}
    boxes = []
    for number, name in enumerate(names):
        wanted = ["cat", "dog"] if several and number == 0 else [kind(name), kind(name)]
        boxes += [
            {"id": len(boxes), "image_id": number, "category_id": classes[one], "bbox": [1, 1, 5, 5]} for one in wanted
        ]
    return json.dumps(
        {
            "info": {"year": 2024},
            "licenses": [],
            "images": [
                {"id": number, "file_name": file.format(name), "width": 16, "height": 16} for number, name in enumerate(names)
            ],
            "annotations": boxes,
            "categories": [
                *({"id": 0, "name": one, "supercategory": "none"} for one in unused),
                *({"id": number, "name": name, "supercategory": "animal"} for name, number in classes.items()),
            ],
        }
    )  # fmt: skip


def yolo(*classes: int) -> str:
    return "".join(f"{one} 0.5 0.5 0.25 0.25\n" for one in classes)


def yolo_rows(layout: str, *, split: str = "", names=NAMES) -> dict[str, bytes | str]:
    """Pictures and a text file of boxes each, ``images/train/x.png`` and ``labels/train/x.txt``, say."""
    files: dict[str, bytes | str] = {}
    for number, name in enumerate(names):
        files[layout.format(what="images", split=split) + f"/{name}.png"] = picture(number + 20 * (split != "train"))
        files[layout.format(what="labels", split=split) + f"/{name}.txt"] = yolo(0 if kind(name) == "cat" else 1)
    return files


def per_split(table: str, content, *, folder: str = "{}") -> dict[str, bytes | str]:
    """``train`` and ``test``, each with its pictures and a table of them."""
    files: dict[str, bytes | str] = {}
    for place, split in enumerate(("train", "test")):
        at = folder.format(split)
        files |= {f"{at}/{name}.png": picture(20 * place + number) for number, name in enumerate(NAMES)}
        files[f"{at}/{table}"] = content
    return files


def hub_lines(text: str = "label") -> str:
    return "".join(json.dumps({"file_name": f"{name}.png", text: kind(name)}) + "\n" for name in NAMES)


ISIC = [f"ISIC_00{24306 + index}" for index in range(8)]
HERE = "@here@"
"""Stands for the folder itself, in tables of absolute paths."""
VOC = {f"Annotations/{name}.xml": voc(name, kind(name), kind(name)) for name in NAMES}
FLAGS = csv(
    "filename, cat, dog", *((f"{name}.png", int(kind(name) == "cat"), int(kind(name) == "dog")) for name in NAMES)
)
BOTH = csv("filename, cat, dog", *((f"{name}.png", 1, int(kind(name) == "dog")) for name in NAMES))
BOXES = csv(
    "filename,width,height,class,xmin,ymin,xmax,ymax",
    *((f"{name}.png", 16, 16, kind(name), 1, 1, 9, 9) for name in NAMES for _ in range(2)),
)
YAML = "train: ../train/images\nval: ../valid/images\n\nnc: 2\nnames: ['cat', 'dog']\n"
YAML_MAP = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"
TRUNCATED = {**rows("cat", "dog"), "cat/broken.png": picture(50)[:200]}
TAGGED = pngs(*(f"{one}_{index}.png" for one in ("clear cat", "clear dog", "clear", "dog") for index in range(4)))
NFC, NFD = "caf\u00e9", "cafe\u0301"

LAYOUTS: dict[str, Layout] = {
    # folders
    "a folder a class": Layout(rows("cat", "dog"), ALL),
    "a folder around them": Layout(rows("set/deeper/cat", "set/deeper/dog"), ALL),
    "doubled levels": Layout(rows("seg_train/seg_train/cat", "seg_train/seg_train/dog", "seg_test/seg_test/cat", "seg_test/seg_test/dog"), said("seg_train is taken for train", SPLIT)),
    "an unlabelled test folder": Layout({**rows("train/cat", "train/dog"), **inside("test", pngs("1.png", "2.png"))}, said("test is left out: 2 files in no class folder")),
    "an unlabelled test folder, doubled": Layout({**rows("train/train/cat", "train/train/dog"), **inside("test/test", pngs("1.png", "2.png"))}, said("test is left out: 2 files in no class folder")),
    "an unlabelled test folder of one folder": Layout({**rows("train/cat", "train/dog"), **inside("test/images", pngs("1.png", "2.png"))}, said("test is left out: 2 files in no class folder")),
    "splits beside other folders": Layout({**split_rows(), "docs/readme.pdf": "x", **rows("backup/x", each=2)}, said("backup is left out: 2 files", SPLIT)),
    "train, valid and test": Layout(rows("train/cat", "train/dog", "valid/cat", "valid/dog", "test/cat", "test/dog"), Read({"cat": 12, "dog": 12}, {"train": 8, "validation": 8, "test": 8})),
    "splits in the classes": Layout(rows("cat/train", "cat/test", "dog/train", "dog/test"), said("holds the splits", SPLIT)),
    "classes in classes": Layout(rows("cat/old", "cat/new", "dog/old"), said("3 in all .*--classes-at leaf", Read({"cat": 8, "dog": 4}, {"train": 12}))),
    "folds": Layout(rows(*(f"fold{n}/{one}" for n in range(3) for one in ("cat", "dog"))), Refused("fold0, fold1, fold2.*cat, dog.*--classes-at inner.*--classes-at top")),
    "folds, their classes": Layout(rows(*(f"fold{n}/{one}" for n in range(3) for one in ("cat", "dog"))), Read({"cat": 12, "dog": 12}, {"train": 24}), {"classes_at": "inner"}),
    "folds, said to be classes": Layout(rows(*(f"fold{n}/{one}" for n in range(3) for one in ("cat", "dog"))), Read({f"fold{n}": 8 for n in range(3)}, {"train": 24}), {"classes_at": "top"}),
    "patients": Layout(rows("patient1/cat", "patient2/dog", "patient3/cat", "patient4/dog"), Refused("--classes-at inner takes cat, dog")),
    "days in classes": Layout(rows("cat/2023-01", "cat/2023-02", "dog/2023-01", "dog/2023-02"), Read({"cat": 8, "dog": 8}, {"train": 16})),
    "ids that stand in train and test": Layout({**inside("train"), **inside("test"), "trainLabels.csv": listed("id,label", "{}")}, ALL),
    "ids that stand in two folders": Layout({**inside("images/old"), **inside("images/new"), "labels.csv": listed("id,label", "{}")}, Refused(r"may be images/.* or .*--root FOLDER"), {"table": "labels.csv"}),
    "archives of classes": Layout({"cat.zip": b"x", "dog.zip": b"x"}, Refused("cat.zip, dog.zip: unpack each into a folder named after its class")),
    "tensorflow records": Layout({"train-00000-of-00001.tfrecord": b"x"}, Refused("TensorFlow records.*--data tfds:NAME")),
    "pointers of git lfs": Layout({f"{one}/{n}.jpg": "version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 9\n" for one in ("cat", "dog") for n in range(4)}, Refused("Git LFS pointer.*git lfs pull", decoding=True)),
    "classes in classes, the innermost": Layout(rows("cat/old", "cat/new", "dog/old"), Read({"cat/old": 4, "cat/new": 4, "dog/old": 4}, {"train": 12}), {"classes_at": "leaf"}),
    "pictures and masks in each class": Layout(rows("covid/images", "covid/masks", "normal/images", "normal/masks"), said("masks.*left out", Read({"covid": 4, "normal": 4}, {"train": 8}))),
    "masks by their names": Layout(pngs(*(f"{one}/{one} ({index}){mask}.png" for one in ("benign", "malignant") for index in range(4) for mask in ("", "_mask"))), said("4 files .*_mask.* left out", Read({"benign": 4, "malignant": 4}, {"train": 8}))),
    "pictures and masks": Layout({**rows("images", "masks")}, Refused("images, masks .*--table")),
    "annotations of another kind beside classes": Layout({**rows("101_ObjectCategories/cat", "101_ObjectCategories/dog"), "Annotations/cat/1.mat": "x"}, said("Annotations is left out")),
    "numbers for classes": Layout(rows(*map(str, range(11))), Read({str(number): 4 for number in range(11)}, {"train": 44})),
    "capital endings": Layout(pngs(*(f"{one}/{index}.PNG" for one in ("cat", "dog") for index in range(4))), ALL),
    "what systems leave behind": Layout({**rows("cat", "dog"), ".DS_Store": "x", "cat/.DS_Store": "x", "cat/Thumbs.db": "x", "dog/desktop.ini": "x", "__MACOSX/cat/._0.png": "x", "cat/._0.png": "x"}, ALL),
    "names composed and decomposed": Layout(rows(f"train/{NFC}", "train/dog", f"test/{NFD}", "test/dog"), Read({NFC: 8, "dog": 8}, {"train": 8, "test": 8})),
    "a class that is missing in test": Layout(split_rows(train=("cat", "dog", "fox")), Refused(r"fox.*--class-mismatch")),
    "that class left out": Layout(split_rows(train=("cat", "dog", "fox")), said("fox", SPLIT), {"class_mismatch": "skip"}),
    "divided anew": Layout(split_rows(train=("cat", "dog", "fox")), Read({"cat": 8, "dog": 8, "fox": 4}, {"train": 20}, "anew"), {"class_mismatch": "split"}),
    "a class of test that is not in train": Layout(split_rows(test=("cat", "dog", "fox")), Refused(r"fox.*--class-mismatch")),
    "a plural in test": Layout(split_rows(test=("cats", "dog")), Refused(r"'cats'.*'cat'.*--class-mismatch merge")),
    "a plural in test, merged": Layout(split_rows(test=("cats", "dog")), said("cats.*cat", SPLIT), {"class_mismatch": "merge"}),
    "an underscore in test": Layout(split_rows(train=("big cat", "dog"), test=("big_cat", "dog")), Refused(r"'big_cat'.*'big cat'.*--class-mismatch merge")),
    "a slip in test": Layout(split_rows(train=("labrador", "dog"), test=("labradr", "dog")), Refused(r"'labradr'.*'labrador'.*--class-mismatch merge")),
    "capitals in test": Layout(split_rows(test=("Cat", "dog")), Refused("--class-case merge")),
    "capitals in test, merged": Layout(split_rows(test=("Cat", "dog")), Read({"Cat": 8, "dog": 8}, {"train": 8, "test": 8}), {"class_case": "merge"}),
    "an empty folder": Layout({**rows("cat", "dog"), "fox/note.docx": "x"}, Refused(r"fox.*--class-mismatch skip")),
    "an empty folder, left out": Layout({**rows("cat", "dog"), "fox/note.docx": "x"}, said("fox"), {"class_mismatch": "skip"}),
    "one class": Layout(rows("cat"), Refused("cat")),
    "a copy in two splits": Layout({**split_rows(), "test/cat/copy.png": picture(0)}, Read({"cat": 9, "dog": 8}, {"train": 8, "test": 9}, finding="train")),
    "a copy in two classes": Layout({**rows("cat", "dog"), "dog/copy.png": picture(0)}, Refused("cat.*dog", decoding=True)),
    # classes in the names of files
    "loose, class before the number": Layout(pngs(*(f"{one}.{index}.jpg" for one in ("cat", "dog") for index in range(4))), Refused("cat, dog.*--classes-at name")),
    "loose, by their names": Layout(pngs(*(f"{one}.{index}.jpg" for one in ("cat", "dog") for index in range(4))), said("names of files"), {"classes_at": "name"}),
    "train of cats and dogs": Layout({**pngs(*(f"train/{one}.{index}.jpg" for one in ("cat", "dog") for index in range(4))), "test1/9.jpg": picture(40)}, said("test1 is left out"), {"classes_at": "name"}),
    "numbers before numbers": Layout(pngs(*(f"{one}_{index}.png" for one in (0, 1) for index in range(4))), Read({"0": 4, "1": 4}, {"train": 8}), {"classes_at": "name"}),
    "breeds": Layout({**pngs(*(f"images/{one}_{index}.jpg" for one in ("Abyssinian", "american_bulldog") for index in range(1, 5)))}, Read({"Abyssinian": 4, "american_bulldog": 4}, {"train": 8}), {"classes_at": "name"}),
    "ids for names": Layout(pngs(*(f"{one}.jpg" for one in ISIC)), Refused("--table")),
    # tables
    "ids and a table": Layout({**pngs(*(f"images/{one}.jpg" for one in ISIC)), "HAM10000_metadata.csv": csv("lesion_id,image_id,dx,age", *((f"HAM_{number}", name, "nv" if number < 4 else "mel", 20 + 5 * number) for number, name in enumerate(ISIC)))}, Read({"nv": 4, "mel": 4}, {"train": 8}, "'dx'")),
    "flags that are fractions": Layout({**pngs(*(f"images/{one}.jpg" for one in ISIC)), "truth.csv": csv("image,MEL,NV", *((name, float(number < 4), float(number >= 4)) for number, name in enumerate(ISIC)))}, Refused("--label-columns MEL NV")),
    "flags that are fractions, named": Layout({**pngs(*(f"images/{one}.jpg" for one in ISIC)), "truth.csv": csv("image,MEL,NV", *((name, float(number < 4), float(number >= 4)) for number, name in enumerate(ISIC)))}, Read({"MEL": 4, "NV": 4}, {"train": 8}, multi_label=True), {"label_columns": ("MEL", "NV")}),
    "a zip with a table beside": Layout({"pictures.zip": zipped(inside("x")), "labels.csv": listed("filename,label")}, said("pictures lie in pictures.zip")),
    "a zip with a table inside": Layout({"set.zip": zipped({**inside("x/images"), "x/labels.csv": listed("file,label"), "__MACOSX/x/._labels.csv": "x"})}, ALL, path="set.zip"),
    "a zip of folders": Layout({"set.zip": zipped(inside("deep/er", rows("cat", "dog")))}, ALL, path="set.zip"),
    "a tar of folders": Layout({"set.tar.gz": tarred(rows("cat", "dog"))}, ALL, path="set.tar.gz"),
    "no header": Layout({**LOOSE, "labels.csv": listed("")}, said("no header")),
    "paths of this machine": Layout({**LOOSE, "labels.csv": listed("path,label", HERE + "/{}.png")}, ALL),
    "paths of another machine": Layout({**inside("images"), "labels.csv": listed("path,label", "/content/drive/MyDrive/x/{}.png")}, said("8 paths of the table lead nowhere")),
    "paths of windows": Layout({**LOOSE, "labels.csv": listed("path,label", "D:\\data\\{}.png")}, said("8 paths of the table lead nowhere")),
    "a table in a folder of its own": Layout({**inside("images"), "tables/labels.csv": listed("path,label", "../images/{}.png")}, Refused("--root"), path="tables/labels.csv"),
    "with its root": Layout({**inside("images"), "tables/labels.csv": listed("path,label", "../images/{}.png")}, ALL, {"root": HERE}, path="tables/labels.csv"),
    "endings in other letters": Layout({**LOOSE, "labels.csv": listed("path,label", "{}.PNG")}, said("found by their ends")),
    "fastai": Layout({**inside("train"), "labels.csv": listed("name,label", "train/{}.png")}, ALL),
    "kaggle": Layout({**inside("train"), **inside("test", pngs("x1.png", "x2.png")), "train.csv": listed("image_id,label", "{}"), "test.csv": "image_id\nx1\nx2\n", "sample_submission.csv": "image_id,label\nx1,cat\nx2,cat\n"}, ALL),
    "space between labels": Layout({**inside("train", TAGGED), "train_classes.csv": csv("image_name,tags", *((name[:-4], name.rpartition("_")[0]) for name in TAGGED))}, Read({"clear cat": 4, "clear dog": 4, "clear": 4, "dog": 4}, {"train": 16}, "--label-separator ' '")),
    "space between labels, named": Layout({**inside("train", TAGGED), "train_classes.csv": csv("image_name,tags", *((name[:-4], name.rpartition("_")[0]) for name in TAGGED))}, Read({"clear": 12, "cat": 4, "dog": 8}, {"train": 16}, multi_label=True), {"label_separator": " "}),
    "bars between labels": Layout({**LOOSE, "labels.csv": csv("Image Index,Finding Labels", *((f"{name}.png", "cat|dog" if number % 4 == 0 else kind(name)) for number, name in enumerate(NAMES)))}, Refused(r"--label-separator '\|'")),
    "bars between labels, named": Layout({**LOOSE, "labels.csv": csv("Image Index,Finding Labels", *((f"{name}.png", "cat|dog" if number % 4 == 0 else kind(name)) for number, name in enumerate(NAMES)))}, Read({"cat": 5, "dog": 5}, {"train": 8}, multi_label=True), {"label_separator": "|"}),
    "automl": Layout({**inside("flowers"), "all.csv": csv("", *((("TRAIN", "TEST")[number % 2], f"gs://cloud/flowers/{name}.png", kind(name)) for number, name in enumerate(NAMES)))}, Read(WHOLE, {"train": 4, "test": 4})),
    "automl, some unassigned": Layout({**inside("flowers"), "all.csv": csv("", *((("TRAIN", "UNASSIGNED")[number % 2], f"gs://cloud/flowers/{name}.png", kind(name)) for number, name in enumerate(NAMES)))}, said("UNASSIGNED")),
    "automl, several labels": Layout({**inside("flowers"), "all.csv": csv("", *(("TRAIN", f"gs://cloud/flowers/{name}.png", kind(name), *(["dog"] if number == 0 else [])) for number, name in enumerate(NAMES)))}, Read({"cat": 4, "dog": 5}, {"train": 8}, multi_label=True)),
    "automl, boxes": Layout({**inside("flowers"), "all.csv": csv("", *(("TRAIN", f"gs://cloud/flowers/{name}.png", kind(name), 0.1, 0.1, "", "", 0.9, 0.9, "", "") for name in NAMES for _ in range(2)))}, said("boxes")),
    # exports of labelling tools
    "voc": Layout({**inside("JPEGImages"), **VOC}, said("boxes")),
    "voc, several classes": Layout({**inside("JPEGImages"), **VOC, "Annotations/cat_0.xml": voc("cat_0", "cat", "dog")}, Read({"cat": 4, "dog": 5}, {"train": 8}, "boxes", multi_label=True)),
    "voc with splits": Layout({**inside("VOCdevkit/VOC2012/JPEGImages"), **inside("VOCdevkit/VOC2012", VOC), **{f"VOCdevkit/VOC2012/ImageSets/Main/{split}.txt": "\n".join(NAMES[place::2]) + "\n" for place, split in enumerate(("train", "val"))}, "VOCdevkit/VOC2012/ImageSets/Main/cat_train.txt": "x"}, Read(WHOLE, {"train": 4, "validation": 4}, "boxes")),
    "voc's lists alone": Layout({**inside("JPEGImages"), **{f"ImageSets/Main/{one}_{split}.txt": "".join(f"{name} {1 if kind(name) == one else -1}\n" for name in NAMES[place::2]) for one in ("cat", "dog") for place, split in enumerate(("train", "val"))}}, Read(WHOLE, {"train": 4, "validation": 4})),
    "voc beside the pictures": Layout({f"{split}/{name}{ending}": content for place, split in enumerate(("train", "test")) for number, name in enumerate(NAMES) for ending, content in ((".png", picture(20 * place + number)), (".xml", voc(name, kind(name))))}, said("boxes", SPLIT)),
    "coco": Layout({**inside("train2017", pngs(*(f"{name}.png" for name in NAMES[::2]))), "annotations/instances_train2017.json": coco(NAMES[::2]), **{f"val2017/{name}.png": picture(30 + number) for number, name in enumerate(NAMES[1::2])}, "annotations/instances_val2017.json": coco(NAMES[1::2])}, Read(WHOLE, {"train": 4, "validation": 4}, "boxes")),
    "coco, several classes": Layout({**inside("images"), "annotations.json": coco(NAMES, several=True)}, Read({"cat": 4, "dog": 5}, {"train": 8}, "boxes", multi_label=True)),
    "coco with a test set": Layout({**inside("train2017"), "annotations/instances_train2017.json": coco(NAMES), **inside("test2017", pngs("x1.png", "x2.png"))}, said("2 pictures are left out: no annotation tells of test2017/x1.png")),
    "roboflow's coco": Layout(per_split("_annotations.coco.json", coco(NAMES, unused=("animals",))), said("boxes", SPLIT)),
    "roboflow's boxes": Layout({**per_split("_annotations.csv", BOXES), "README.roboflow.txt": "words of it"}, said("boxes", SPLIT)),
    "roboflow's several classes": Layout({**per_split("_classes.csv", BOTH), "README.dataset.txt": "words of it"}, Read({"cat": 16, "dog": 8}, {"train": 8, "test": 8}, multi_label=True)),
    "roboflow's flags of one class each": Layout(per_split("_classes.csv", FLAGS), SPLIT),
    "roboflow's folders": Layout({**split_rows(name="train", other="valid"), "README.dataset.txt": "words of it", "README.roboflow.txt": "words"}, Read({"cat": 8, "dog": 8}, {"train": 8, "validation": 8})),
    "yolo of roboflow": Layout({**yolo_rows("{split}/{what}", split="train"), **yolo_rows("{split}/{what}", split="valid"), "data.yaml": YAML, "README.roboflow.txt": "words"}, Read({"cat": 8, "dog": 8}, {"train": 8, "validation": 8}, "boxes")),
    "yolo": Layout({**yolo_rows("{what}/{split}", split="train"), **yolo_rows("{what}/{split}", split="val"), "coco128.yaml": YAML_MAP}, Read({"cat": 8, "dog": 8}, {"train": 8, "validation": 8}, "boxes")),
    "yolo, several classes, without names": Layout({**yolo_rows("{what}{split}"), "labels/cat_0.txt": yolo(0, 1)}, Read({"0": 4, "1": 5}, {"train": 8}, "names", multi_label=True)),
    "hugging face, a table a split": Layout(per_split("metadata.jsonl", hub_lines()), SPLIT),
    "hugging face, a csv a split": Layout(per_split("metadata.csv", listed("file_name,label")), SPLIT),
    "hugging face, one": Layout({**inside("images"), "metadata.csv": listed("file_name,label", "images/{}.png")}, ALL),
    "hugging face, deeper": Layout(per_split("metadata.csv", listed("file_name,label"), folder="data/{}"), SPLIT),
    "descriptions, no classes": Layout({**LOOSE, "metadata.jsonl": "".join(json.dumps({"file_name": f"{name}.png", "text": f"a long description of picture {name}"}) + "\n" for name in NAMES)}, Refused("--label-column")),
    "createml": Layout({**inside("train"), "train/_annotations.createml.json": json.dumps([{"image": f"{name}.png", "annotations": [{"label": kind(name), "coordinates": {"x": 1}}]} for name in NAMES])}, said("boxes")),
    "labelme": Layout({**inside("images"), **{f"images/{name}.json": json.dumps({"version": "5", "imagePath": f"{name}.png", "shapes": [{"label": kind(name), "points": []}]}) for name in NAMES}}, said("boxes")),
    "captions beside pictures": Layout({**LOOSE, **{f"{name}.txt": f"a photo of a {kind(name)}" for name in NAMES}}, Refused("--table|--classes-at name")),
    "voc that cannot be parsed": Layout({**inside("JPEGImages"), **VOC, "Annotations/cat_0.xml": "<annotation><object>"}, Refused("cat_0.xml", decoding=True)),
    "voc that cannot be parsed, left out": Layout({**inside("JPEGImages"), **VOC, "Annotations/cat_0.xml": "<annotation><object>"}, Read({"cat": 3, "dog": 4}, {"train": 7}, finding="no XML"), {"on_unreadable": "skip"}),
    "voc with entities": Layout({**inside("JPEGImages"), **VOC, "Annotations/cat_0.xml": '<!DOCTYPE a [<!ENTITY b "cat">]>' + voc("cat_0", "&b;")}, Refused("cat_0.xml.*declares entities", decoding=True)),
    "voc without a picture": Layout({**inside("JPEGImages"), **VOC, "Annotations/fox_0.xml": voc("fox_0", "cat")}, Refused("fox_0.xml: there is no picture of this name.*--on-unreadable|fox_0.xml: there is no picture", decoding=True)),
    "coco that is none": Layout({**inside("images"), "annotations.json": json.dumps({"images": [{"id": 1}], "annotations": [], "categories": []})}, Refused("annotations.json is no COCO file: KeyError at 'file_name'")),
    "yolo of a class without a name": Layout({**yolo_rows("{what}{split}"), "labels/cat_0.txt": yolo(7), "data.yaml": YAML}, Refused("cat_0.txt: class 7, where 2 are named", decoding=True)),
    "yolo of names twice in one": Layout({**yolo_rows("{what}{split}"), "classes.txt": "cat\ndog\n"}, said("boxes")),
    # sets that everybody knows
    "tiny imagenet": Layout({**rows("train/n01/images", "train/n02/images", ending=".JPEG"), "train/n01/n01_boxes.txt": "0.JPEG\t0\t0\t9\t9\n", **inside("val/images", pngs("v0.JPEG", "v1.JPEG")), "val/val_annotations.txt": "v0.JPEG\tn01\t0\t0\t9\t9\nv1.JPEG\tn02\t0\t0\t9\t9\n", "wnids.txt": "n01\nn02\n"}, Read({"n01": 4, "n02": 4}, {"train": 8}, "val is left out")),
    "food": Layout({**rows("food/images/cake", "food/images/pie"), "food/meta/train.txt": "cake/0\n", "food/meta/classes.txt": "cake\npie\n"}, Read({"cake": 4, "pie": 4}, {"train": 8})),
    "birds": Layout({**rows("images/001.Crow", "images/002.Owl"), "images.txt": "1 001.Crow/0.png\n", "classes.txt": "1 001.Crow\n2 002.Owl\n", "train_test_split.txt": "1 0\n"}, Read({"001.Crow": 4, "002.Owl": 4}, {"train": 8}, "images.txt")),
    "dogs": Layout({**rows("Images/n02-pug", "Images/n03-lab"), "Annotation/n02-pug/n02_1": "<annotation/>"}, Read({"n02-pug": 4, "n03-lab": 4}, {"train": 8}, "Annotation is left out")),
    "skin": Layout({**pngs(*(f"part_{1 + number // 4}/{name}.jpg" for number, name in enumerate(ISIC))), "meta.csv": csv("image_id,dx", *((name, ("nv", "mel")[number % 2]) for number, name in enumerate(ISIC)))}, Read({"nv": 4, "mel": 4}, {"train": 8})),
    "xrays": Layout({**pngs(*(f"images_00{1 + number // 4}/images/{name}.png" for number, name in enumerate(ISIC))), "Data_Entry_2017.csv": csv("Image Index,Finding Labels,Patient ID", *((f"{name}.png", ("Mass", "Hernia")[number % 2], number) for number, name in enumerate(ISIC))), "LONG_NAMES.pdf": "x"}, Read({"Mass": 4, "Hernia": 4}, {"train": 8})),
    "a table of other classes than the folders": Layout({**rows("a", "b"), "labels.csv": csv("path,label", *((f"{one}/{index}.png", ("cat", "dog")[index % 2]) for one in "ab" for index in range(4)))}, Refused("--table labels.csv.*--classes-at leaf")),
    "a table of other classes, left aside": Layout({**rows("a", "b"), "labels.csv": csv("path,label", *((f"{one}/{index}.png", ("cat", "dog")[index % 2]) for one in "ab" for index in range(4)))}, Read({"a": 4, "b": 4}, {"train": 8}, "not read"), {"classes_at": "leaf"}),
    "a table of other classes, read": Layout({**rows("a", "b"), "labels.csv": csv("path,label", *((f"{one}/{index}.png", ("cat", "dog")[index % 2]) for one in "ab" for index in range(4)))}, ALL, {"table": "labels.csv"}),
    "a table beside folders of classes": Layout({**rows("cat", "dog"), "notes.csv": csv("path,label", ("cat/0.png", "x"), ("dog/0.png", "y"))}, said("notes.csv is not read.*--table notes.csv")),
    "a table a split": Layout({**inside("images"), "train.csv": csv("file,label", *((f"{name}.png", kind(name)) for name in NAMES if not name.endswith("3"))), "test.csv": csv("file,label", ("cat_3.png", "cat"), ("dog_3.png", "dog"))}, Read(WHOLE, {"train": 6, "test": 2})),
    "a table of a test without labels": Layout({**inside("images"), "train.csv": listed("file,label"), "test.csv": "file\nx.png\n"}, said("test.csv is left out")),
    "addresses": Layout({**inside("images"), "labels.csv": listed("url,label", "https://example.org/a/{}.png?size=1")}, Refused("url|--path-column|--root")),
    "an empty split": Layout({**rows("train/cat", "train/dog"), "test/cat/.keep": "", "test/dog/.keep": ""}, said("test is left out: no example in it")),
    "two folders of one split": Layout(rows("train/cat", "train/dog", "val/cat", "val/dog", "valid/cat", "valid/dog"), Refused("one folder a split")),
    # pictures of every kind
    "kinds of pictures": Layout({**rows("cat", "dog"), "cat/a.jpg": shot(30, "CMYK", "JPEG"), "cat/b.png": shot(31, "P"), "cat/c.png": shot(32, "LA"), "cat/d.png": shot(33, "1"), "cat/e.png": shot(34, "I;16"), "cat/f.tif": shot(35, "RGB", "TIFF"), "cat/g.webp": shot(36, "RGB", "WEBP")}, Read({"cat": 11, "dog": 4}, {"train": 15})),
    "avif": Layout({**rows("cat", "dog"), "cat/a.avif": shot(30, "RGB", "AVIF"), "dog/b.AVIF": shot(31, "RGB", "AVIF")}, Read({"cat": 5, "dog": 5}, {"train": 10})),
    "a picture that is cut off": Layout(TRUNCATED, Refused("broken.png", decoding=True)),
    "a picture that is cut off, left out": Layout(TRUNCATED, Read({"cat": 5, "dog": 4}, {"train": 9}, finding="unreadable picture"), {"on_unreadable": "skip"}),
    "a name of two endings": Layout(pngs(*(f"{one}/{index}.jpg.png" for one in ("cat", "dog") for index in range(4))), ALL),
}  # fmt: skip


def plant(root: Path, files) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.replace(HERE, root.as_posix()).encode()
        path.write_bytes(content)


_OF_LAYOUT = ("classes_at", "class_case", "class_mismatch")


def ask(layout: Layout, root: Path) -> dict[str, Any]:
    """What the three commands make of a layout: an error, or what each of them found."""
    plant(root, layout.files)
    path = root / layout.path
    flags: dict[str, Any] = {name: value.replace(HERE, str(root)) if isinstance(value, str) else value for name, value in layout.flags.items()}  # fmt: skip
    of_layout: dict[str, Any] = {name: flags.pop(name) for name in _OF_LAYOUT if name in flags}
    made: dict[str, Any] = {"layout": reading.Layout(**of_layout)} if of_layout else {}
    skip: dict[str, Any] = {"on_unreadable": flags.pop("on_unreadable")} if "on_unreadable" in flags else {}

    def tried(call):
        try:
            return call()
        except (ValueError, OSError) as error:
            return error

    several = isinstance(layout.expected, Read) and layout.expected.multi_label
    sizes: dict[str, Any] = (
        {"validation": 2, "test": 2} if several else {}
    )  # a tenth of eight is too few for every class
    settings = reading.PictureReading(**flags, **made, **skip, **sizes)
    return {
        "run": tried(lambda: loading.pictures(str(path), size=(8, 8), reading=settings)),
        "advise": tried(lambda: facts.summarize(path, **flags, **made)),
        "audit": tried(lambda: audit.audit(path, near=False, **flags, **made)),
    }


def wrong(layout: Layout, found: dict[str, Any]) -> list[str]:
    """What is not as it should be, a sentence each."""
    expected, problems = layout.expected, []
    run, advised, findings = found["run"], found["advise"], found["audit"]
    errors = [] if isinstance(findings, Exception) else [one for one in findings if one.severity != "note"]
    if isinstance(expected, Refused):
        for command in ("run", "advise"):
            if command == "advise" and expected.decoding:
                continue
            one = found[command]
            if not isinstance(one, Exception):
                problems.append(f"{command} takes it: {_shown(one)}")
            elif not re.search(expected.words, str(one), re.DOTALL):
                problems.append(f"{command} refuses otherwise: {one}")
        spoken = (
            str(findings) if isinstance(findings, Exception) else " ".join(f"{one.where} {one.what}" for one in errors)
        )
        if not re.search(expected.words, spoken, re.DOTALL):
            problems.append(f"audit says otherwise: {spoken!r}")
        return problems
    if isinstance(run, Exception):
        problems.append(f"run refuses: {run}")
    else:
        shown = _shown(run)
        if set(shown["counts"]) != set(expected.counts) or shown["multi_label"] != expected.multi_label:
            problems.append(f"run reads {shown}")
        for split, count in expected.parts.items():
            if split != "train" and shown["parts"][split] != count:
                problems.append(f"run has {shown['parts']}")
    if isinstance(advised, Exception):
        problems.append(f"advise refuses: {advised}")
    else:
        if dict(advised.counts) != expected.counts or dict(advised.parts) != expected.parts:
            problems.append(f"advise reads {dict(advised.counts)} {dict(advised.parts)}")
        if (advised.examples is not None) != expected.multi_label:
            problems.append("advise errs in how many classes one has")
        if not re.search(expected.said, " ".join(advised.said), re.DOTALL):
            problems.append(f"advise says {advised.said}")
    if isinstance(findings, Exception):
        problems.append(f"audit refuses: {findings}")
    else:
        notes = " ".join(one.what for one in findings if one.severity == "note")
        if not re.search(expected.said, notes, re.DOTALL):
            problems.append(f"audit says {notes}")
        bad = [f"{one.where}: {one.what}" for one in errors if one.severity == "error"]
        if bad and not (expected.finding and re.search(expected.finding, " ".join(bad))):
            problems.append(f"audit finds {bad}")
    return problems


def _shown(one: Any) -> dict[str, Any]:
    if isinstance(one, types.Dataset):
        return {
            "counts": dict.fromkeys(one.task.target.names),
            "parts": {split.name: len(split) for split in (one.train, one.validation, one.test)},
            "multi_label": "multi" in one.task.target.kind,
        }
    return {"counts": dict(one.counts), "parts": dict(one.parts)}


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_read_rightly_or_refused_with_what_helps(tmp_path, name):
    layout = LAYOUTS[name]
    assert wrong(layout, ask(layout, tmp_path)) == []


def test_there_are_as_many_layouts_as_promised():
    assert len(LAYOUTS) >= COUNT
    assert sum(isinstance(one.expected, Read) for one in LAYOUTS.values()) >= 40
