"""The runs under a folder: what they made, and those that are not finished."""

from __future__ import annotations

import json

import pytest

from kerastl import cli
from kerastl.runs import listing


def test_finished_and_unfinished_runs_are_listed(finished, capsys):
    assert cli.main(["run", "my_recipe.py", "--smoke"]) == 0
    assert cli.main(["run", "my_recipe.py", "--tag", "wrong", "--fail", "value"]) == 1
    broken = finished.parent / "killed"
    broken.mkdir()
    (broken / "config.json").write_bytes((finished / "config.json").read_bytes())
    (finished.parent / "notes").mkdir()
    found = {one.folder.name: one for one in listing.runs(finished.parents[1])}
    assert set(found) == {"default", "smoke", "killed"}, "what no run has written is none"
    stated = json.loads((finished / "report.json").read_text())
    row = stated["variants"][0]
    whole = found["default"]
    assert (whole.score, whole.bytes, whole.chosen) == (row["score"], row["bytes"], "float32")
    assert (whole.finished, whole.smoke, found["smoke"].smoke) == (True, False, True)
    assert found["killed"].note == "not finished: 0 stages done"
    capsys.readouterr()
    assert cli.main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["my_recipe/default", "my_recipe/default", "my_recipe/smoke"]
    assert "smoke run" in lines[2]
    assert cli.main(["runs", "--json"]) == 0
    assert [one["finished"] for one in json.loads(capsys.readouterr().out)] == [True, False, True]


def test_a_damaged_report_is_said(finished):
    (finished / "report.json").write_text("{}")
    (one,) = listing.runs(finished.parents[1])
    assert (one.finished, one.score) == (False, None)
    assert "report.json cannot be read" in one.note
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        listing.runs(finished / "none")
