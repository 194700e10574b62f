"""Code digests: every edit of a recipe and of its neighbours is seen; comments, formatting and places are none."""

from __future__ import annotations

import functools
import importlib
import sys

import numpy as np
import pytest

from kerastl.system import code_digests, digests
from kerastl.types import Schedule


def module(source: str) -> dict:
    space: dict = {"__name__": "recipe"}
    exec(source, space)
    return space


PIECE = """
RATE = 0.1

def make(config):
    return [train(part) for part in config]

def train(part):
    return part * RATE, other(part)

def other(part, count=3, *, least=0.5, kind=print):
    return make if part in {"a", "b", "c"} else None

def unrelated():
    return 1
"""


def test_a_functions_digest_follows_its_own_module():
    start = code_digests.of_function(module(PIECE)["make"])
    same = ["\n\n" + PIECE, PIECE.replace("return 1", "return 2"), PIECE.replace("):\n", "):  # said\n")]
    other = [
        PIECE.replace("0.1", "0.2"),
        PIECE.replace("part * RATE", "part + RATE"),
        PIECE.replace('"c"', '"d"'),
        PIECE.replace("count=3", "count=4"),
        PIECE.replace("least=0.5", "least=0.6"),
        PIECE.replace("for part in config", "for part in config if part"),
    ]
    assert [code_digests.of_function(module(text)["make"]) for text in same] == [start] * len(same)
    assert len({start, *(code_digests.of_function(module(text)["make"]) for text in other)}) == len(other) + 1
    assert code_digests.of_function(functools.partial(module(PIECE)["make"], 3)) == start
    assert code_digests.of_function(print) == digests.sha256_of([])


