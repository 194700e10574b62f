"""Dates in words: each reads back as its date, no date stands in two splits."""

from __future__ import annotations

import datetime
import re

import pytest

from kerastl.data import dates_in_words


def test_every_form_of_a_known_date():
    said = {dates_in_words.in_words(datetime.date(1999, 5, 3), form) for form in range(8)}
    assert said == {
        "Monday, May 3, 1999",
        "the third of May, 1999",
        "3 May 1999",
        "May the third, 1999",
        "May. 3rd, 1999",
        "Monday the 3rd of May 1999",
        "3. May 1999",
        "May third 1999",
    }
    assert dates_in_words.in_words(datetime.date(2000, 2, 29), 1) == "the twenty-ninth of February, 2000"
    assert dates_in_words.in_words(datetime.date(2012, 12, 12), 4) == "Dec. 12th, 2012"


def test_splits_share_no_date_and_say_their_dates():
    parts = dates_in_words.pairs(train=500, validation=50, test=50, seed=3)
    assert [len(parts[name]) for name in ("train", "validation", "test")] == [500, 50, 50]
    targets = [pair.target for some in parts.values() for pair in some]
    assert len(set(targets)) == 600
    for pair in parts["train"]:
        date = datetime.date.fromisoformat(pair.target)
        number = re.search(r"\b(\d{1,2})(?:st|nd|rd|th)?\b", pair.source)
        assert str(date.year) in pair.source
        assert date.strftime("%b") in pair.source
        assert number is None or int(number[1]) == date.day
    assert parts == dates_in_words.pairs(train=500, validation=50, test=50, seed=3)
    assert parts != dates_in_words.pairs(train=500, validation=50, test=50, seed=4)


@pytest.mark.parametrize("sizes", [{"train": 80_000}, {"test": 0}])
def test_more_than_there_are_is_refused(sizes):
    with pytest.raises(ValueError, match="Received"):
        dates_in_words.pairs(**sizes)
