"""Tables and text files of inputs: rows and lines as batches of one, broken ones alone."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image as Pillow

from kerastl.inputs.image import Image
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.runs import input_files

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "film")
SENTENCES = Text(4, WORDS)
RAIN = Numbers.of(
    np.array([[3, 1, 0], [4, 0, 1], [5, 1, 0], [6, 0, 0]], np.float32), columns=("hour", "sky=clear", "sky=mist")
)
"""One row had no sky."""


def read(path: Path, kind, **options) -> dict:
    return dict(input_files.read(path, kind, **{"settings": {}, **options}))


def ids(sentence: str) -> list:
    return SENTENCES.of_row({"text": sentence}).tolist()


@pytest.mark.parametrize(
    ("name", "content", "options", "lines"),
    [
        ("a.csv", "label,text\npos,good film\n,a\n", {}, {2: "good film", 3: "a"}),
        ("a.tsv", 'label\treview\npos\tgood film\nneg\t"a\nfilm"\n', {}, {2: "good film", 3: "a film"}),
        ("a.csv", "text;other\na;good film\n", {}, {2: "a"}),
        ("a.csv", "5,good film\n1,a film\n", {}, {1: "good film", 2: "a film"}),
        ("a.csv", "5,good\n1,a\n", {"settings": {"text_column": "2"}}, {1: "good", 2: "a"}),
        ("a.csv", "text;other\na;good film\n", {"column": "other"}, {2: "good film"}),
        ("a.csv", "text,said\na,good film\n", {"settings": {"text_column": "said"}}, {2: "good film"}),
        ("a.csv", "text,kind\na,good film\n", {"settings": {"text_column": "said"}}, {2: "good film"}),
        ("a.jsonl", '{"text": "good"}\n\n{"text": "film"}\n', {}, {1: "good", 3: "film"}),
        ("a.json", '["good film", "a film"]', {}, {1: "good film", 2: "a film"}),
        ("a.json", '[{"text": "good", "stars": 5}, {"text": "film", "stars": 1}]', {}, {1: "good", 2: "film"}),
        ("a.json", '[["good film", 5], ["a film", 1]]', {}, {1: "good film", 2: "a film"}),
        ("a.txt", "\ufeffgood film\r\n\n a.csv \n", {}, {1: "good film", 3: " a.csv "}),
    ],
)
def test_sentences_of_a_file(name, content, options, lines, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode())
    found = read(path, SENTENCES, **options)
    assert {name: batch.tolist() for name, batch in found.items()} == {
        f"{path}:{line}": ids(sentence) for line, sentence in lines.items()
    }


def test_parquet_of_sentences_of_pictures_and_of_numbers(tmp_path):
    table = pyarrow.table({"stars": [5, 1], "review": ["good film", "a film"]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", SENTENCES)
    assert [batch.tolist() for batch in found.values()] == [ids("good film"), ids("a film")]
    for number in range(2):
        Pillow.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"{number}.png")
    pyarrow.parquet.write_table(pyarrow.table({"file": ["0.png", "1.png"], "n": [5, 7]}), tmp_path / "b.parquet")
    (tmp_path / "b.json").write_text('["0.png", "1.png"]')
    for name in ("b.parquet", "b.json"):
        found = read(tmp_path / name, Image((4, 4, 3)))
        assert [batch[0, 0, 0, 0] for batch in found.values()] == [0, 1]
    rows = pyarrow.table({"hour": [3.0, 4.0], "sky": ["clear", "mist"]})
    pyarrow.parquet.write_table(rows, tmp_path / "c.parquet")
    (tmp_path / "c.json").write_text('[{"hour": 3, "sky": "clear"}, {"hour": 4, "sky": "mist"}]')
    for name in ("c.parquet", "c.json"):
        found = read(tmp_path / name, RAIN)
        assert [batch.tolist() for batch in found.values()] == [[[3, 1, 0]], [[4, 0, 1]]]


def test_what_is_read_ahead_comes_in_order_and_nobody_waits_for_the_rest():
    started, go = [], threading.Event()

    def reads(number):
        def one():
            started.append(number)
            if number == 3:
                raise ValueError("the third")
            assert go.wait(10)
            return np.full((1, 4), number)

        return one

    kind = Numbers((10_000_000,))  # of which few are held at once
    given = [(str(number), reads(number)) for number in range(40)]
    given[5] = ("5", error := OSError("gone"))
    found = input_files.read_ahead(iter(given), kind)
    go.set()
    first = [next(found) for _ in range(10)]
    assert [name for name, _ in first] == [str(number) for number in range(10)]
    assert [batch[0, 0] for _, batch in first if isinstance(batch, np.ndarray)] == [0, 1, 2, 4, 6, 7, 8, 9]
    assert str(first[3][1]) == "the third"
    assert first[5][1] is error
    found.close()
    assert max(started) < 20, "not all of a folder is held in memory"


def test_a_guessed_column_is_said_and_a_known_one_is_not(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("stars,review\n5,a good film\n")
    read(path, SENTENCES)
    assert "a.csv: inputs are what stands under 'review'" in capsys.readouterr().err
    read(path, SENTENCES, column="review")
    read(path, SENTENCES, settings={"text_column": "review"})
    assert capsys.readouterr().err == ""


def test_a_broken_row_is_one_broken_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("label,text\npos,good\nneg,\nneg,a,film\n,film\n")
    first, empty, torn, last = read(path, SENTENCES).values()
    assert [first.tolist(), last.tolist()] == [ids("good"), ids("film")]
    assert str(empty) == f"{path}, line 3: Wanted a sentence. Received: an empty text."
    assert str(torn) == f"{path}, line 4: 3 fields, where the first line has 2"


@pytest.mark.parametrize(
    ("name", "content", "options", "words"),
    [
        ("a.csv", "text\n", {}, "an input a row, or a line. Received: .*a.csv, which holds none"),
        ("a.csv", "text,kind\ngood,b\n", {"column": "txt"}, r"the column txt .*Did you mean text\? .*: text, kind"),
        ("a.csv", "one,other\na film,a film\n", {}, r"a.csv: Wanted one column of sentences; --column NAME"),
        ("a.rows", "good", {}, r"a table \(.csv, .tsv.*Received: .*a.rows"),
        ("a.parquet", "PAR1", {}, "a.parquet"),
        ("a.txt", "\ufeff\udcff", {}, "is not UTF-8: line 1, byte 3"),
    ],
)
def test_a_file_that_cannot_be_read_is_said(name, content, options, words, tmp_path):
    path = tmp_path / name
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=words):
        read(path, SENTENCES, **options)


def test_rows_of_numbers_by_name_and_in_order(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("count,sky,hour\n12,mist,3\n9,,4\n9,fog,5\n9,clear,na\n")
    whole, gap, fog, missing = read(path, RAIN).values()
    assert [whole.tolist(), gap.tolist()] == [[[3, 0, 1]], [[4, 0, 0]]]
    assert "line 4: Wanted sky to be one of clear, mist. Received: 'fog'" in str(fog)
    assert "line 5: Wanted a number under hour. Received: nothing" in str(missing)
    path.write_text("3,mist\n4,clear\n")
    assert [one.tolist() for one in read(path, RAIN).values()] == [[[3, 0, 1]], [[4, 1, 0]]], "no line of names"
    path.write_text("sky,hours\nmist,3\n")
    with pytest.raises(ValueError, match=r"with the columns hour, sky. Received: sky, hours. Did you mean hours\?"):
        read(path, RAIN)
    with pytest.raises(ValueError, match=r"Rows of numbers are several columns, by their names. .*--column sky"):
        read(path, RAIN, column="sky")
    path = tmp_path / "a.txt"
    path.write_text("3,mist\nhour=4,sky=clear\n")
    assert [one.tolist() for one in read(path, RAIN).values()] == [[[3, 0, 1]], [[4, 1, 0]]]


def test_numbers_without_names_are_all_columns(tmp_path):
    path, kind = tmp_path / "a.tsv", Numbers((3, 1))
    for content in ("a\tb\tc\n1\t2\t3\n", "1\t2\t3\n"):
        path.write_text(content)
        assert [one.tolist() for one in read(path, kind).values()] == [[[[1], [2], [3]]]]
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"the columns of 3 numbers. Received: a, b"):
        read(path, kind)


def test_pictures_of_a_table_lie_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    for place in ("set/a.png", "b.png"):
        Pillow.fromarray(np.full((2, 2), 7, np.uint8)).save(place)
    path, kind = Path("set/all.csv"), Image((2, 2, 1))
    path.write_text("kind,file\nx,a.png\ny,b.png\nz,gone.png\nz,\n")
    beside, here, gone, empty = read(path, kind).values()
    assert beside.tolist() == here.tolist() == [[[[7], [7]], [[7], [7]]]]
    assert "line 4: There is no input file gone.png" in str(gone)
    assert "line 5: Wanted the path of a picture. Received: an empty field" in str(empty)


def test_only_a_file_with_such_an_ending_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "ids.npy", "good film.txt", "good"):
        (tmp_path / name).write_text("")
    assert input_files.is_one("a.csv", SENTENCES)
    assert input_files.is_one(Path("good film.txt"), SENTENCES)
    assert input_files.is_one("good film.txt", Image((2, 2, 1)))
    for other in ("good film.txt", "ids.npy", Path("ids.npy"), Path("good"), "b.csv"):
        assert not input_files.is_one(other, SENTENCES), other


def test_what_is_asked_at_once_keeps_its_order():
    one, error = np.zeros((1, 2)), ValueError("no")
    examples = [("a", one), ("b", error), ("c", np.ones((3, 2)))]
    ((named, batch),) = input_files.batches(examples)
    assert named == [("a", 1), ("b", error), ("c", 3)]
    np.testing.assert_array_equal(batch, np.concatenate([one, np.ones((3, 2))]))
    assert list(input_files.batches([("b", error)])) == [([("b", error)], None)]
    assert [len(named) for named, _ in input_files.batches([("a", one)] * 600)] == [256, 256, 88]
    large = np.zeros((1, 40_000_000), np.uint8)
    assert [len(named) for named, _ in input_files.batches([("a", large)] * 3)] == [2, 1]
