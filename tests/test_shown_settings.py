"""Every flag and keyword that READMEs, pages, recipes and tutorials show exists: what was renamed is found here."""

from __future__ import annotations

import ast
import functools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from kerastl.cli import commands
from kerastl.runs import recipes

ROOT = Path(__file__).resolve().parents[1]
SHOWN = [
    *sorted(ROOT.glob("README*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "tutorials").glob("[0-9]*.py")),
    *sorted((ROOT / "recipes").glob("[a-z]*.py")),
]
RUNNER = {"smoke", "tag", "out", "help", "quiet", "verbose", "debug"}


@functools.cache
def config(name: str):
    recipe = recipes.find(name)
    return recipes.default_config(recipe, recipes.load(recipe))


def fault(name: str, flag: str) -> str | None:
    """What is wrong with ``--flag`` of a recipe, or of another command by its name."""
    if name in (known := commands()):
        options = [option for action in known[name]._actions for option in action.option_strings]
        return None if f"--{flag}" in options else f"kerastl {name} has no --{flag}"
    names = recipes.field_names(config(name))
    group, dot, last = flag.rpartition(".")
    plain = f"{group}{dot}{last.removeprefix('no-')}"
    found = recipes.setting(flag, names) or recipes.setting(plain, names)
    return None if found or flag in RUNNER or flag.endswith(".*") else f"{name} has no setting --{flag}"


def command_lines(text: str) -> Iterator[tuple[str, str]]:
    """The recipe or command, and each of its flags, of every line ``kerastl COMMAND ...``."""
    known = {*recipes.names(), *(alias.name for recipe in recipes.built_in() for alias in recipes.aliases(recipe))}
    for command, rest in re.findall(r"\bkerastl (\w+)\b([^`#\n|]*)", text):
        words = rest.split()
        name = next((word for word in words if word in known), "") if command == "run" else command
        if name and (command == "run" or command in commands()):
            yield from ((name, flag) for flag in re.findall(r"(?<!\S)--([a-z][\w.-]*)", rest))


def calls(text: str) -> Iterator[tuple[str, dict]]:
    """The recipe and the keywords of every ``kerastl.run("RECIPE", ...)``: nested ones as mappings, without values."""

    def named(value: ast.expr) -> dict | None:
        if not isinstance(value, ast.Dict):
            return None
        return {ast.literal_eval(key): named(one) for key, one in zip(value.keys, value.values, strict=True) if key}

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "kerastl.run" and node.args:
            recipe = node.args[0]
            if isinstance(recipe, ast.Constant) and not str(recipe.value).endswith(".py"):
                keywords = {one.arg: named(one.value) for one in node.keywords if one.arg}
                yield str(recipe.value), {name: one for name, one in keywords.items() if name not in RUNNER}


def test_every_flag_that_is_shown_exists():
    found = [(path, *one) for path in SHOWN for one in command_lines(path.read_text(encoding="utf-8"))]
    assert len(found) > 150
    assert [f"{path.name}: {wrong}" for path, name, flag in found if (wrong := fault(name, flag))] == []


def test_every_keyword_that_is_shown_exists():
    checked = 0
    for path in SHOWN:
        text = path.read_text(encoding="utf-8")
        blocks = [text] if path.suffix == ".py" else re.findall(r"(?ms)^ *```python\n(.*?)^ *```$", text)
        for block in blocks:
            for name, keywords in calls(textwrap.dedent(block)):
                checked += 1
                recipes.with_fields(config(name), keywords, recipe=f"{path.name}: {name}")
    assert checked >= 12


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("kerastl run text_classifier --data a.csv --schedule.epochs 3", "text_classifier has no setting --schedule"),
        ("kerastl run --lora-rank 8 mnist_mobile", "mnist_mobile has no setting --lora-rank"),
        ("kerastl audit FOLDER --megabytes 3", "kerastl audit has no --megabytes"),
    ],
)
def test_a_flag_that_is_none_is_found(line, words):
    wrong = [one for name, flag in command_lines(line) if (one := fault(name, flag))]
    assert len(wrong) == 1
    assert wrong[0].startswith(words)


def test_a_keyword_that_is_none_is_found():
    ((name, keywords),) = calls('kerastl.run("text_classifier", data="a.csv", schedule={"epochs": n}, smoke=True)')
    assert keywords == {"data": None, "schedule": {"epochs": None}}
    with pytest.raises(ValueError, match="has no setting 'schedule'"):
        recipes.with_fields(config(name), keywords, recipe=name)
