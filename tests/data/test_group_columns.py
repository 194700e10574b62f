"""Groups of examples, read again from the table or the folders that they came from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image

from kerastl.data import arrays, group_columns, image_folder, table_csv, text_csv
from kerastl.data.tables.table import Layout


@pytest.fixture
def table(tmp_path):
    rows = [f"{n},{n * 7 % 50},{'xy'[n % 2]},{'ab'[n % 3 == 0]}" for n in range(100)]
    rows[5] = rows[5][:-1]  # of which nobody knows the group
    (tmp_path / "set.csv").write_text("\n".join(["id,price,kind,who", *rows]))
    return tmp_path / "set.csv"


def test_a_column_that_was_left_out_is_found_row_by_row(table):
    data = table_csv.load(table, label_columns=["kind"], leave_out=["who"])
    for split in (data.train, data.validation, data.test.take(7)):
        found = group_columns.of_split(data, split, column="who")
        numbers = split.inputs[:, 0].astype(int)
        assert list(found) == ["unknown" if n == 5 else "a" if n % 3 else "b" for n in numbers]


def test_sentences_have_groups_too(tmp_path):
    lines = [f"sentence number {n},{n % 2},{'old' if n % 5 else 'new'}" for n in range(60)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label,source", *lines]))
    data = text_csv.load(tmp_path / "texts.csv", sequence_length=8, vocabulary=None, vocabulary_size=200)
    found = group_columns.of_split(data, data.train, column="source")
    numbers = [int(str(one).rpartition(":")[2]) - 2 for one in data.train.origins]
    assert list(found) == ["old" if n % 5 else "new" for n in numbers]


def test_pictures_have_the_folder_that_they_lie_in(tmp_path):
    for index in range(60):
        place = tmp_path / "set" / "ab"[index % 2] / ("indoors" if index % 3 else "outdoors")
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{index}.png")
    data = image_folder.load(tmp_path / "set", size=(8, 8), layout=Layout(classes_at="top"))
    found = group_columns.of_split(data, data.test, column="folder")
    assert set(found) == {"indoors", "outdoors"}
    assert [name in str(one) for name, one in zip(found, data.test.origins, strict=True)] == [True] * len(data.test)


def test_what_there_is_not_is_refused(table, tmp_path):
    data = table_csv.load(table, label_columns=["kind"], leave_out=["who"])
    with pytest.raises(ValueError, match=r"--group-column.*'whom'.*Did you mean who"):
        group_columns.of_split(data, data.test, column="whom")
    table.write_text("\n".join(table.read_text().splitlines()[:50]))
    with pytest.raises(ValueError, match=r"set.csv without set.csv:\d+ and"):
        group_columns.of_split(data, data.train, column="who")
    np.savez(
        tmp_path / "set.npz", x=np.random.default_rng(0).integers(0, 256, (90, 8, 8, 3), np.uint8), y=np.arange(90) % 3
    )
    pictures = arrays.load(tmp_path / "set.npz")
    with pytest.raises(ValueError, match="Received: data of arrays"):
        group_columns.of_split(pictures, pictures.test, column="who")
    nowhere = dataclasses.replace(data.test, origins=None)
    with pytest.raises(ValueError, match="does not say where each was found"):
        group_columns.of_split(data, nowhere, column="who")
