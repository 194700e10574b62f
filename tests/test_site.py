"""The documentation site: what is generated is whole, links and pages exist, and both languages show the same code."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
import types
import zlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CHINESE = sorted(path.relative_to(ROOT) for path in (*DOCS.glob("*.zh.md"), ROOT / "README.zh-CN.md"))


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site() -> ModuleType:
    return loaded("generate_pages")


@pytest.fixture(scope="module")
def pages(site) -> dict[str, str]:
    return site.pages()


def test_every_recipe_is_in_the_catalogue_with_its_facts_and_settings(site, pages):
    page, found = pages["recipes.md"], {path.stem for path in (ROOT / "recipes").glob("*.py")} - {"__init__"}
    assert set(re.findall(r"(?m)^## (\w+)$", page)) == found
    assert len(found) >= 15
    for fact in site.FACTS:
        assert all(f"\n- **{fact}**: " in part for part in re.split(r"(?m)^## ", page)[1:]), fact
    assert page.count("    | `seed` | `0` | ") >= 10
    assert pages["recipes.zh.md"].partition("\n## ")[2] == page.partition("\n## ")[2]


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
    generated = {name for name in public if name.startswith("kerastl.export.metadata_schema")}
    assert listed == public - generated - {"kerastl.recipes"}
    assert len(listed) > 200


def rows(text: str) -> list[str]:
    return re.findall(r"(?m)^\| `\w+(?: \(.*?\))?` \| \w+ \| [\d,]+ \|.*$", text)


def test_results_are_the_table_of_the_readme(pages):
    found = rows((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(found) > 10
    assert rows(pages["results.md"]) == found == rows((ROOT / "README.zh-CN.md").read_text(encoding="utf-8"))


def test_every_page_of_the_navigation_exists_and_every_page_is_in_it(pages):
    named = set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]))
    written = {path.name for path in DOCS.glob("*.md") if ".zh." not in path.name}
    assert named == written | {name for name in pages if "/" not in name and ".zh." not in name}


def links(path: Path) -> set[str]:
    return set(re.findall(r"\]\(([^)#:]+?\.(?:md|png|py|ipynb))[)#]", (ROOT / path).read_text(encoding="utf-8")))


def test_every_link_of_a_page_leads_somewhere(pages):
    checked = 0
    for path in (*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("README*.md"))):
        for link in links(path.relative_to(ROOT)):
            checked += 1
            assert (path.parent / link).is_file() or link in pages, f"{path.name} links to {link}"
    assert checked > 20


def code(path: Path) -> list[str]:
    """What stands in fences, each with its language."""
    return re.findall(r"(?ms)^ *```(\w*\n.*?)^ *```$", (ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", CHINESE, ids=str)
def test_both_languages_show_the_same_code(path):
    english = Path(str(path).replace(".zh-CN", "").replace(".zh", ""))
    assert code(path) == code(english)
    assert len(re.findall(r"[\u4e00-\u9fff]", (ROOT / path).read_text(encoding="utf-8"))) > 300, (
        "it is written in Chinese"
    )


@pytest.mark.parametrize("path", CHINESE, ids=str)
def test_both_languages_state_the_same_measurements(path):
    """Numbers with decimals, which are measured or computed, and all that is code: what a translation forgot."""
    pages = [
        (ROOT / one).read_text(encoding="utf-8")
        for one in (path, Path(str(path).replace(".zh-CN", "").replace(".zh", "")))
    ]
    chinese, english = (sorted(re.findall(r"\d+\.\d+", page)) for page in pages)
    if path.name != "README.zh-CN.md":  # which leaves out under what conditions its numbers were measured
        assert chinese == english
        without_fences = (re.sub(r"(?ms)^ *```.*?^ *```$", "", page) for page in pages)
        chinese, english = (set(re.findall(r"`([^`\n]+)`", page)) for page in without_fences)
        assert english - chinese <= OF_ENGLISH


OF_ENGLISH = {"perplexity", "tests/test_language.py", " of pictures and sentences, "}
"""What stands in code in an English page and has no place in its translation."""


def test_every_page_is_in_chinese():
    english = {path.stem for path in DOCS.glob("*.md") if ".zh" not in path.name}
    assert len(english) >= 13
    assert {str(path) for path in CHINESE} == {"README.zh-CN.md", *(f"docs/{name}.zh.md" for name in english)}


def test_the_chinese_glossary_has_every_term_in_its_place():
    english = re.findall(r"(?m)^\| (.+?) \| .+? \| `(.+?)` \|$", (DOCS / "glossary.md").read_text(encoding="utf-8"))
    text = (DOCS / "glossary.zh.md").read_text(encoding="utf-8")
    chinese = re.findall(r"(?m)^\| (.+?) \| (.+?) \| (.+?) \| `(.+?)` \|$", text)
    assert [(term, place) for _, term, _, place in chinese] == english
    assert all(re.search(r"[\u4e00-\u9fff].*。$", meaning) for _, _, meaning, _ in chinese)
    names = [name for name, *_ in chinese]
    assert len(set(names)) == len(names), "a word stands for one thing"


LEFT = {
    "线性探测": "线性探针",
    "老师": "教师",
    "您": "你",
    "分数": "得分",
    "成品": "文件包",
    "比例（scale）": "缩放系数（scale）",
}
"""Words that others of the Chinese glossary stand in place of."""


def test_chinese_pages_and_tutorials_keep_to_one_word_for_one_thing():
    paths = [ROOT / path for path in CHINESE] + sorted((ROOT / "tutorials").glob("[0-9]*.py"))
    paths += [ROOT / "tutorials" / "zh" / "README.md", DOCS / "generate_pages.py"]
    assert len(paths) > 20
    found = [(path.name, word) for path in paths for word in LEFT if word in path.read_text(encoding="utf-8")]
    assert found == []


def test_a_page_without_a_translation_is_listed_and_says_so(site):
    listed = set(re.findall(r"\]\((\w+)\.md\)", site.untranslated()))
    english = {path.stem for path in DOCS.glob("*.md") if ".zh" not in path.name}
    assert listed == english - {path.name.partition(".")[0] for path in DOCS.glob("*.zh.md")}

    def shown(source: str, built: str) -> str:
        file = types.SimpleNamespace(src_uri=source, dest_uri=built)
        return site.on_page_markdown("# Title\n\nWords.\n", page=types.SimpleNamespace(file=file))

    assert shown("glossary.md", "glossary/index.html") == "# Title\n\nWords.\n"
    assert shown("faq.zh.md", "zh/faq/index.html") == "# Title\n\nWords.\n"
    fallen_back = shown("glossary.md", "zh/glossary/index.html")
    assert fallen_back.startswith('# Title\n\n!!! note "尚未翻译"\n    ')
    assert fallen_back.endswith("\n\nWords.\n")


def test_further_names_of_recipes_are_in_the_catalogue(pages):
    from kerastl.runs import recipes

    names = {one.name for recipe in recipes.built_in() for one in recipes.aliases(recipe)}
    assert len(names) >= 4
    assert set(re.findall(r"(?m)^### (\w+)$", pages["recipes.md"])) == names


def test_a_public_name_that_no_page_holds_is_found(site):
    names = site.public_names()
    assert {"kerastl.run", "kerastl.runs.finished.FinishedRun.predict", "kerastl.distil.losses.dist"} <= names
    assert len(names) > 1500

    def inventory(listed: set[str]) -> bytes:
        lines = "".join(f"{name} py:function 1 api/#$ -\n" for name in listed)
        return b"# 1\n# 2\n# 3\n# 4\n" + zlib.compress(lines.encode())

    assert site.unreachable(inventory(names)) == []
    assert site.unreachable(inventory(names - {"kerastl.run"})) == ["kerastl.run"]


def test_the_link_to_the_repository_asks_github_for_nothing(site):
    link = '<a href="https://github.com/kerastl/kerastl" class="md-source" data-md-component="source">'
    assert site.on_post_page(f"<p>{link}") == '<p><a href="https://github.com/kerastl/kerastl" class="md-source">'


def test_notebooks_become_pages_with_their_outputs(site, tmp_path, monkeypatch):
    picture = base64.b64encode(b"png").decode()
    links = "[![Open](https://a/b.svg)](https://a/b.ipynb) · [简体中文](zh/01_one.ipynb) · [next](02_two.ipynb)"
    outputs = [
        {"output_type": "stream", "text": ["0.5\n"]},
        {"output_type": "display_data", "data": {"image/png": picture, "text/plain": ["<Figure>"]}},
        {"output_type": "execute_result", "data": {"text/html": ["<p>\n", "\n", "row</p>"]}},
    ]
    cells = [
        {"cell_type": "markdown", "source": [links]},
        {"cell_type": "markdown", "source": ["# One\n", "\n", "Words."]},
        {"cell_type": "code", "source": ["print(0.5)"], "outputs": outputs},
    ]
    monkeypatch.setattr(site, "ROOT", tmp_path)
    assert site.tutorials() == {}
    assert site.images() == {}
    (tmp_path / "tutorials" / "zh").mkdir(parents=True)
    for folder in (tmp_path / "tutorials", tmp_path / "tutorials" / "zh"):
        (folder / "01_one.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    made = site.tutorials()
    assert list(made) == ["tutorials/01_one.md", "tutorials/01_one.zh.md"]
    parts = ["# One\n\nWords.", "[Open](https://a/b.ipynb) · [next](02_two.md)", "```python\nprint(0.5)\n```"]
    parts += ["```text\n0.5\n```", "![01_one](01_one_2_1.png)", "<div><p>\nrow</p></div>"]
    assert made["tutorials/01_one.md"] == "\n\n".join(parts) + "\n"
    assert site.images() == {"tutorials/01_one_2_1.png": b"png", "tutorials/01_one_zh_2_1.png": b"png"}


def test_a_link_that_leads_nowhere_is_found(tmp_path, capsys):
    links = loaded("broken_links")
    with pytest.raises(FileNotFoundError, match="which holds no page"):
        links.broken(tmp_path)
    (tmp_path / "faq" / "a b").mkdir(parents=True)
    good = [
        "faq/",
        "./faq/#why",
        "#top",
        "/faq/index.html",
        "https://a.org/none",
        "mailto:a@b.c",
        "faq/a%20b/c.png",
        "?q=1",
    ]
    (tmp_path / "faq" / "a b" / "c.png").write_bytes(b"png")
    (tmp_path / "faq" / "index.html").write_text('<h1 id="why">Why</h1><a href="..">up</a><a href="../../x/">out</a>')
    bad = ["faq/#because", "none.html", "#nowhere", "faq/a%20b/", "docs/faq.md"]
    page = '<h1 id="top">Top</h1>' + "".join(f'<a href="{link}">a</a>' for link in good + bad)
    (tmp_path / "index.html").write_text(page + '<img src="lost.png"><img src="data:image/png;base64,aa">')
    found = links.broken(tmp_path)
    assert found == ["faq/index.html: ../../x/", *(f"index.html: {link}" for link in [*bad, "lost.png"])]
    assert links.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == found


def test_links_of_the_changelog_lead_to_pages(pages):
    for link in re.findall(r"\]\(([^)#:]+\.md)", pages["changelog.md"]):
        assert (DOCS / link).is_file() or link in pages, link


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_is_searched_by_chinese_words(tmp_path):
    """Needs the extra `docs`. A broken link, a page outside the navigation and an unreachable name end the build."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert loaded("broken_links").broken(tmp_path) == []
    index = json.loads((tmp_path / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert "\\u200b" in index["config"]["separator"]
    words = {word for page in index["docs"] for word in re.split(index["config"]["separator"], page["text"])}
    assert {"迁移", "学习", "量化"} <= words
