"""The frontiers: validation with its budget, test apart, every file named under the mouse."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kerastl.runs.page import frontiers


def row(name: str, *, size: int, score: float, latency: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name, "bytes": size, "score": score - 0.1, "score_low": score - 0.11, "score_high": score - 0.09,
        "validation_score": score, "validation_low": score - 0.01, "validation_high": score + 0.01,
        "latency_ms": {"median": latency}, "technique": "float32", "model": "", **more,
    }  # fmt: skip


REPORT: dict[str, Any] = {
    "metric": "accuracy",
    "chosen": "small",
    "frontier": ["small", "large"],
    "ties": ["large"],
    "budget": {"float_validation_score": 0.9, "allowed": 0.01, "least": 0.89},
    "variants": [
        row("small", size=1000, score=0.9, latency=0.1, technique="int8", model="model.keras", arena_bytes=512),
        row("large", size=9000, score=0.91, latency=0.3, model="model.keras", arena_bytes=2048),
        row("teacher_float32", size=90000, score=0.95, latency=0.9, eligible=False),
    ],
}
ROWS = REPORT["variants"]


def test_validation_has_the_budget_and_test_has_not():
    held = dict(frontiers.plots(REPORT, ROWS, split="validation"))
    assert list(held) == [f"{what} against score on validation" for what in ("Size", "Latency", "Memory")]
    size = held["Size against score on validation"]
    assert "the budget: 89.00 % on validation" in size
    assert "1. small: 90.00 % on validation, 1.0 KB, 100 µs" in size
    assert re.findall(r'class="mark (\w+(?: tied)?)"', size) == ["front tied", "apart", "chosen"], "which is on top"
    assert held["Memory against score on validation"].count("<circle") == 2, "of the third nobody knows it"
    for _, plot in frontiers.plots(REPORT, ROWS, split="test"):
        assert "budget" not in plot
        assert " tied" not in plot
    assert "80.00 % on test" in frontiers.plots(REPORT, ROWS, split="test")[0][1]


def test_a_report_of_an_earlier_version_is_drawn_too():
    old = [
        {key: value for key, value in one.items() if "validation_" not in key or key == "validation_score"}
        for one in ROWS
    ]
    for one in old:
        one.pop("arena_bytes", None)
    report = {key: value for key, value in REPORT.items() if key not in ("budget", "ties")}
    assert [title.split()[0] for title, _ in frontiers.plots(report, old, split="validation")] == ["Size", "Latency"]


def test_the_budget_line_lies_below_a_point_that_is_within_it():
    _, size = frontiers.plots(REPORT, ROWS, split="validation")[0]
    line = re.search(r'class="line budget" d="M[0-9.]+ ([0-9.]+)L', size)
    chosen = re.search(r'mark chosen".*?cy="([0-9.]+)"', size)
    assert line is not None
    assert chosen is not None
    assert float(line[1]) > float(chosen[1]), "further down the page is less"


def test_each_step_says_what_it_gave():
    steps = frontiers.chain(REPORT, ROWS)
    assert [step["name"] for step in steps] == ["teacher_float32", "large", "small"]
    assert steps[0]["smaller"] is None
    assert (steps[1]["smaller"], steps[2]["smaller"], steps[2]["faster"]) == pytest.approx((10, 9, 3))
    assert steps[2]["gained"] == pytest.approx(-0.01)
