"""The page of a comparison: a point a run, gains in the units of the score, names escaped."""

from __future__ import annotations

from typing import Any

import pytest

from kerastl.runs import comparison
from kerastl.runs.page import compared

ROW: dict[str, Any] = {
    "name": "toy/<one>", "folder": "x", "recipe": "toy", "tag": "one", "chosen": "int8", "score": 1.5,
    "score_low": 1.25, "score_high": 1.75, "bytes": 2000, "milliseconds": 0.5, "cpu": "a CPU", "arena_bytes": None,
    "multiply_adds": None, "seconds": 61.0, "smaller": 1.0, "faster": 1.0,
}  # fmt: skip
OTHER = {**ROW, "name": "toy/two", "bytes": 1000, "smaller": 2.0, "faster": 1.0, "score": 1.3}
PAIR = {
    "one": "toy/<one>", "other": "toy/two", "gain": 0.2, "gain_low": 0.1, "gain_high": 0.3, "test": "paired bootstrap",
    "p": 0.01, "differs": True,
}  # fmt: skip
FOUND = comparison.Comparison(
    metric="mean absolute error",
    units="mm",
    higher_is_better=False,
    data={"name": "lengths", "digest": "d" * 64, "test": 12},
    rows=(ROW, OTHER),
    pairs=(PAIR,),
    settings={"epochs": [3, None]},
)


def test_the_page_says_what_the_comparison_does():
    page = compared.render(FOUND)
    assert page.count("<circle") == 4, "two charts of two runs"
    for words in (
        "+0.2 mm",
        "+0.1 mm to +0.3 mm",
        "toy/&lt;one&gt;",
        "2.00 times smaller than the first",
        "1 min 01 s",
    ):
        assert words in page
    assert "<one>" not in page
    assert compared.table(FOUND) in page


@pytest.mark.parametrize(("value", "units", "words"), [(0.0123, "%", "+1.23 points"), (-0.5, "EUR", "-0.5 EUR")])
def test_gains_are_in_the_units_of_the_score(value, units, words):
    assert compared.gain_words(value, units) == words
