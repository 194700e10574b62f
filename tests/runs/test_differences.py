from __future__ import annotations

from kerastl.runs import differences


def test_leaves_that_differ_are_named_by_their_place():
    stated = {"a": 1, "rows": [{"name": "one", "x": 1}, {"name": "two", "x": 2}], "gone": 3}
    again = {"a": 1.0, "rows": [{"name": "one", "x": 1}, {"name": "two", "x": 5}], "new": 4}
    assert list(differences.unlike(stated, again, "report")) == [
        "report.a stated 1, measured 1.0",  # another type is another number
        "report.gone stated 3, and no report has that",
        "report.new is not stated, measured 4",
        "report.rows[two].x stated 2, measured 5",
    ]
    assert list(differences.unlike(stated, stated)) == []


def test_of_many_the_first_are_said():
    found = list(differences.unlike(dict.fromkeys(map(str, range(30)), 0), dict.fromkeys(map(str, range(30)), 1)))
    assert len(found) == 21
    assert found[-1] == "10 more"
