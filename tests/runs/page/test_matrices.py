"""Confusion matrices on the page: 77 classes can be read, and no example is lost."""

from __future__ import annotations

import numpy as np

from kerastl.runs.page import matrices
from kerastl.tasks import confusion


def test_of_many_classes_those_with_the_most_mistakes_are_shown():
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 77, 3080)
    given = np.where(draw.random(3080) < 0.9, labels, (labels + 1) % 77)
    given[labels == 40] = 41  # the worst
    names = [f"intent {number}" for number in range(77)]
    found = matrices.shown(confusion.matrix(names, labels, given), [])
    assert found["names"][:2] in (["intent 41", "intent 40"], ["intent 40", "intent 41"])
    assert (len(found["names"]), found["hidden"], len(found["rows"])) == (20, 57, 21)
    assert sum(cell["count"] for row in found["rows"] for cell in row["cells"]) == 3080
    assert found["rows"][-1]["name"] == "others"
    by_name = {row["name"]: row for row in found["rows"]}
    cell = by_name["intent 40"]["cells"][found["names"].index("intent 41")]
    assert (cell["count"], cell["share"], cell["right"]) == ((labels == 40).sum(), 1.0, False)
    assert (found["pairs"][0]["true"], found["pairs"][0]["said"]) == ("intent 40", "intent 41")
    assert found["pairs"][0]["share"] == 1.0


def test_of_few_classes_all_are_shown_with_their_examples():
    labels, given = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    tile = {"label": "a", "prediction": "b", "text": "why"}
    found = matrices.shown(confusion.matrix(["a", "b"], labels, given), [tile, {**tile, "label": "b"}])
    assert (found["hidden"], sorted(found["names"])) == (0, ["a", "b"])
    assert [pair["examples"] for pair in found["pairs"] if pair["true"] == "a"] == [[tile]]
