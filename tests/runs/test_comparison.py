"""Runs side by side: McNemar's exact test by hand, a page that stands alone, and no comparison of other data."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import kerastl
from kerastl import cli
from kerastl.runs import comparison


@pytest.fixture
def second(finished) -> Path:
    """Another run on the same data as `finished`."""
    assert cli.main(["run", "my_recipe.py", "--tag", "second", "--teacher.epochs", "5"]) == 0
    return finished.parent / "second"


def test_mcnemar_against_a_count_by_hand():
    """Of twelve examples that only one file gets right, ten and two: 2 (1 + 12 + 66) / 2 ** 12."""
    one, other = np.zeros(200), np.zeros(200)
    one[:10], other[10:12] = 0.9, 0.6
    found = comparison.paired(one, other, shares=True)
    assert (found["only_one"], found["only_other"]) == (2, 10)
    assert found["p"] == pytest.approx(2 * 79 / 4096)
    assert found["p"] == pytest.approx(stats.binomtest(2, 12).pvalue)
    assert found["gain"] == pytest.approx(8 / 200)
    assert found["gain_low"] < found["gain"] < found["gain_high"]
    assert found["differs"]
    assert comparison.paired(one, one, shares=True)["p"] == 1
    mirrored = comparison.paired(other, one, shares=True)
    assert (mirrored["p"], mirrored["gain"]) == (found["p"], -found["gain"])


def test_errors_of_numbers_are_compared_in_pairs():
    draw = np.random.default_rng(0)
    shared = draw.normal(10, 5, 300) ** 2
    slightly = shared + 0.5 + draw.normal(0, 1, 300)
    found = comparison.paired(np.abs(slightly), np.abs(shared), shares=False)
    assert found["differs"], "though the errors themselves spread a hundred times as far as they differ"
    assert found["gain"] == pytest.approx(np.mean(np.abs(slightly) - np.abs(shared)))
    assert stats.ttest_rel(np.abs(slightly), np.abs(shared)).pvalue < 0.05
    chance = [comparison.paired(*np.abs(draw.normal(size=(2, 60))), shares=False)["differs"] for _ in range(100)]
    assert np.mean(chance) < 0.15


def test_the_same_file_twice_differs_by_nothing(finished, second, tmp_path, capsys):
    found = kerastl.compare(finished, second, progress=False)
    assert [row["name"] for row in found.rows] == ["my_recipe/default", "my_recipe/second"]
    stated = kerastl.open(finished).report["variants"][0]
    assert found.rows[0]["score"] == found.rows[1]["score"] == stated["score"]
    (pair,) = found.pairs
    assert (pair["gain"], pair["p"], pair["test"], pair["differs"]) == (0, 1, "McNemar, exact", False)
    assert found.settings == {"teacher.epochs": [3, 5]}
    page = found.page(tmp_path / "compared.html").read_text()
    assert "my_recipe/second" in page
    assert "not beyond chance" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<table" in found._repr_html_()
    capsys.readouterr()
    assert cli.main(["compare", str(finished), str(second), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.as_json()))
    assert cli.main(["compare", str(finished), str(second), "--page", str(tmp_path / "second.html")]) == 0
    assert "my_recipe/default and my_recipe/second do not differ beyond chance: +0.00 points" in capsys.readouterr().out
    assert (tmp_path / "second.html").read_text() == page


def test_other_data_are_refused(finished, capsys):
    assert cli.main(["run", "my_recipe.py", "--tag", "other", "--seed", "1"]) == 0
    with pytest.raises(ValueError, match=r"Runs on the same data are compared.*digest .* Another seed divides"):
        kerastl.compare(finished, finished.parent / "other")
    with pytest.raises(ValueError, match=r"two runs at least\. Received: 1"):
        kerastl.compare(finished)
    capsys.readouterr()
    assert cli.main(["compare", str(finished), str(finished.parent / "none")]) == 1
    assert "There is no folder" in capsys.readouterr().err
