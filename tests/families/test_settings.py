"""Every setting of every recipe: what it may be is stated, and anything else is refused before a byte is read."""

from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest

from kerastl import cli
from kerastl.runs import recipes
from kerastl.system import machine
from kerastl.types import settings

OPEN = {
    "data", "split_column", "label_column", "label_separator", "label_columns", "path_column", "text_column",
    "second_text_column",
    "leave_out", "unit", "group_column", "table", "root", "encoding", "delimiter", "validation_file", "test_file",
}  # fmt: skip
"""Texts that may be anything: what they name is looked for in the data, or by their reader, which say what there is."""
NAMES = [one.name for recipe in recipes.built_in() for one in (recipe, *recipes.aliases(recipe))]


def fields(config: Any, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Flag, name and type of every field, at any depth."""
    hints = typing.get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value, flag = getattr(config, field.name), f"{prefix}{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            yield from fields(value, f"{flag}.")
        else:
            yield flag, field.name, hints[field.name]


def is_stated(hint: Any) -> bool:
    """Whether a type says which of its values are right."""
    kind, inside = typing.get_origin(hint), typing.get_args(hint)
    if kind in (Annotated, Literal) or hint in (bool, type(None)):
        return True
    return bool(inside) and all(is_stated(one) for one in inside if one is not Ellipsis)


def wrong(hint: Any) -> list[Any]:
    """Values of the field's own type that it does not take, and one of another type."""
    kind, inside = typing.get_origin(hint), typing.get_args(hint)
    if kind is tuple:
        return [(one,) for one in wrong(inside[0])]
    if kind is Annotated:
        return [] if inside[0] is str else [-1, *([inside[1].most + 1] if inside[1].most < 1e9 else [])]
    return ["no such one"] if kind is Literal else [one for part in inside for one in wrong(part)]


def default(name: str) -> Any:
    recipe = recipes.find(name)
    return recipes.default_config(recipe, recipes.load(recipe))


def test_every_setting_states_what_it_may_be_and_is_held_to_it():
    seen = refused = 0
    for name in NAMES:
        config = default(name)
        settings.check(config)
        for smoke in (recipes.default_config(recipes.find(name), recipes.load(recipes.find(name)), smoke=True),):
            settings.check(smoke)
        for flag, field, hint in fields(config):
            seen += 1
            assert is_stated(hint) or field in OPEN, f"{name} --{flag}: {hint}"
            for value in (*wrong(hint), object()):
                # two settings that do not go together may say so first
                with pytest.raises(ValueError, match=f"^--{flag} .*Received: |{field}"):
                    settings.check(recipes.with_fields(config, {flag: value}, recipe=name))
                refused += 1
    print(f"{len(NAMES)} recipes and their other names, {seen} settings, {refused} wrong values refused")
    assert len(NAMES) > 13
    assert seen > 400
    assert refused > 800


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shrink_model", "--tune.epochs", "-1"], "--tune.epochs is a whole number 0 or more. Received: -1."),
        (
            ["shrink_model", "--keep-ratios", "2"],
            "--keep-ratios is a list of which each is a number above 0 and",
        ),
        (["shrink_model", "--model", "gone.keras"], "--model is a file or folder; there is nothing at that path."),
        (["image_classifier", "--backbone", "mobilnet_v2"], "Did you mean mobilenet_v2?"),
        (["mnist_cnn", "--epochs", "-1"], "--schedule.epochs is a whole number 0 or more. Received: -1."),
        (["mnist_mobile", "--accept.megabytes", "-1"], "--accept.megabytes is a number above 0."),
        (["text_classifier", "--on-unreadable", "skipp"], "skip"),
        (["shrink_model", "--pixels", "0..2"], "0..255"),
    ],
    ids=" ".join,
)
def test_the_command_line_says_the_same_and_makes_no_folder(here, monkeypatch, capsys, words, said):
    monkeypatch.setattr(machine, "free_memory", lambda: pytest.fail("it ran"))
    with contextlib.suppress(SystemExit):  # of a choice that is none, which the parser of flags knows by itself
        assert cli.main(["run", *words]) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert words[1].rpartition(".")[2].lstrip("-") in printed
    assert not (here / "saved_models").exists()
