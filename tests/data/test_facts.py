from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kerastl.data import facts


def picture(path, *, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((size[1], size[0], 3), np.uint8)).save(path)


def test_folders_and_tables_of_pictures(tmp_path):
    for index in range(5):
        picture(tmp_path / "set" / "train" / ("cat", "dog")[index % 2] / f"{index}.png")
    picture(tmp_path / "set" / "test" / "cat" / "9.png", size=(20, 60))
    picture(tmp_path / "set" / "test" / "dog" / "8.png")
    assert facts.summarize(tmp_path / "set")[:5] == ("pictures", {"cat": 4, "dog": 3}, 30, True, None)
    lines = ["file,kind", "train/cat/0.png,a", "train/dog/1.png,b", "train/dog/3.png,b"]
    (tmp_path / "set" / "set.csv").write_text("\n".join(lines))
    found = facts.summarize(tmp_path / "set" / "set.csv", path_column="file", label_column="kind")
    assert found[:5] == ("pictures", {"a": 1, "b": 2}, 30, True, None)


def test_texts_by_their_tokens_and_their_language(tmp_path):
    english = [f"the film was {'very ' * 20}good" for _ in range(9)] + ["a bad film"]
    rows = [f"{text},{'good' if 'good' in text else 'bad'}" for text in english]
    (tmp_path / "set.csv").write_text("\n".join(["text,label", *rows]))
    found = facts.summarize(tmp_path / "set.csv")
    assert found[:5] == ("texts", {"good": 1, "bad": 1}, 23, True, None), "copies are left out, as in a run"
    assert found.said == ("copies of a text are left out: 8",)
    (tmp_path / "set.csv").write_text("\n".join(["text,label", *rows, "a bad film,good", ",bad"]))
    found = facts.summarize(tmp_path / "set.csv")
    assert found.unusable == ("line 13: empty text", "line 11 'bad', line 12 'good': the same text with 2 labels")
    thai = "ภาพยนตร์เรื่องนี้ดีมากและน่าติดตาม"
    (tmp_path / "thai.csv").write_text("\n".join(["text,label", f"{thai},1", f"{thai}ไม่,0"]), encoding="utf-8")
    assert not facts.summarize(tmp_path / "thai.csv").familiar
    french = ["le film est très bon, et je ne sais pas pourquoi", "ce n'est pas un film pour moi, mais il est court"]
    (tmp_path / "french.csv").write_text("\n".join(["text,label", *(f'"{text}",{len(text) % 2}' for text in french)]))
    found = facts.summarize(tmp_path / "french.csv")
    assert not found.familiar
    assert found.said == ("the texts look French, and the encoder knows English",)


def test_arrays_of_pictures_and_of_other_numbers(tmp_path):
    np.savez(tmp_path / "set.npz", x=np.zeros((6, 28, 20), np.uint8), y=np.arange(6) % 2)
    assert facts.summarize(tmp_path / "set.npz")[:5] == ("pictures", {"0": 3, "1": 3}, 20, True, None)
    np.savez(tmp_path / "other.npz", x=np.zeros((6, 28)), y=np.arange(6) % 2)
    with pytest.raises(ValueError, match="arrays of pictures"):
        facts.summarize(tmp_path / "other.npz")


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder"):
        facts.summarize(tmp_path / "nowhere")


def test_each_of_several_classes_is_counted(tmp_path):
    sets = ["a|b", "", "b", "a", "b"]
    for index in range(5):
        picture(tmp_path / f"{index}.png")
    lines = [f"{n}.png,text {n},{names},{int('a' in names)},{int('b' in names)},0" for n, names in enumerate(sets)]
    (tmp_path / "set.csv").write_text("\n".join(["path,words,label,a,b,c", *lines]))
    for column, kind, length in (("words", "texts", 4), ("text", "pictures", 30)):
        found = facts.summarize(tmp_path / "set.csv", text_column=column, label_separator="|")
        assert found[:5] == (kind, {"a": 2, "b": 3}, length, True, 5)
        found = facts.summarize(tmp_path / "set.csv", text_column=column, label_columns=["a", "b"])
        assert (found.counts, found.examples) == ({"a": 2, "b": 3}, 5)
    found = facts.summarize(tmp_path / "set.csv", text_column="words", label_columns=["a", "b", "c"])
    assert (found.counts, found.examples) == ({"a": 2, "b": 3, "c": 0}, 5)
    with pytest.raises(ValueError, match=r"none of 'c' in train\. --class-mismatch skip"):
        facts.summarize(tmp_path / "set.csv", label_columns=["a", "b", "c"])
    assert facts.summarize(tmp_path / "set.csv", text_column="words").counts["a|b"] == 1, (
        "without a word it is one class"
    )
    np.savez(tmp_path / "set.npz", x=np.zeros((6, 28, 20), np.uint8), y=np.arange(6) % 2)
    with pytest.raises(ValueError, match="Separated labels are read from tables"):
        facts.summarize(tmp_path / "set.npz", label_separator="|")


def test_sizes_are_asked_of_the_formats_alone_that_are_read(tmp_path):
    """Pillow knows formats whose decoders start programs or follow links; nobody else opens a picture in them."""
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (12, 10)).save(tmp_path / name / "1.png", "PCX")
        Image.new("RGB", (30, 40)).save(tmp_path / name / "2.png", "PNG")
    assert facts.summarize(tmp_path).length == 30
