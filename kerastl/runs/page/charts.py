"""Charts of the page as SVG: small files, text that can be read on a phone, a title on every point for the mouse."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

WIDTH, HEIGHT = 480, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 14, 44
COLOURS = ("#2f6fce", "#c8531b", "#2f8a4f", "#8350c4", "#9a7a00", "#1f8899", "#b8336a", "#5c6b7a")
"""Of series, in their order."""


class Scale(NamedTuple):
    """An axis: from which number to which, in powers of ten or evenly, and the places where it is marked."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, 0..1."""
        if self.logarithmic:
            return (math.log10(value) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))
        return (value - self.low) / (self.high - self.low)


def linear(values: Sequence[float], *, room: float = 0.06) -> Scale:
    """An even axis that holds all values, with some room at its ends."""
    low, high = min(values), max(values)
    gap = (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - room * gap, high + room * gap
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    first = math.ceil(low / step - 1e-9)
    marks = tuple(round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1))
    return Scale(low, high, marks)


def logarithmic(values: Sequence[float]) -> Scale:
    """An axis of powers of ten that holds all values, which are positive; marked at 1, 2 and 5 times such."""
    low, high = min(values) / 1.3, max(values) * 1.3
    if high / low < 3:
        low, high = low / 1.3, high * 1.3
    marks = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
        if low <= factor * 10.0**power <= high
    ]
    while len(marks) > 6:
        marks = marks[::3] if len(marks) > 9 else marks[::2]
    return Scale(low, high, tuple(marks), logarithmic=True)


class Chart:
    """One chart in the making: axes first, what is drawn on them, and the SVG in the end.

    Args:
        name: what it shows, for those who hear it read.
        x, y: the axes.
        labels: what stands beside them.
        percent: whether the numbers of an axis are shares and shown in percent, of ``x`` and ``y``.
    """

    def __init__(
        self, name: str, *, x: Scale, y: Scale, labels: tuple[str, str], percent: tuple[bool, bool] = (False, False)
    ) -> None:
        self._name, self._x, self._y = name, x, y
        self._parts: list[str] = []
        for tick in x.ticks:
            across = self._across(tick)
            self._parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
            self._text(across, HEIGHT - _BOTTOM + 16, number(tick, percent=percent[0]), anchor="middle")
        for tick in y.ticks:
            down = self._down(tick)
            self._parts.append(f'<path class="grid" d="M{_LEFT} {down:.1f}H{WIDTH - _RIGHT}"/>')
            self._text(_LEFT - 6, down + 4, number(tick, percent=percent[1]), anchor="end")
        self._text((_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, labels[0], anchor="middle")
        middle = (_TOP + HEIGHT - _BOTTOM) / 2
        turned = f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle">'
        self._parts.append(f"{turned}{html.escape(labels[1])}</text>")

    def line(self, points: Sequence[Sequence[float]], *, style: str = "", colour: str = "", title: str = "") -> None:
        """A line through points; ``style`` is a class of the page's styles."""
        path = "M" + "L".join(f"{self._across(x):.1f} {self._down(y):.1f}" for x, y in points)
        stroke = f' style="stroke:{colour}"' if colour else ""
        self._parts.append(f'<path class="line {style}"{stroke} d="{path}">{_title(title)}</path>')

    def across_at(self, value: float, *, title: str) -> None:
        """A level line over the whole chart: a budget."""
        self.line([(self._x.low, value), (self._x.high, value)], style="budget", title=title)

    def dots(self, points: Sequence[Sequence[float]], *, colour: str) -> None:
        """Many small points of one kind, as one path."""
        path = "".join(f"M{self._across(x):.1f} {self._down(y):.1f}h0" for x, y in points)
        self._parts.append(f'<path class="dots" style="stroke:{colour}" d="{path}"/>')

    def mark(
        self,
        x: float,
        y: float,
        *,
        style: str,
        title: str,
        label: str = "",
        interval: tuple[float, float] | None = None,
    ) -> None:
        """A point with its interval, a number beside it and a title."""
        across, down = self._across(x), self._down(y)
        parts = [_title(title)]
        if interval is not None:
            ends = [self._down(min(max(end, self._y.low), self._y.high)) for end in interval]
            parts.append(f'<path class="whisker" d="M{across:.1f} {ends[0]:.1f}V{ends[1]:.1f}"/>')
        parts.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="6"/>')
        if label:
            parts.append(f'<text x="{across + 9:.1f}" y="{down - 6:.1f}">{html.escape(label)}</text>')
        self._parts.append(f'<g class="mark {style}">{"".join(parts)}</g>')

    def svg(self) -> str:
        """The whole chart as an SVG element."""
        label = html.escape(self._name)
        return (
            f'<svg class="chart" role="img" aria-label="{label}" viewBox="0 0 {WIDTH} {HEIGHT}">'
            f"{''.join(self._parts)}</svg>"
        )

    def _text(self, x: float, y: float, words: str, *, anchor: str) -> None:
        self._parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(words)}</text>')

    def _across(self, value: float) -> float:
        return _LEFT + self._x.share(value) * (WIDTH - _LEFT - _RIGHT)

    def _down(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self._y.share(value) * (HEIGHT - _TOP - _BOTTOM)


def _title(words: str) -> str:
    return f"<title>{html.escape(words)}</title>" if words else ""


def number(value: float, *, percent: bool = False) -> str:
    """A tick's number, as short as it can be."""
    if percent:
        return f"{100 * value:.6g} %"
    return f"{value:,.10g}" if abs(value) >= 1e-4 or not value else f"{value:g}"


def drawn(chart: Mapping[str, Any]) -> str:
    """What a kind of target brings as a chart, see `tasks.threshold_curves.charts` and `tasks.residuals.chart`.

    Args:
        chart: ``title``, ``kind`` (``"lines"`` or ``"points"``), ``x`` and ``y``, labels of the axes, ``series`` of
            ``name`` and ``points``; it may have a ``range`` of both axes, a ``diagonal`` and a level ``line``.
    """
    points = [point for series in chart["series"] for point in series["points"]]
    if not points:
        return ""
    if "range" in chart:
        low, high = chart["range"]
        scales = [Scale(low, high, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)) for _ in range(2)]
    else:
        level = [chart["line"]] if "line" in chart else []
        scales = [linear([x for x, _ in points]), linear([*(y for _, y in points), *level])]
    made = Chart(chart["title"], x=scales[0], y=scales[1], labels=(chart["x"], chart["y"]))
    if chart.get("diagonal"):
        made.line([(scales[0].low, scales[0].low), (scales[0].high, scales[0].high)], style="guide")
    if "line" in chart:
        made.line([(scales[0].low, chart["line"]), (scales[0].high, chart["line"])], style="guide")
    for place, series in enumerate(chart["series"]):
        colour = COLOURS[place % len(COLOURS)]
        if chart["kind"] == "lines" and series["points"]:
            made.line(series["points"], colour=colour, title=series["name"])
        elif series["points"]:
            made.dots(series["points"], colour=colour)
    return made.svg()