RECIPE = """
import dataclasses, enum, functools, os
import helper
from helper import scaled as by
from inner_helper import deep

WIDTHS = [8, 8]
RATES = {"first": 0.1, "rest": {"last": [0.5]}}
KINDS = {"a", "b"}
NAMES = ("x", "y")
COUNT: int = 3
TOTAL = COUNT * 4
if COUNT:
    CHOSEN = 5
PART = functools.partial(by, factor=6)


class Mode(enum.Enum):
    SLOW = "slow"
    FAST = 30


@dataclasses.dataclass(frozen=True)
class Settings:
    depth: int = 7
    names: tuple = ("left",)

    @property
    def size(self):
        return self.depth + 9


class Base:
    units = 11

    def width(self):
        return 12


class Net(Base):
    rate = 0.13

    def __init__(self, rate=0.14):
        self.given = rate

    def build(self):
        return super().width() * 15

    @staticmethod
    def plain():
        return 16

    @classmethod
    def named(cls):
        return 17

    def __call__(self, at):
        return self.build() + 18


def doubled(times):
    def around(function):
        @functools.wraps(function)
        def inner(*arguments):
            return [function(*arguments)] * times * 19
        return inner
    return around


@doubled(20)
def decorated(part):
    return part + 21


def defaults(part, widths=[22], *, least=0.23):
    return part, widths, least


def generator(parts):
    for part in parts:
        yield part + 24


def text(part):
    return f"{part} of 25"


def caught(part):
    try:
        return part / 26
    except ZeroDivisionError:
        return 27
    finally:
        part = 28


def matched(part):
    match part:
        case 29:
            return (found := 30)
        case _:
            return [31 for one in NAMES if one != "z"]


def make(at):
    short, long = 32, 33
    from late_helper import late
    return (lambda part: part * 34)(short), late, Net, Mode, helper, deep, Settings().names
"""
HELPER = "FACTOR = 41\n\n\ndef scaled(part, factor=FACTOR):\n    return part * factor * 42\n"
LATE = "def late():\n    return 43\n"
INNER = "from innermost_helper import base\n\n\ndef deep():\n    return base() + 44\n"
INNERMOST = "class Holder:\n    value = 45\n\n\ndef base():\n    return Holder.value\n"
FILES = {
    "recipe": RECIPE, "helper": HELPER, "late_helper": LATE, "inner_helper": INNER, "innermost_helper": INNERMOST
}  # fmt: skip
EDITS = [
    ("recipe", "WIDTHS = [8, 8]", "WIDTHS = [64, 64]"),
    ("recipe", '"first": 0.1', '"first": 0.2'),
    ("recipe", '"last": [0.5]', '"last": [0.6]'),
    ("recipe", '{"a", "b"}', '{"a", "c"}'),
    ("recipe", '("x", "y")', '("x", "w")'),
    ("recipe", "COUNT: int = 3", "COUNT: int = 4"),
    ("recipe", "COUNT * 4", "COUNT * 5"),
    ("recipe", "CHOSEN = 5", "CHOSEN = 6"),
    ("recipe", "factor=6", "factor=7"),
    ("recipe", '"slow"', '"slower"'),
    ("recipe", "FAST = 30", "FAST = 31"),
    ("recipe", "depth: int = 7", "depth: int = 8"),
    ("recipe", '("left",)', '("right",)'),
    ("recipe", "self.depth + 9", "self.depth + 10"),
    ("recipe", "units = 11", "units = 12"),
    ("recipe", "return 12", "return 13"),
    ("recipe", "rate = 0.13", "rate = 0.9"),
    ("recipe", "rate=0.14", "rate=0.9"),
    ("recipe", "width() * 15", "width() * 16"),
    ("recipe", "return 16", "return 17"),
    ("recipe", "return 17", "return 18"),
    ("recipe", "self.build() + 18", "self.build() + 19"),
    ("recipe", "times * 19", "times * 20"),
    ("recipe", "@doubled(20)", "@doubled(21)"),
    ("recipe", "@doubled(20)\n", ""),
    ("recipe", "part + 21", "part + 22"),
    ("recipe", "widths=[22]", "widths=[23]"),
    ("recipe", "least=0.23", "least=0.24"),
    ("recipe", "part + 24", "part + 25"),
    ("recipe", "of 25", "of 26"),
    ("recipe", "part / 26", "part / 27"),
    ("recipe", "return 27", "return 28"),
    ("recipe", "part = 28", "part = 29"),
    ("recipe", "case 29", "case 30"),
    ("recipe", "found := 30", "found := 31"),
    ("recipe", 'one != "z"', 'one == "z"'),
    ("recipe", "34)(short)", "34)(long)"),
    ("recipe", "part * 34", "part * 35"),
    ("helper", "FACTOR = 41", "FACTOR = 40"),
    ("helper", "factor * 42", "factor * 43"),
    ("late_helper", "return 43", "return 44"),
    ("inner_helper", "base() + 44", "base() + 45"),
    ("innermost_helper", "value = 45", "value = 46"),
]
NO_EDITS = [
    ("recipe", "WIDTHS = [8, 8]", "WIDTHS = [8,\n    8]  # eight of them"),
    ("recipe", "def make(at):", 'def make(at):\n    """Makes it."""'),
    ("recipe", "    depth: int = 7\n", '    depth: int = 7\n    """Layers."""\n\n'),
    ("helper", "FACTOR = 41", "# what it is\nFACTOR = 41"),
]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Writes a recipe with its neighbours into a folder of its own, imports it, and hands it over."""
    loaded = [0]

    def load(edit=None, place="mine"):
        loaded[0] += 1
        folder = tmp_path / f"{place}{loaded[0]}"
        folder.mkdir()
        for name, text in FILES.items():
            if edit is not None and edit[0] == name:
                assert text.count(edit[1]) == 1, edit
                text = text.replace(edit[1], edit[2])
            (folder / f"{name}.py").write_text(text)
        for name in FILES:
            sys.modules.pop(name, None)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            importlib.import_module("late_helper")  # it would be there once the stage was made
            return importlib.import_module("recipe")

    yield load
    for name in FILES:
        sys.modules.pop(name, None)


def test_every_kind_of_edit_is_noticed(recipe):
    start = code_digests.of_maker(recipe().make)
    missed = [edit for edit in EDITS if code_digests.of_maker(recipe(edit).make) == start]
    print(f"{len(EDITS)} kinds of edits")
    assert len(EDITS) >= 37
    assert not missed


def test_comments_docstrings_formatting_and_places_are_no_edits(recipe):
    start = code_digests.of_maker(recipe().make)
    assert code_digests.of_maker(recipe(place="elsewhere").make) == start
    assert [edit for edit in NO_EDITS if code_digests.of_maker(recipe(edit).make) != start] == []


@pytest.mark.parametrize("way", ["wrapped", "bound", "called", "partial", "lambda", "class method"])
def test_however_the_function_is_handed_over(recipe, way):
    made = {
        "wrapped": lambda module: module.doubled(2)(module.make),
        "bound": lambda module: module.Net(0.5).build,
        "called": lambda module: module.Net(0.5),
        "partial": lambda module: functools.partial(module.defaults, widths=[1]),
        "lambda": lambda module: lambda at: module.make(at),
        "class method": lambda module: module.Net.named,
    }[way]
    start = code_digests.of_maker(made(recipe()))
    assert code_digests.of_maker(made(recipe(place="elsewhere"))) == start
    for edit in (EDITS[0], EDITS[16], EDITS[-1]):
        assert code_digests.of_maker(made(recipe(edit))) != start, edit


def test_what_is_captured_counts_but_for_what_the_key_names(recipe):
    module = recipe()
    settings, big = Schedule(epochs=3), object()

    def maker(value, *, partly=1):
        captured, filled = value, [value]

        def make(at):
            filled.append(at)
            return captured, settings, big, module

        return functools.partial(make, partly)

    def digest(value, *, leave_out=(), **options):
        return code_digests.of_maker(maker(value, **options), leave_out=leave_out)

    values = [1, 2.5, "a", (1, 2), (1, [2, 3]), np.arange(3), Schedule(epochs=1), Schedule(epochs=2)]
    found = [digest(value) for value in values]
    assert len(set(found)) == len(values)
    assert digest((1, [2, 3])) == found[4], "contents, and not the object"
    assert digest(1, partly=2) != found[0]
    assert digest(1, partly=[1]) != digest(1, partly=[2])
    assert digest([1]) == digest([2]), "a list that is captured may be filled on the way"
    assert digest(lambda: 1) != digest(lambda: 2)
    one, other = Schedule(epochs=1), Schedule(epochs=2)
    assert digest(one, leave_out=[one]) == digest(other, leave_out=[other])


def test_calling_objects_count_with_what_they_hold(recipe):
    module = recipe()
    assert code_digests.of_maker(module.Net(0.5)) != code_digests.of_maker(module.Net(0.6))
    assert code_digests.of_maker(module.Net(0.5).build) != code_digests.of_maker(module.Net(0.6).build)
    assert code_digests.of_maker(lambda at: module.Mode.SLOW) == code_digests.of_maker(lambda at: module.Mode.SLOW)
    slow, fast = (functools.partial(module.make, mode) for mode in module.Mode)
    assert code_digests.of_maker(slow) != code_digests.of_maker(fast)


def test_a_source_that_is_gone_leaves_the_functions_themselves():
    space: dict = {"__name__": "nowhere"}
    exec("def make(at):\n    return 1", space)
    other: dict = {"__name__": "nowhere"}
    exec("def make(at):\n    return 2", other)
    assert code_digests.of_maker(space["make"]) != code_digests.of_maker(other["make"])
