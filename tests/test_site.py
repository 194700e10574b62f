"""The documentation site: what is generated is whole, links and pages exist, and both languages show the same code."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CHINESE = sorted(path.relative_to(ROOT) for path in (*DOCS.glob("*.zh.md"), ROOT / "README.zh-CN.md"))


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_pages", DOCS / "generate_pages.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site) -> dict[str, str]:
    return site.pages()


def test_every_recipe_is_in_the_catalogue_with_its_facts_and_settings(site, pages):
    page, found = pages["recipes.md"], {path.stem for path in (ROOT / "recipes").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"(?m)^## (\w+)$", page)) == found
    assert len(found) >= 15
    for fact in site.FACTS:
        assert page.count(f"\n- **{fact}**: ") == len(found)
    assert page.count("    | `seed` | `0` | ") >= 10


def test_a_docstring_is_words_and_facts(site):
    words, facts = site.described(
        "One line.\n\nMore of it.\n\nMinutes: 3\nData: mnist\nCommand: kerastl run x\nExpect: a\n  b"
    )
    assert words == "One line.\n\nMore of it."
    assert facts == {"Minutes": "3", "Data": "mnist", "Command": "kerastl run x", "Expect": "a b"}
    assert site.described("Nothing else.") == ("Nothing else.", {})


def test_every_public_module_is_in_the_reference(pages):
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "kerastl").rglob("*.py")
    }
    public = {name for name in modules if not any(part.startswith("_") for part in name.split("."))}
    listed = {name for text in pages.values() for name in re.findall(r"(?m)^::: (\S+)$", text)}
    assert listed == public - {"kerastl.recipes"}
    assert len(listed) > 200


def test_results_are_the_table_of_the_readme(pages):
    assert pages["results.md"].count("\n| `") == (ROOT / "README.md").read_text("utf-8").partition("results: end")[
        0
    ].count("\n| `")
    assert "| `mnist_mobile` |" in pages["results.md"]


def test_every_page_of_the_navigation_exists_and_every_page_is_in_it(pages):
    named = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]))
    written = {path.name for path in DOCS.glob("*.md") if ".zh." not in path.name}
    assert named == written | {name for name in pages if not name.startswith("api/")}


def links(path: Path) -> set[str]:
    return set(re.findall(r"\]\(([^)#:]+?\.(?:md|png|py|ipynb))[)#]", (ROOT / path).read_text("utf-8")))


def test_every_link_of_a_page_leads_somewhere(pages):
    checked = 0
    for path in (*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("README*.md"))):
        for link in links(path.relative_to(ROOT)):
            checked += 1
            assert (path.parent / link).is_file() or link in pages, f"{path.name} links to {link}"
    assert checked > 20


def code(path: Path) -> list[str]:
    """What stands in fences, without the comments of a shell: these are prose."""
    blocks = re.findall(r"(?ms)^ *```(?:bash|python|text)\n(.*?)^ *```", (ROOT / path).read_text("utf-8"))
    return [re.sub(r"(?m) *#.*$", "", block) for block in blocks]


@pytest.mark.parametrize("path", CHINESE, ids=str)
def test_both_languages_show_the_same_code(path):
    english = Path(str(path).replace(".zh-CN", "").replace(".zh", ""))
    assert code(path) == code(english)
    assert len(re.findall(r"[\u4e00-\u9fff]", (ROOT / path).read_text("utf-8"))) > 300, "it is written in Chinese"


def test_the_start_is_in_chinese():
    assert {str(path) for path in CHINESE} >= {"README.zh-CN.md", "docs/index.zh.md", "docs/faq.zh.md"}
