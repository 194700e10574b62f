"""The README's table comes from report.json and stands between its markers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def results_table():
    spec = importlib.util.spec_from_file_location("results_table", ROOT / "benchmarks" / "tools" / "results_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(name, size, score):
    return {
        "name": name, "bytes": size, "score": score, "score_low": score - 0.01, "score_high": score + 0.01,
        "float_score": 0.99, "latency_ms": {"median": 0.0214},
    }  # fmt: skip


def test_a_row_holds_the_reports_numbers(results_table, tmp_path):
    report = {
        "recipe": "mnist_mobile",
        "tag": "default",
        "stages": [{"seconds": 59.6}, {"seconds": 60.0}],
        "variants": [row("teacher_float32", 2_000_000, 0.99), row("static_int8", 20_000, 0.985)],
        "chosen": "static_int8",
    }
    (tmp_path / "report.json").write_text(json.dumps(report))
    header, rule, line = results_table.table([tmp_path / "report.json"]).splitlines()
    assert header.count("|") == rule.count("|") == line.count("|")
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "`mnist_mobile`", "static_int8", "20,000", "98.50 % (97.50 to 99.50)", "99.00 %", "100", "21 µs", "2 min 00 s",
    ]  # fmt: skip


def test_rows_of_runs_that_are_elsewhere_stay(results_table, tmp_path):
    page = (ROOT / "README.md").read_text()
    between = page.partition(results_table.BEGIN)[2].partition(results_table.END)[0]
    rows = [line for line in between.splitlines() if line.startswith("| `")]
    assert len(rows) > 3
    report = {"recipe": "mnist_cnn", "tag": "default", "stages": [], "variants": [row("int8", 7, 0.5)]}
    (tmp_path / "report.json").write_text(json.dumps({**report, "chosen": "int8"}))
    lines = results_table.table([tmp_path / "report.json"], page=page).splitlines()[2:]
    (changed,) = (line for line in lines if line not in rows)
    assert changed.startswith("| `mnist_cnn` | int8 | 7 |")
    assert [line.split("|")[1] for line in lines] == [line.split("|")[1] for line in rows]


def test_put_replaces_what_stands_between_the_markers(results_table):
    page = (ROOT / "README.md").read_text()
    changed = results_table.put(page, "| new |")
    assert results_table.put(changed, "| newer |").replace("| newer |", "| new |") == changed
    assert f"{results_table.BEGIN}\n| new |\n{results_table.END}" in changed
    assert changed.partition(results_table.BEGIN)[0] == page.partition(results_table.BEGIN)[0]
    assert changed.partition(results_table.END)[2] == page.partition(results_table.END)[2]
    with pytest.raises(ValueError, match="needs the markers"):
        results_table.put("no markers", "")
