"""The page in a browser: axe-core finds no fault of any weight, a phone's width holds it, its script works."""

from __future__ import annotations

from pathlib import Path

import browser
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.chromium() is None, reason="no Chromium: apt-get install chromium"),
]


@pytest.fixture
def page(finished) -> str:
    return (finished / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, False), (1280, True)])
def test_axe_finds_no_fault(page, width, dark, tmp_path: Path):
    axe = browser.axe_source(tmp_path)
    if axe is None:
        pytest.skip("axe-core cannot be had: npm is not there, or has no registry")
    assert browser.violations(page, axe, tmp_path, width=width, dark=dark) == []
    broken = page.replace("<main>", '<main><img src="data:,">')
    assert any("image-alt" in one for one in browser.violations(broken, axe, tmp_path, width=width, dark=dark))


def test_a_phone_shows_it_without_scrolling_sideways(page, tmp_path):
    script = """[document.documentElement.scrollWidth <= innerWidth, innerWidth,
        Math.min(...[...document.querySelectorAll('.chart text')].map(e => e.getBoundingClientRect().height))]"""
    fits, width, smallest = browser.evaluated(page, script, tmp_path, width=390)
    assert (fits, width) == (True, 390)
    assert smallest >= 9, "pixels of the smallest text of a chart"


def test_a_heading_sorts_both_ways(page, tmp_path):
    script = """(() => {
        const table = [...document.querySelectorAll("table.sortable")].find(one => one.rows.length > 3);
        const button = table.tHead.rows[0].cells[1].querySelector("button");
        const value = row => parseFloat(row.cells[1].textContent.replace(/,/g, ""));
        const read = () => [...table.tBodies[0].rows].map(value);
        button.click(); const rising = read(); button.click(); return [rising, read()];
    })()"""
    rising, falling = browser.evaluated(page, script, tmp_path)
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_the_slider_counts_as_numpy_does(page, finished, tmp_path):
    import kerastl

    script = """(() => {
        const section = document.querySelector("section.thresholds"), slider = section.querySelector("input");
        slider.value = "30"; slider.dispatchEvent(new Event("input"));
        return [...section.querySelectorAll("tbody tr")].map(row => [...row.cells].map(cell => cell.textContent));
    })()"""
    run = kerastl.open(finished)
    (table,) = run.report["thresholds"]
    rows = browser.evaluated(page, script, tmp_path)
    for row, one in zip(rows, table["classes"], strict=True):
        found, named = one["found"][30], one["named"][30]
        assert row[:3] == [one["name"], str(one["examples"]), str(named)]
        assert row[3] == f"{100 * found / one['examples']:.2f} %"
