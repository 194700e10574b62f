"""The site as it is built, in headless Chromium: axe-core's faults of its pages, and search in both languages.

`python -m pytest -m slow tests/test_site_pages.py` where the extra `docs` is installed, which builds it (minutes); or
with a built one, `KERASTL_SITE=build/site`.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import browser as browsers
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "", "data/", "runs/", "command/", "recipes/", "results/", "faq/", "glossary/", "tutorials/07_to_the_phone/",
    "api/runs/", "zh/", "zh/faq/", "zh/runs/", "zh/tutorials/07_to_the_phone/",
)  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not browsers.is_there(), reason="apt-get install chromium chromium-driver"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if "KERASTL_SITE" in os.environ:
        return Path(os.environ["KERASTL_SITE"])
    if shutil.which("mkdocs") is None:
        pytest.skip("pip install -c constraints.txt -e '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "-d", folder], cwd=ROOT, check=True)
    return folder


@pytest.fixture(scope="module")
def address(site) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[browsers.Browser]:
    with browsers.Browser() as found:
        yield found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_serious_fault(page, dark, address, site, browser):
    assert (site / page / "index.html").is_file()
    browser.requests()
    browser.open(address + page)
    browser.wait("document.readyState === 'complete'")
    browser.run(  # as its toggle does, and at once: colours would change by and by
        "const now = document.createElement('style'); now.textContent = '* { transition: none !important }';"
        "document.head.append(now); document.body.dataset.mdColorScheme = given[0];",
        "slate" if dark else "default",
    )
    assert all(one.startswith(address) for one in browser.requests()), "a page asks nobody else's server"
    serious = [fault for fault in browser.faults() if fault.startswith(("serious", "critical"))]
    assert serious == []


@pytest.mark.parametrize(
    ("page", "query", "wanted"), [("zh/", "量化", "量化"), ("zh/", "知识蒸馏", "蒸馏"), ("", "quantization", "quantiz")]
)
def test_search_finds_words_of_both_languages(page, query, wanted, address, browser):
    browser.open(address + page)
    browser.run(
        "const field = document.querySelector('.md-search__input'); field.focus();"
        "field.value = given[0]; field.dispatchEvent(new Event('input')); field.dispatchEvent(new Event('keyup'));",
        query,
    )
    found = browser.wait("[...document.querySelectorAll('.md-search-result__item')].map(one => one.textContent)[0]")
    assert wanted in found.lower()
    addresses = browser.run("return [...document.querySelectorAll('.md-search-result__link')].map(one => one.href)")
    assert all(one.startswith(address) for one in addresses)
    if page:
        assert any("/zh/" in one for one in addresses)
