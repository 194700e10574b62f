"""Pictures that a table lists, and those in an archive; folders are tested in ``test_audit``."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from kerastl import cli
from kerastl.data import audit


@pytest.fixture
def table(tmp_path):
    """Three pictures of each of two classes in train, one in test, and the table that lists them."""
    draw, lines = np.random.default_rng(0), ["path,label,split"]
    (tmp_path / "photos").mkdir()
    for name in ("cat", "dog"):
        for number in range(4):
            pixels = draw.integers(0, 256, (9, 7, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}{number}.png")
            lines.append(f"photos/{name}{number}.png,{name},{'test' if number == 3 else 'train'}")
    (tmp_path / "set.csv").write_text("\n".join(lines))
    return tmp_path / "set.csv"


def findings(path, **options):
    return [(one.severity, one.where, one.what) for one in audit.audit(path, **options) if one.severity != "note"]


def test_a_sound_table_has_no_finding(table):
    assert findings(table) == []
    text = table.read_text().replace("path,label,split", "file,kind,part")
    table.write_text(text)
    assert findings(table, path_column="file", label_column="kind", split_column="part") == []


def test_pictures_that_cannot_be_read_and_copies_are_named_with_their_line(table):
    photos = table.parent / "photos"
    (photos / "cat1.png").write_bytes(b"")
    (photos / "dog0.png").unlink()
    shutil.copy(photos / "dog1.png", photos / "dog3.png")
    shutil.copy(photos / "dog2.png", photos / "cat2.png")
    found = findings(table, near=False)
    assert ("error", "line 3: photos/cat1.png", "an empty file") in found
    assert any(where == "line 6: photos/dog0.png" and severity == "error" for severity, where, _ in found)
    assert any(where == "test and train" and "line 7: photos/dog1.png" in what for _, where, what in found)
    assert any(where == "labels" and "(cat)" in what and "(dog)" in what for _, where, what in found)
    assert len(found) == 5  # the copy within train is the last


def test_classes_and_splits_of_a_table(table):
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], lines[-1].replace("test", "exam")]))
    ((severity, where, what),) = findings(table)
    assert (severity, where) == ("error", "set.csv")
    assert "line 9: split 'exam', which is none of train, validation, test" in what
    table.write_text("\n".join(lines[:-1]))
    (*_, flags), *found = sorted(findings(table))
    assert "none of 'dog' in test. --class-mismatch skip" in flags
    assert found == [
        ("error", "test", "no example of class dog"),
        ("error", "test", "one class only, cat: there is nothing to tell apart"),
    ]


def test_a_table_that_is_not_taken(table):
    table.write_text(table.read_text() + "\n../secret.png,cat,train")
    ((severity, where, what),) = findings(table)
    assert (severity, where) == ("error", "set.csv")
    assert "leads out of" in what


def test_an_archive_is_unpacked_looked_at_and_gone(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    pixels = np.random.default_rng(1).integers(0, 256, (4, 9, 7, 3), np.uint8)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number, picture in enumerate(pixels):
            Image.fromarray(picture).save(tmp_path / "one.png")
            archive.write(tmp_path / "one.png", f"photos/{('cat', 'dog')[number % 2]}/{number}.png")
        archive.writestr("photos/dog/page.jpg", "<html></html>")
    assert findings(tmp_path / "photos.zip") == [("error", "dog/page.jpg", "a web page, not a picture")]
    with zipfile.ZipFile(tmp_path / "hostile.zip", "w") as archive:
        archive.writestr("../out.png", b"x")
    ((severity, where, what),) = findings(tmp_path / "hostile.zip")
    assert (severity, where) == ("error", "hostile.zip")
    assert "../out.png" in what
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_command_takes_the_names_of_columns(table, capsys):
    table.write_text(table.read_text().replace("path,label", "file,kind"))
    assert cli.main(["audit", str(table), "--path-column", "file", "--label-column", "kind"]) == 0
    assert "nothing wrong found" in capsys.readouterr().out


def test_pictures_of_several_classes(tmp_path):
    draw, lines = np.random.default_rng(0), ["path,label,split,red,round"]
    sets = [("red", "round"), (), ("round",), ("red",)] * 2
    for index, names in enumerate(sets):
        Image.fromarray(draw.integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / f"{index}.png")
        flags = f"{int('red' in names)},{int('round' in names)}"
        lines.append(f"{index}.png,{'|'.join(names)},{'train' if index < 4 else 'test'},{flags}")
    path = tmp_path / "set.csv"
    path.write_text("\n".join(lines))
    for how in ({"label_separator": "|"}, {"label_columns": ["red", "round"]}):
        assert findings(path, **how) == []
    shutil.copy(tmp_path / "0.png", tmp_path / "1.png")
    (tmp_path / "4.png").write_bytes(b"")
    (tmp_path / "7.png").write_bytes(b"")
    found = findings(path, label_separator="|", near=False)
    assert ("error", "test/red", "class without a readable picture") in found
    assert any(where == "labels" and "(red|round)" in what for _, where, what in found)
    assert not any("test/round" in where for _, where, _ in found)
    assert findings(path, label_separator=";")[0][:2] == ("error", "set.csv")
    assert cli.main(["audit", str(path), "--label-columns", "red", "round", "--quick"]) == 1
    assert findings(tmp_path, label_separator="|", near=False)[1:] == found[1:], "the table inside"
