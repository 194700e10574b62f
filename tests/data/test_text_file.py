from __future__ import annotations

import csv

import pytest

from kerastl.data import text_file

ROWS = [("Gut, sehr gut!", "1"), ('she said "no"', "0"), ("two\nlines", "1"), ("好電影 👍", "0"), ("a;b\tc", "1")]


def written(path, rows=ROWS, *, delimiter=",", encoding="utf-8", names=("text", "label")):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows(rows)
    return path


def read(path, columns=("text", "label"), optional=()):
    return [row.values for row in text_file.read(path, columns=columns, optional=optional)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t"), ("A.CSV", ",")]
)
def test_rows_come_back_as_they_were_written(tmp_path, name, delimiter, encoding):
    path = written(tmp_path / name, delimiter=delimiter, encoding=encoding)
    assert read(path) == ROWS


def test_utf_16_of_the_other_order(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xfe\xff" + "text,label\nß,1\n".encode("utf-16-be"))
    assert read(path) == [("ß", "1")]


def test_json_lines_keep_numbers_and_words(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a\\nb", "label": 3}\n\n{"label": true, "text": "c"}\r\n{"text": null, "label": []}\n')
    assert read(path) == [("a\nb", "3"), ("c", "true"), (None, None)]


def test_lines_are_those_a_row_begins_in(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"one\ntwo\nthree",1\n\nfour,0\nfive\n', encoding="utf-8")
    found = list(text_file.read(path, columns=["text", "label"], optional=["split"]))
    assert [row.line for row in found] == [2, 6, 7]
    assert found[2].values == ("five", None, None)


def test_a_sentence_of_a_hundred_thousand_words(tmp_path):
    before = csv.field_size_limit()
    path = written(tmp_path / "a.csv", [("word " * 100_000, "1")])
    assert len(read(path)[0][0]) == 500_000
    assert csv.field_size_limit() == before


def refused(path, words, **options):
    with pytest.raises(ValueError, match=words):
        read(path, **options)


def test_another_encoding_is_refused_with_line_and_byte(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\ngut,1\nschön,1\n".encode("latin-1"))
    refused(path, r"not UTF-8: line 3, byte 20 \(0xf6\)")
    path.write_bytes("text,label\n".encode("utf-16-le"))
    refused(path, "zero bytes, at byte 1 first, as UTF-16 without a mark")
    path.write_bytes("text,label\na,1\n".encode("utf-32"))
    refused(path, "is UTF-32. Save it as UTF-8")
    path.write_bytes(b"\xff\xfe" + "text,label\na".encode("utf-16-le") + b"\xd8")
    refused(path, "not UTF-16-LE: line 2, byte 26")


def test_a_missing_column_is_named_with_its_neighbours(tmp_path):
    path = written(tmp_path / "a.csv", names=("Texts", "label"))
    refused(path, r"no column 'text'\. Did you mean 'Texts'\? Its columns: 'Texts', 'label'")
    path = tmp_path / "a.jsonl"
    path.write_text('{"sentence": "a", "label": 1}\n')
    refused(path, "no column 'text'.* Its columns: 'sentence', 'label'")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf", b"\xff\xfe"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_an_empty_file_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, "is empty: wanted lines with the columns text, label")


def test_what_is_no_such_file(tmp_path):
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"PK")
    refused(path, r"ends in \.csv, \.tsv, \.tab, \.jsonl, \.ndjson\. Received: a\.xlsx")
    with pytest.raises(FileNotFoundError, match="no file of sentences"):
        read(tmp_path / "b.csv")
    path = tmp_path / "a.csv"
    path.write_text('text,label\n"never closed,1\n')
    refused(path, "begins in line 2, cannot be read")
    path.write_text("text,label,text\na,1,b\n")
    refused(path, "'text' twice")
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": ')
    refused(path, "line 2, is no JSON")
    path.write_text("[1, 2]\n")
    refused(path, "line 1: wanted an object")


@pytest.mark.parametrize("content", ["", "5", "null", "[1]", "[" * 100_000, '{"text": ', "\n\n"])
def test_no_names_are_found_where_there_are_none(tmp_path, content):
    (tmp_path / "a.jsonl").write_text(content)
    assert text_file.columns(tmp_path / "a.jsonl") == []


def test_numbers_that_are_none_count_as_missing(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "a", "label": NaN}\n{"text": "b", "label": 1e999}\n{"text": 1.5, "label": 2}'
    )
    assert [row.values for row in text_file.read(tmp_path / "a.jsonl", columns=["text", "label"])] == [
        ("a", None),
        ("b", None),
        ("1.5", "2"),
    ]


def test_lists_of_names_in_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"label": ["a", 2, true]}\n\n{"label": "a"}\n{"label": []}\n{"label": [null, {}, ["b"]]}\n{}\n')
    assert text_file.lists(path, "label") == {1: ["a", "2", "true"], 4: [], 5: [None, None, None]}
    assert text_file.lists(path, "text") == {}
    (tmp_path / "a.csv").write_text('label\n"[""a""]"\n')
    assert text_file.lists(tmp_path / "a.csv", "label") == {}


def test_rows_with_more_fields_than_names_say_so(tmp_path):
    """A comma in a text that nobody quoted moves what follows it; empty fields at the end are a spreadsheet's."""
    path = tmp_path / "a.csv"
    path.write_text("label,text\npos,I liked it, a lot\nneg,awful,,\npos\n", encoding="utf-8")
    found = list(text_file.read(path, columns=["text", "label"]))
    assert [row.problem for row in found] == ["3 fields, where the first line has 2", None, None]
    assert found[1].values == ("awful", "neg")


def test_rows_without_names_and_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('1;"a\nb"\n\n2;c;d\n')
    assert [(row.line, row.values) for row in text_file.fields(path)] == [(1, ("1", "a\nb")), (4, ("2", "c", "d"))]
    path.write_bytes("\ufeffa \r\n\n b\u2028c\n".encode())
    assert list(text_file.lines(path)) == [(1, "a "), (3, " b\u2028c")]
    with pytest.raises(ValueError, match=r"A table without names ends in .csv, .tsv, .tab. Received: a.jsonl"):
        list(text_file.fields(tmp_path / "a.jsonl"))
