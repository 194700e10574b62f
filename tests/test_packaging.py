"""What is built from a checkout: a wheel whose recipes are `kerastl.recipes`, a source archive that lacks nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""
PASSED_OVER = (".git", ".venv", "__pycache__", "*.egg-info", "build", "dist", ".*_cache")


def _environment(folder: Path) -> dict[str, str]:
    """Where pyproject.toml's setuptools is found: here, or brought by pip into a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (wanted,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    if int(importlib.metadata.version("setuptools").partition(".")[0]) < int(wanted.partition(">=")[2]):
        subprocess.run([sys.executable, "-m", "pip", "-q", "install", "--target", folder, wanted], check=True)
        environment["PYTHONPATH"] = str(folder)
    return environment


def _built(kind: str, source: Path, target: Path, environment: dict[str, str]) -> Path:
    target.mkdir(exist_ok=True)
    command = [sys.executable, "-c", BUILD, kind, str(target)]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """A wheel and a source archive of a copy of this checkout, and a wheel of what the archive holds."""
    folder = tmp_path_factory.mktemp("packaging")
    ignored = shutil.ignore_patterns(*PASSED_OVER)

    def passed_over(place: str, names: list[str]) -> set[str]:
        runs = Path(place) == ROOT / "saved_models"
        return {name for name in names if runs and name != "README.md"} | ignored(place, names)

    shutil.copytree(ROOT, folder / "checkout", ignore=passed_over)
    environment = _environment(folder / "setuptools")
    wheel = _built("build_wheel", folder / "checkout", folder / "wheel", environment)
    shutil.rmtree(folder / "checkout" / "build", ignore_errors=True)
    sdist = _built("build_sdist", folder / "checkout", folder / "sdist", environment)
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    again = _built("build_wheel", unpacked, folder / "again", environment)
    light = _built("build_wheel", unpacked / "light", folder / "light", environment)
    return {"checkout": folder / "checkout", "wheel": wheel, "unpacked": unpacked, "again": again, "light": light}


def test_a_wheel_holds_recipes_inside_the_package_and_one_name_at_its_top(built):
    names = _names(built["wheel"])
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"kerastl"}
    recipes = {path.name for path in (ROOT / "recipes").glob("*.py")}
    assert {name.rpartition("/")[2] for name in names if name.startswith("kerastl/recipes/")} == recipes
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kerastl").rglob("*.py")}
    assert code <= names, code - names
    inside = ("runs/page/page.html", "runs/page/style.css", "export/browser/page.js", "export/metadata.fbs")
    inside += ("export/tokenizers/sentencepiece.kt", "export/tokenizers/sentencepiece.swift")
    assert {f"kerastl/{name}" for name in inside} <= names


def test_a_source_archive_is_the_checkout(built):
    """Whoever unpacks it can build, test, lint and read all that a checkout holds."""
    made = {"PKG-INFO", "setup.cfg"}

    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if "egg-info" not in path.parts[0] and "build" not in path.parts}

    lacking = files(built["checkout"]) - files(built["unpacked"])
    assert lacking <= {".gitignore"}, lacking
    assert files(built["unpacked"]) - files(built["checkout"]) <= made
    assert {"constraints.txt", ".ci/run", "tests/conftest.py", "docs/distillation.md"} <= files(built["unpacked"])
    assert {"mkdocs.yml", "README.zh-CN.md", "docs/index.zh.md", "docs/generate_pages.py"} <= files(built["unpacked"])
    assert _names(built["again"]) == _names(built["wheel"])


def test_the_light_wheel_holds_the_same_code(built):
    def code(wheel: Path) -> set[str]:
        return {name for name in _names(wheel) if ".dist-info/" not in name}

    assert code(built["light"]) == code(built["wheel"])


def test_the_light_project_asks_for_a_part_of_what_the_whole_one_does():
    whole, light = (
        tomllib.loads((ROOT / name).read_text())["project"] for name in ("pyproject.toml", "light/pyproject.toml")
    )
    assert set(light["dependencies"]) < set(whole["dependencies"])
    assert "optional-dependencies" not in light
    for key in ("version", "license", "requires-python", "authors", "scripts"):
        assert light[key] == whole[key], key


def test_an_installed_wheel_finds_its_recipes(built, tmp_path):
    target = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--target", target, built["wheel"]]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(target)}
    command = [sys.executable, str(target / "bin" / "kerastl")]

    def said(words: list[str]) -> str:
        done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    names = {row["name"] for row in json.loads(said([*command, "list", "--json"]))}
    # settings of recipes, with names of their own
    settings = {"cifar_mobile", "distil_quantized", "fashion_mobile", "image_few_labels", "keyword_mobile"}
    assert names == {path.stem for path in (ROOT / "recipes").glob("[!_]*.py")} | settings
    assert said([*command, "show", "mnist_cnn"]) == (ROOT / "recipes" / "mnist_cnn.py").read_text()
    where = "import kerastl; print(kerastl.recipes.mnist_cnn.__name__, kerastl.recipes.mnist_cnn.__file__)"
    found = said([sys.executable, "-c", where]).split()
    assert found == ["kerastl.recipes.mnist_cnn", str(target / "kerastl" / "recipes" / "mnist_cnn.py")]


def test_a_checkout_finds_its_own_recipes_whatever_is_installed():
    import kerastl

    assert [Path(place) for place in kerastl.recipes.__path__] == [ROOT / "recipes"]
    assert kerastl.recipes.mnist_cnn.Config.smoke()
    assert Path(str(kerastl.recipes.mnist_cnn.__file__)) == ROOT / "recipes" / "mnist_cnn.py"


def test_the_metadata_says_who_where_and_what_for(built):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["authors"] == [{"name": "kerastl contributors"}]
    assert {"test", "notebook", "docs", "cuda"} <= set(project["optional-dependencies"])
    assert all(url.startswith("https://github.com/kerastl/kerastl") for url in project["urls"].values())
    lowest = project["requires-python"].removeprefix(">=").partition(",")[0]
    assert f"Programming Language :: Python :: {lowest}" in project["classifiers"]
    with zipfile.ZipFile(built["wheel"]) as file:
        (name,) = (name for name in file.namelist() if name.endswith(".dist-info/METADATA"))
        said = file.read(name).decode()
    for line in ("Author: kerastl contributors", "License-Expression: Apache-2.0", "Provides-Extra: cuda"):
        assert f"\n{line}\n" in said, line


def test_the_changelog_begins_with_what_is_not_released_and_knows_this_version():
    import kerastl

    headings = re.findall(r"^## \[(.+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert kerastl.__version__ in headings


def test_modules_that_the_changelog_names_are_there():
    """The right side of its table of moves: whoever follows it finds a module."""
    text = (ROOT / "CHANGELOG.md").read_text()
    rows = re.findall(r"^  \| `.*? \| (`kerastl.*?) \|$", text, re.MULTILINE)
    assert len(rows) >= 10
    for row in rows:
        package = ""
        for name in re.findall(r"`(kerastl[\w.]+|\.\w+)`", row):
            package = package if name.startswith(".") else name.rpartition(".")[0]
            place = ROOT.joinpath(*(package + name if name.startswith(".") else name).split("."))
            assert place.is_dir() or place.with_suffix(".py").is_file(), f"{name} in {row}"
