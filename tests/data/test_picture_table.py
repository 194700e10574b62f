from __future__ import annotations

import csv

import pytest

from kerastl.data import column_roles, picture_table
from kerastl.data.tables.table import TableError


def write(tmp_path, content: str | bytes, name: str = "set.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, *, group_column=None, root=None, label_columns=(), **columns):
    names = {name.removesuffix("_column"): value for name, value in columns.items()}
    asked = column_roles.Asked(**names, label_columns=tuple(label_columns))
    return picture_table.read(path, asked, group_column=group_column, root=root).rows


def short(rows, folder):
    return [(row.path.removeprefix(f"{folder}/"), row.label, row.split, row.group) for row in rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_the_csv_module_writes_comes_back(tmp_path, delimiter, end):
    rows = [("a/1, two; three|.jpg", 'a "cat"'), ("b/2.jpg", "two\nlines"), ("b/ä\t.jpg", "Ärger;x")]
    with open(tmp_path / "set.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerows([("number", "label", "path"), *((7, label, path) for path, label in rows)])
    found = read(tmp_path / "set.csv")
    assert short(found, tmp_path) == [(path, label, None, None) for path, label in rows]
    assert [row.line for row in found] == [2, 3, 5]


def test_byte_order_mark_blank_lines_and_spaces_do_not_matter(tmp_path):
    plain = "path,label,split,who\na.jpg,cat,train,1\nb/b.jpg,dog,test,2\n"
    odd = "\ufeff\n path , label ,split,who \r\n\r\na.jpg , cat,train,1\r\n ,,,\r\nb\\b.jpg,  dog,test,2"
    columns = {"split_column": "split", "group_column": "who"}
    one = read(write(tmp_path, plain, "plain.csv"), **columns)
    other = read(write(tmp_path, odd, "odd.csv"), **columns)
    assert short(one, tmp_path) == [("a.jpg", "cat", "train", "1"), ("b/b.jpg", "dog", "test", "2")]
    assert short(other, tmp_path) == short(one, tmp_path)


def test_columns_have_the_names_given(tmp_path):
    path = write(tmp_path, "file;class\na.jpg;1\n")
    assert short(read(path, path_column="file", label_column="class"), tmp_path)[0][:2] == ("a.jpg", "1")
    assert short(read(path), tmp_path)[0][:2] == ("a.jpg", "1"), "found by what they hold"
    with pytest.raises(TableError, match=r"no column 'kind'.* Its columns: 'file', 'class'"):
        read(path, label_column="kind")
    with pytest.raises(TableError, match=r"'label' twice in .*a number, from 1"):
        read(write(tmp_path, "path,label,label\na.jpg,1,2\n"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        ("path,label\n", "names no picture"),
        ("path,label\na.jpg\n", "line 2: nothing under label"),
        ("path,label\na.jpg,cat,3\n", r"line 2: 3 fields"),
        ("path,label\n,cat\na.jpg,\n", r"line 2: nothing under path\n.*line 3: nothing under label"),
        ("path,label\na.jpg,cat\na.jpg,dog\n", r"line 3: a.jpg has the label 'dog', and 'cat' in line 2"),
        ("path,label\nb/../a.jpg,cat\na.jpg,dog\n", r"line 3: a.jpg has the label 'dog'"),
        ("path,label\n../a.jpg,cat\n", r"line 2: '../a.jpg' leads out of .*root="),
        ("path,label\nb/../../a.jpg,cat\n", r"leads out"),
        ("path,label\nb\\..\\..\\a.jpg,cat\n", r"leads out"),
        ("path,label\n/etc/passwd,cat\n", r"leads out"),
        ("path,label\n.,cat\n", r"leads out"),
        ("path,label,split\na.jpg,cat,exam\n", r"line 2: split 'exam', which is none of train"),
        ("path,label\n" + "".join(f"../{n}.jpg,cat\n" for n in range(30)), r"30 lines .*\n[^$]*and 20 more"),
        ('path,label\na.jpg,"cat\nb.jpg,dog\nc.jpg,cat\n', r"line 2, cannot be read: unexpected end"),
        ('path,label\na.jpg,"cat" or dog\n', r"line 2, cannot be read: ',' expected after '\"'"),
    ],
)
def test_what_is_wrong_is_said_by_line(tmp_path, content, words):
    with pytest.raises(TableError, match=words):
        read(write(tmp_path, content))


def test_one_picture_stands_in_one_split_and_one_group(tmp_path):
    for column, name in (("split_column", "split"), ("group_column", "group")):
        path = write(tmp_path, "path,label,x\na.jpg,cat,train\na.jpg,cat,test\n")
        with pytest.raises(TableError, match=rf"has the {name} 'test', and 'train' in line 2"):
            read(path, **{column: "x"})


def test_equal_rows_are_taken_once_and_said(tmp_path, capsys):
    path = write(tmp_path, "path,label\na.jpg,cat\nb.jpg,dog\na.jpg,cat\n./a.jpg,cat\n")
    assert len(read(path)) == 2
    assert "2 lines" in capsys.readouterr().err


def test_paths_start_from_the_root_and_stay_in_it(tmp_path):
    (tmp_path / "tables").mkdir()
    path = write(tmp_path / "tables", f"path,label\n../a.jpg,cat\n{tmp_path}/b.jpg,dog\n")
    with pytest.raises(TableError, match="2 lines"):
        read(path)
    path = write(tmp_path / "tables", f"path,label\na.jpg,cat\n{tmp_path}/b.jpg,dog\n")
    assert [row[0] for row in short(read(path, root=tmp_path), tmp_path)] == ["a.jpg", "b.jpg"]
    path = write(tmp_path / "tables", "path,label\n../tables-too/a.jpg,cat\n")  # begins alike, and is another folder
    with pytest.raises(TableError, match="leads out"):
        read(path)
    assert read(write(tmp_path, "path,label\n/a/b.jpg,cat\n"), root="/")[0].path == "/a/b.jpg"


SETS = "path,label,red,round\na.jpg,red|round,1,1\nb.jpg,,0,\nc.jpg, round | ,0,1\nd.jpg,round|red,1,1\n"


def test_a_picture_may_have_several_classes_or_none(tmp_path):
    path = write(tmp_path, SETS)
    expected = [("red", "round"), (), ("round",), ("red", "round")]
    separated = read(path, label_separator="|")
    in_columns = read(path, label_columns=["round", "red"])
    assert [row.labels for row in separated] == [row.labels for row in in_columns] == expected
    assert [row.label for row in separated] == ["red|round", "", "round", "red|round"]
    write(tmp_path, SETS + "a.jpg,round|red,1,1\n")  # the order says nothing
    assert len(read(path, label_separator="|")) == 4
    write(tmp_path, SETS + "a.jpg,red,1,1\n")
    with pytest.raises(TableError, match=r"line 6: a.jpg has the label 'red', and 'red\|round' in line 2"):
        read(path, label_separator="|")


def test_what_is_wrong_with_sets_is_said(tmp_path):
    path = write(tmp_path, SETS)
    with pytest.raises(TableError, match=r"with ';' between them under 'label'.*first is 'red\|round'"):
        read(path, label_separator=";")
    with pytest.raises(TableError, match=r"no column 'gren'"):
        read(path, label_columns=["red", "gren"])
    write(tmp_path, SETS.replace("a.jpg,red|round,1,1", "a.jpg,red,yes,2"))
    with pytest.raises(TableError, match=r"line 2: 'yes' under red, '2' under round, where 0 or 1"):
        read(path, label_columns=["red", "round"])
