"""The page in a browser: axe-core finds no fault of any weight, a phone's width holds it, its script works."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Browser, is_there

import kerastl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_there(), reason="no Chromium: apt-get install chromium chromium-driver"),
]


@pytest.fixture
def shown(finished) -> Iterator[Browser]:
    with Browser() as browser:
        browser.open((finished / "report.html").as_uri())
        yield browser


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_axe_finds_no_fault(shown, width, dark):
    shown.size(width)
    shown.dark(dark)
    assert shown.faults() == []
    shown.run("document.querySelector('main').insertAdjacentHTML('afterbegin', '<img src=\"data:,\">')")
    assert any("image-alt" in one for one in shown.faults())


def test_a_phone_shows_it_without_scrolling_sideways(shown):
    shown.size(390)
    fits, width, smallest = shown.run(
        """return [document.documentElement.scrollWidth <= innerWidth, innerWidth,
        Math.min(...[...document.querySelectorAll('.chart text')].map(e => e.getBoundingClientRect().height))]"""
    )
    assert (fits, width) == (True, 390)
    assert smallest >= 9, "pixels of the smallest text of a chart"


def test_a_heading_sorts_both_ways(shown):
    rising, falling = shown.run(
        """const table = [...document.querySelectorAll("table.sortable")].find(one => one.rows.length > 3);
        const button = table.tHead.rows[0].cells[1].querySelector("button");
        const value = row => parseFloat(row.cells[1].textContent.replace(/,/g, ""));
        const read = () => [...table.tBodies[0].rows].map(value);
        button.click(); const rising = read(); button.click(); return [rising, read()];"""
    )
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_the_slider_counts_as_the_report_does(shown, finished):
    rows = shown.run(
        """const section = document.querySelector("section.thresholds"), slider = section.querySelector("input");
        slider.value = "30"; slider.dispatchEvent(new Event("input"));
        return [...section.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => cell.textContent));"""
    )
    (table,) = kerastl.open(finished).report["thresholds"]
    for row, one in zip(rows, table["classes"], strict=True):
        found, named = one["found"][30], one["named"][30]
        assert row[:3] == [one["name"], str(one["examples"]), str(named)]
        assert row[3] == f"{100 * found / one['examples']:.2f} %"
