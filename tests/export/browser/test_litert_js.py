"""The runtime of the bundle's page: what was pinned, and what a server gives of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kerastl import cli
from kerastl.cli import files as fetching
from kerastl.export.browser import litert_js
from kerastl.system import digests, downloads


def test_what_is_served_lies_where_the_page_looks_for_it():
    found = litert_js.files()
    scripts = {f"{litert_js.FOLDER}/{name}" for name in ("dist/index.js", "wasm-utils/dist/index.js")}
    builds = {f"{litert_js.FOLDER}/wasm/litert_wasm{kind}_internal" for kind in ("", "_compat")}
    assert set(found) == scripts | {f"{one}.{ending}" for one in builds for ending in ("js", "wasm")}
    core = found["litert/dist/index.js"].read_text(encoding="utf-8")
    assert 'from "@litertjs/wasm-utils"' in core, "the import that the page's map resolves"
    for path, file in found.items():
        if path.endswith(".wasm"):
            assert file.read_bytes()[:4] == b"\0asm"
    pinned = {**litert_js.CORE.sha256, **{"loader": litert_js.LOADER.sha256["index.js"]}}
    assert {digests.of_file(file) for file in found.values()} == set(pinned.values())


def test_kerastl_fetch_knows_it(capsys):
    assert fetching.sources()["litert_js"] == "kerastl.export.browser.litert_js"
    assert cli.main(["fetch", "litert_js"]) == 0
    assert (Path(capsys.readouterr().out.strip()) / "litert_wasm_internal.wasm").is_file()


def test_nothing_is_fetched_where_nothing_may_be(cache):
    with downloads.offline(), pytest.raises(FileNotFoundError, match="kerastl fetch litert_js"):
        litert_js.files()
