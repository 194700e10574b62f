"""Group-balanced training as a step of a recipe."""

from __future__ import annotations

import numpy as np
import pytest

from kerastl.data import group_columns, table_csv
from kerastl.runs import group_balance


@pytest.fixture
def data(tmp_path):
    rows = [
        f"{n},{'yes' if n % (2 if n % 5 else 10) == 0 else 'no'},{'large' if n % 5 else 'small'}" for n in range(400)
    ]
    (tmp_path / "set.csv").write_text("\n".join(["number,kind,who", *rows]))
    return table_csv.load(tmp_path / "set.csv", label_columns=["kind"], leave_out=["who"])


def test_groups_are_drawn_evenly_and_the_data_stay_those_of_the_digest(data, capsys):
    assert group_balance.balanced_by_group(data, column="", by="no") is data
    drawn = group_balance.balanced_by_group(data, column="who", by="group")
    found = group_columns.of_split(drawn, drawn.train, column="who")
    assert len(drawn.train) == len(data.train) == drawn.drawn_from
    assert abs((found == "small").sum() - len(found) / 2) <= 1
    assert drawn.digest == data.digest
    assert drawn.test is data.test
    assert "training rows by who: large 232, small 56; drawn by group" in capsys.readouterr().out
    cells = group_balance.balanced_by_group(data, column="who", by="cell")
    found = group_columns.of_split(cells, cells.train, column="who")
    _, counts = np.unique(np.char.add(found, cells.train.labels.astype(str)), return_counts=True)
    assert counts == pytest.approx(len(found) / 4, abs=1)


def test_a_column_is_needed(data):
    with pytest.raises(ValueError, match=r"--group-column.*--balance cell alone"):
        group_balance.balanced_by_group(data, column="", by="cell")
