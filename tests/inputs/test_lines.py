"""Names of files where words are read, and lines of standard input."""

import io

import pytest

from kerastl.inputs import lines


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("reviews.csv", True),
        ("a/B.TXT", True),
        ("ids.npy", True),
        ("see reviews.csv", False),
        ("good", False),
        ("", False),
    ],
)
def test_one_word_with_the_ending_of_data_is_a_path(argument, path):
    assert lines.is_path(argument) == path


def test_a_file_a_folder_and_a_table_are_refused_with_what_helps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pos").mkdir()
    for name in ("x", "notes.txt", "reviews.csv"):
        (tmp_path / name).write_text("good")
    for name, words in (
        (
            "x",
            r"a sentence, .*the name of a file, x\. `kerastl predict RUN - < x` .*; `echo x \| .*` the word itself\.$",
        ),
        ("notes.txt", r"the name of a file, notes\.txt\. .* - < notes\.txt` answers its lines one by one\.$"),
        (
            "reviews.csv",
            r"the name of a table, reviews\.csv\. .* - < FILE` answers the lines of a text file one by one\.$",
        ),
        ("pos", r"the name of a folder, pos\. .* - < FILE` answers .*; `echo pos"),
    ):
        with pytest.raises(ValueError, match=words):
            lines.refuse_path(name, kind="text")
    with pytest.raises(
        ValueError, match=r"Wanted numbers with commas between them, .* the name of a file, x\..*one\.$"
    ):
        lines.refuse_path("x", kind="numbers")
    with pytest.raises(FileNotFoundError, match=r"There is no file gone\.txt"):
        lines.refuse_path("gone.txt", kind="text")
    (tmp_path / "rows.npy").write_bytes(b"")
    lines.require_array(tmp_path / "rows.npy", kind="numbers")
    for name in ("gone.npy", "x"):
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            lines.require_array(tmp_path / name, kind="numbers")


def test_lines_come_without_their_ends_and_blank_ones_not_at_all():
    assert list(lines.read(io.StringIO("\ufeffgood film\r\n\n  \n bad\n-\nlast"))) == ["good film", " bad", "-", "last"]
    names = io.TextIOWrapper(io.BytesIO(b"\xffx.png\n\xc3\xa9\n"), encoding="ascii")
    assert list(lines.read(names)) == ["\udcffx.png", "\u00e9"], "whatever the machine's locale"
    for nothing in (None, io.StringIO(""), io.StringIO("\n \n")):
        with pytest.raises(ValueError, match="an input a line on standard input"):
            list(lines.read(nothing))
