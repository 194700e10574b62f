"""Numbers in words, as the page, the terminal and Python say them alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerastl import types
from kerastl.system import phrases


def score_words(value: float, units: str) -> str:
    """A score in words: shares in percent, else in the units of its task."""
    return percent(value) if units == "%" else f"{phrases.plain(value)} {units}".rstrip()


def percent(share: float) -> str:
    """A share, 0..1, in percent."""
    return f"{100 * share:.2f} %"


def size(count: float) -> str:
    """Bytes in the largest unit that they fill."""
    return f"{count / 1e6:,.2f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB" if count >= 1e3 else f"{count:,.0f} B"


def duration(seconds: float) -> str:
    """Seconds, from a minute on in minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def milliseconds(value: float) -> str:
    """Milliseconds, below one in microseconds."""
    return f"{value:.2f} ms" if value >= 1 else f"{1000 * value:.0f} µs"


def chosen_latency(report: Mapping[str, Any]) -> types.Latency:
    """That of the chosen file; all were measured alike."""
    return types.Latency.of(next(row for row in report["variants"] if row["name"] == report["chosen"])["latency_ms"])


def count(value: int | None) -> str:
    """A large number in thousands, millions or billions; nothing of what nobody counted."""
    if value is None:
        return ""
    for power, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if value >= power:
            return f"{value / power:.3g} {word}"
    return f"{value:,}"


def times(value: float, other: float) -> str:
    """How many times one number is the other."""
    ratio = value / other if other else 0.0
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.2g} times"


def difference(value: float, units: str) -> str:
    """By how much a score differs from another one."""
    return f"{100 * value:+.2f} points" if units == "%" else f"{value:+.4g} {units}".rstrip()
