"""What a benchmark measured is printed and kept: raw numbers, bars, machine and versions, after every step."""

from __future__ import annotations

import ast
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import kerastl
from benchmarks.tools import results

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def found(tmp_path) -> results.Results:
    return results.Results(tmp_path / "found.json")


def kept(found: results.Results) -> dict:
    assert found.path is not None
    return json.loads(found.path.read_text())


def test_a_table_prints_formats_and_keeps_numbers(found, capsys):
    columns = {"file": "{}", "bytes": "{:,}", "faster": "{:.2f}", "score": "{:.1%}", "seeds": "{:+.1f}"}
    table = results.Table("two files", columns)
    table.add("float [32]", 12345, results.Interval(1.23456, 1.0, 2.0), np.float32(0.5), [1.25, -2.5])
    table.add("none", 7, None, "untrained", [])
    found.show(table)
    printed = capsys.readouterr().out
    for words in ("two files", "float [32]", "12,345", "1.23 (1.00 to 2.00)", "50.0%", "+1.2, -2.5", "untrained"):
        assert words in printed
    (shown,) = kept(found)["tables"]
    interval = {"value": 1.23456, "low": 1.0, "high": 2.0}
    first = {"file": "float [32]", "bytes": 12345, "faster": interval, "score": 0.5, "seeds": [1.25, -2.5]}
    second = {"file": "none", "bytes": 7, "faster": None, "score": "untrained", "seeds": []}
    assert shown == {"title": "two files", "rows": [first, second]}


def test_a_row_has_a_value_for_every_column():
    with pytest.raises(ValueError, match="shorter"):
        results.Table("", {"a": "{}", "b": "{}"}).add(1)


def test_every_bar_is_said_and_one_that_is_missed_fails(found, capsys):
    assert found.verdict({"small": True}) == 0
    assert found.verdict({"fast": False, "right": np.bool_(True)}) == 1
    assert capsys.readouterr().out == "reached  small\nMISSED   fast\nreached  right\n"
    reached = {"small": True, "fast": False, "right": True}
    assert kept(found)["bars"] == [{"asked": words, "reached": value} for words, value in reached.items()]


def test_everything_so_far_is_kept_after_every_step(found):
    found.keep("first", [{"milliseconds": float("inf")}])
    assert kept(found)["tables"] == [{"title": "first", "rows": [{"milliseconds": "inf"}]}]
    assert kept(found)["bars"] == []
    found.bar("fast", reached=True)
    assert len(kept(found)["tables"]) == len(kept(found)["bars"]) == 1


def test_machine_versions_and_command_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks/cli/cli_speed.py", "--rounds", "3"])
    parser = results.parser("What is measured.")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--folder", type=Path, default=Path("here"))
    options = parser.parse_args(["--rounds", "3", "--json", str(tmp_path / "found.json")])
    options.results.keep("nothing", [])
    content = json.loads((tmp_path / "found.json").read_text())
    assert content["command"] == "python benchmarks/cli/cli_speed.py --rounds 3"
    assert content["settings"] == {"rounds": 3, "folder": "here"}
    assert content["machine"]["cpu"]
    assert content["machine"]["cores"] >= 1
    assert {"tensorflow", "keras", "numpy"} <= set(content["versions"])


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results.parser("").parse_args([]).results.verdict({"small": True})
    assert list(tmp_path.iterdir()) == []


def test_help_says_what_json_writes(capsys):
    with pytest.raises(SystemExit):
        results.parser("What is measured.").parse_args(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "--json PATH write the measured rows, the bars, the machine, the versions and the command" in words


def test_quartiles():
    assert results.quartiles(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == (3.0, 2.0, 4.0)
    assert results.quartiles([2.0]) == (2.0, 2.0, 2.0)


def test_what_benchmarks_call_is_there():
    """Most are run by hand, and for hours: a name that moved would be noticed late."""
    looked, lacking = set(), []
    for path in sorted((ROOT / "benchmarks").glob("*/*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names = [ast.unparse(node)]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                if name.startswith("kerastl.") and all(part.isidentifier() for part in name.split(".")):
                    looked.add(name)
                    lacking += [] if exists(name) else [f"{path.name} line {node.lineno}: {name}"]
    assert len(looked) > 100
    assert lacking == []


def exists(name: str) -> bool:
    found = kerastl
    for part in name.split(".")[1:]:
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(f"{found.__name__}.{part}")
            except ImportError:
                return False
    return True
