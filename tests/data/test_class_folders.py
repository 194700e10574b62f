from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kerastl.data import audit, class_folders, image_folder
from kerastl.data.tables.table import Layout

LOAD = {"size": (12, 10), "validation": 0.2, "test": 0.2}


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KERASTL_HOME", str(tmp_path_factory.mktemp("home")))


def wrong(path):
    return [one for one in audit.audit(path) if one.severity != "note"]


def plant(folder: Path, names: list[str], *, seed: int = 0) -> dict[Path, np.ndarray]:
    """Ten pictures of noise in a folder a class; what each was made of, by its path."""
    generator = np.random.default_rng(seed)
    planted = {}
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(10):
            path = folder / name / f"{index}.png"
            planted[path] = generator.integers(0, 256, (12, 10, 3)).astype(np.uint8)
            Image.fromarray(planted[path]).save(path)
    return planted


def test_splits_are_folders_of_their_names_and_else_all_is_training(tmp_path):
    for split in ("Training", "val"):
        plant(tmp_path / "divided" / split, ["a", "b"])
    found = class_folders.splits_of(tmp_path / "divided")
    assert found == {"train": tmp_path / "divided" / "Training", "validation": tmp_path / "divided" / "val"}
    assert class_folders.splits_of(found["train"]) == {"train": found["train"]}
    plant(tmp_path / "divided", ["extra"])
    found = class_folders.read(tmp_path / "divided")
    assert len(found.examples) == 40
    assert found.said == ("extra is left out: 10 files in no class folder",)


def test_pictures_come_by_class_and_by_name(tmp_path):
    plant(tmp_path, ["10", "9"])
    (tmp_path / "9" / "notes.txt").write_text("no picture")
    found = class_folders.read(tmp_path).examples
    assert [one.label for one in found] == ["9"] * 10 + ["10"] * 10
    assert [one.file.name for one in found[:10]] == [f"{index}.png" for index in range(10)]


def test_no_picture_is_passed_over_for_its_name(tmp_path):
    planted = plant(tmp_path, ["a", "b"])
    Image.fromarray(np.full((12, 10, 3), 90, np.uint8)).save(tmp_path / "a" / "more.jfif", format="JPEG")
    dataset = image_folder.load(tmp_path, **LOAD)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == len(planted) + 1
    (tmp_path / "a" / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ValueError, match=r"1 picture of .*\n.*phone\.heic: "):
        image_folder.load(tmp_path, **LOAD)
    assert [(one.severity, one.where) for one in wrong(tmp_path)] == [("error", "a/phone.heic")]


@pytest.mark.parametrize("hidden", [".thumbnails", "__MACOSX", "@eaDir", "inner/.cache"])
def test_copies_in_hidden_folders_are_no_pictures(tmp_path, hidden):
    planted = plant(tmp_path, ["a", "b"])
    folder = tmp_path / "a" / hidden
    folder.mkdir(parents=True)
    Image.fromarray(next(iter(planted.values()))).resize((7, 9)).save(folder / "0.png")
    (tmp_path / hidden.split("/")[-1]).mkdir()  # beside the classes, as in macOS' archives
    dataset = image_folder.load(tmp_path, **LOAD)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == len(planted)
    assert wrong(tmp_path) == []


def test_splits_of_other_names_are_no_classes(tmp_path, capsys):
    for seed, name in enumerate(("val", "test")):
        plant(tmp_path / name, ["cats", "dogs"], seed=seed)
    words = "test, val, each with cats, dogs, in .*: name them train, validation, test"
    with pytest.raises(ValueError, match=words):
        image_folder.load(tmp_path, **LOAD)
    assert any("name them train, validation, test" in one.what for one in wrong(tmp_path))
    (tmp_path / "val").rename(tmp_path / "training_set")
    dataset = image_folder.load(tmp_path, **LOAD)
    assert dataset.task.target.names == ("cats", "dogs")
    assert len(dataset.test) == 20
    assert "training_set is taken for train" in capsys.readouterr().err


def test_folders_within_classes_are_no_splits(tmp_path):
    for number, name in enumerate(("cats", "dogs")):
        plant(tmp_path / name, ["black", "white"], seed=number)
    assert image_folder.load(tmp_path, **LOAD, layout=Layout(classes_at="top")).task.target.names == ("cats", "dogs")
    (asked,) = wrong(tmp_path)
    assert "--classes-at inner takes black, white for classes, --classes-at top cats, dogs" in asked.what


def test_a_link_to_nothing_is_a_picture_that_is_missing(tmp_path):
    plant(tmp_path, ["a", "b"])
    (tmp_path / "a" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match=r"1 picture of .*\n.*lost\.png: there is no such file"):
        image_folder.load(tmp_path, **LOAD)
    assert [(one.severity, one.where) for one in wrong(tmp_path)] == [("error", "a/lost.png")]
