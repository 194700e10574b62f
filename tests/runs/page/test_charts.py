"""Charts of the page: points lie where their numbers are, ticks are round, and nothing leaves the frame."""

from __future__ import annotations

import re
import xml.etree.ElementTree as tree

import pytest

from kerastl.runs.page import charts


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([0-9.]+)" cy="([0-9.]+)"', svg)]


def chart(x: charts.Scale, y: charts.Scale) -> charts.Chart:
    return charts.Chart("toy & <more>", x=x, y=y, labels=("across", "down"), percent=(False, True))


def test_ten_times_as_much_stands_one_even_step_further():
    made = chart(charts.logarithmic([10, 1000]), charts.linear([0.5, 0.9]))
    for value in (10, 100, 1000):
        made.mark(value, 0.7, style="other", title=f"{value} <b>", label="1", interval=(0.6, 0.8))
    svg = made.svg()
    (a, _), (b, _), (c, _) = circles(svg)
    assert b - a == pytest.approx(c - b, abs=0.2)
    titles = [element.text for element in tree.fromstring(svg).iter() if element.tag == "title"]
    assert titles == ["10 <b>", "100 <b>", "1000 <b>"], "and the SVG is well-formed"
    assert 'aria-label="toy &amp; &lt;more&gt;"' in svg


@pytest.mark.parametrize("values", [[0.5, 0.9], [0.7, 0.7], [-3.0, 12.0], [0.0, 0.0], [99.53, 99.61], [1e-7, 3e-7]])
def test_an_even_axis_holds_its_values_and_is_marked_at_round_numbers(values):
    scale = charts.linear(values)
    assert all(0 <= scale.share(value) <= 1 for value in values)
    assert 2 <= len(scale.ticks) <= 7
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
    assert all(len(f"{tick:.12g}".replace("-", "").replace(".", "").strip("0")) <= 6 for tick in scale.ticks)


@pytest.mark.parametrize("values", [[19.3], [0.02, 0.021], [3, 4e6], [1.0, 1e9]])
def test_a_logarithmic_axis_holds_its_values(values):
    scale = charts.logarithmic(values)
    assert all(0 < scale.share(value) < 1 for value in values)
    assert 1 <= len(scale.ticks) <= 6


def test_what_a_target_brings_is_drawn():
    series = [{"name": "a", "points": [[0, 0], [0.5, 1], [1, 1]]}, {"name": "b", "points": []}]
    lines = {"title": "ROC", "kind": "lines", "x": "x", "y": "y", "range": [0, 1], "diagonal": True, "series": series}
    svg = charts.drawn(lines)
    assert svg.count('class="line guide"') == 1
    assert f"stroke:{charts.COLOURS[0]}" in svg
    points = {"title": "Residuals", "kind": "points", "x": "x", "y": "y", "line": 0.0}
    svg = charts.drawn({**points, "series": [{"name": "a", "points": [[1, 2], [3, -4], [5, 6]]}]})
    assert svg.count("h0") == 3
    for x, y in re.findall(r"M([0-9.]+) ([0-9.]+)h0", svg):
        assert 0 < float(x) < charts.WIDTH
        assert 0 < float(y) < charts.HEIGHT
    assert charts.drawn({**points, "series": []}) == ""


def test_numbers_of_ticks():
    assert [charts.number(0.985, percent=True), charts.number(20000.0), charts.number(0.5)] == [
        "98.5 %",
        "20,000",
        "0.5",
    ]
