"""What a benchmark measures and what is asked of it: printed for people, and kept as JSON for programs.

Every benchmark takes its flags from `parser`, which adds ``--json PATH``, and hands its tables and its bars to
``options.results``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kerastl.system import atomic_files
from kerastl.system import machine as machine_of

PACKAGES = (
    "kerastl", "tensorflow", "keras", "keras-hub", "tf-keras", "tensorflow-model-optimization", "ai-edge-litert",
    "litert-quantizer", "numpy",
)  # fmt: skip


class Interval(NamedTuple):
    """A number and the interval around it: quartiles, a confidence interval, least and greatest."""

    value: float
    low: float
    high: float


def quartiles(values: Iterable[float]) -> Interval:
    """The median with the quartiles; of a single number that number."""
    values = [float(value) for value in values]
    if len(values) == 1:
        return Interval(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Interval(middle, low, high)


class Table:
    """Rows of raw values, and how each column is printed.

    Args:
        title: above the table.
        columns: the name of each to the format of its numbers, ``"{:,.1f} ms"`` for example. An `Interval` is printed
            as ``1.27 (1.22 to 1.34)``, a list with commas, ``None`` as nothing, words as they are.
    """

    def __init__(self, title: str, columns: Mapping[str, str]) -> None:
        self.title, self.columns = title, dict(columns)
        self.rows: list[dict[str, object]] = []

    def add(self, *values: object) -> None:
        """One row, a value for every column."""
        self.rows.append(dict(zip(self.columns, values, strict=True)))

    def cells(self) -> list[list[str]]:
        """The rows as they are printed."""
        return [[printed(row[name], form) for name, form in self.columns.items()] for row in self.rows]


class Results:
    """Tables and bars of one run of a benchmark.

    Args:
        path: the JSON file, written anew with everything so far whenever something is added; ``None`` keeps nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.settings: dict[str, object] = {}
        self.tables: list[dict[str, object]] = []
        self.bars: list[dict[str, object]] = []
        self._start = time.time()

    def show(self, table: Table, *, width: int = 140) -> None:
        """Prints a table and keeps its rows."""
        from rich.console import Console
        from rich.table import Table as Shown
        from rich.text import Text

        shown = Shown(title=table.title)
        for name, form in table.columns.items():
            shown.add_column(name, justify="left" if form == "{}" else "right")
        for cells in table.cells():
            shown.add_row(*map(Text, cells))
        Console(width=width).print(shown)
        self.keep(table.title, table.rows)

    def keep(self, title: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Keeps rows that are printed otherwise, or nowhere."""
        self.tables.append({"title": title, "rows": [{name: _kept(row[name]) for name in row} for row in rows]})
        self._write()

    def bar(self, words: str, *, reached: bool) -> bool:
        """Prints what is asked, a line; returns whether it was reached."""
        print(f"{'reached' if reached else 'MISSED '}  {words}", flush=True)
        self.bars.append({"asked": words, "reached": bool(reached)})
        self._write()
        return bool(reached)

    def verdict(self, asked: Mapping[str, bool]) -> int:
        """A line for every bar; the exit status of the benchmark: 1 where any of these was missed."""
        reached = [self.bar(words, reached=reached) for words, reached in asked.items()]
        return 0 if all(reached) else 1

    def as_json(self) -> dict[str, object]:
        """What ``--json`` writes: the command, its settings, the machine, versions, tables of raw values, bars."""
        return {
            "command": shlex.join(["python", *sys.argv]),
            "settings": self.settings,
            "seconds": round(time.time() - self._start, 3),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._start)),
            "machine": machine(),
            "versions": versions(),
            "tables": self.tables,
            "bars": self.bars,
        }

    def _write(self) -> None:
        if self.path is not None:
            atomic_files.write_json(self.path, self.as_json())


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args=None, namespace=None):  # which `parse_args` calls
        options, rest = super().parse_known_args(args, namespace)
        options.results.settings = {name: value for name, value in vars(options).items() if name != "results"}
        return options, rest


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser of a benchmark's flags, with ``--json PATH``; what it parses has ``results``, a `Results`."""
    found = _Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument(
        "--json",
        dest="results",
        type=lambda path: Results(Path(path).resolve()),
        default=Results(),  # a parser's own: nothing is kept of a run without a path
        metavar="PATH",
        help="write the measured rows, the bars, the machine, the versions and the command into this file",
    )
    return found


def machine() -> dict[str, object]:
    """The processor's name, the cores that this process may use, the system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": machine_of.processor(),
        "cores": cores,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Those of the packages that decide a number, of what is installed of them."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def printed(value: object, form: str) -> str:
    """A value as it stands in a table whose column has this format."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Interval):
        one, low, high = (form.format(number) for number in value)
        return f"{one} ({low} to {high})"
    if isinstance(value, (list, tuple)):
        return ", ".join(printed(one, form) for one in value)
    return form.format(value)


def _kept(value: object) -> object:
    """As JSON holds it; what is no finite number, for which JSON has no word, by its name."""
    if isinstance(value, Interval):
        return {name: _kept(number) for name, number in value._asdict().items()}
    if isinstance(value, (list, tuple)):
        return [_kept(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
