"""Recipes: found, read without being imported, given fields, and run from Python."""

import dataclasses
import re
import signal
from pathlib import Path

import numpy as np
import pytest

import kerastl
from kerastl.runs import recipes

TINY = '''"""A recipe that trains nothing.

Minutes: 0.1 on any machine
Data: none
"""
import dataclasses
import pathlib

import kerastl


@dataclasses.dataclass(frozen=True)
class Part:
    epochs: int = 3


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    teacher: Part = Part()
    batch_size: int = 8
    memory: bool = False

    @classmethod
    def smoke(cls):
        return cls(teacher=Part(epochs=1))


@dataclasses.dataclass(frozen=True)
class Patient(Config):
    teacher: Part = Part(epochs=90)


ALIASES = {"patient": Patient}


def run(config: Config, folder: pathlib.Path) -> None:
    if config.memory:
        raise MemoryError("no room")
    (folder / "mobile").mkdir(parents=True)
    (folder / "mobile" / "model.tflite").write_bytes(repr(config).encode())
'''


@dataclasses.dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclasses.dataclass(frozen=True)
class Part:
    epochs: int = 3
    inner: Inner = Inner()


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    return path


def test_a_file_is_read_and_not_imported(file):
    file.write_text(TINY + "\nraise SystemExit('imported')\n")
    found = recipes.find(str(file))
    assert (found.name, found.minutes, found.data) == ("tiny", "0.1 on any machine", "none")
    assert (found.summary, found.built_in, found.aliases) == ("A recipe that trains nothing.", False, ("patient",))


def test_run_gives_the_run_that_it_made(file):
    run = kerastl.run(str(file), seed=4, tag="first")
    assert run.folder == Path("saved_models/tiny/first")
    assert run.file.read_bytes() == b"Config(seed=4, teacher=Part(epochs=3), batch_size=8, memory=False)"
    nested = kerastl.run(str(file), out="deep", **{"teacher.epochs": 7})
    assert b"epochs=7" in nested.file.read_bytes()
    assert b"epochs=8" in kerastl.run(str(file), out="mapped", teacher={"epochs": 8}).file.read_bytes()
    smoke = kerastl.run(str(file), smoke=True)
    assert smoke.folder == Path("saved_models/tiny/smoke")
    assert b"epochs=1" in smoke.file.read_bytes()


def test_a_path_names_a_recipe_and_a_text_is_a_list_of_one(file):
    assert recipes.find(file) == recipes.find(str(file))
    config = dataclasses.make_dataclass("Config", [("columns", tuple, ())], frozen=True)()
    assert recipes.with_fields(config, {"columns": "PRICE"}, recipe="tiny").columns == ("PRICE",)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (type("Frame", (), {"to_csv": None})(), r"^seed takes a path\. Received: a data frame; save it, frame\.to_csv"),
        (np.zeros((3, 2)), r"^seed takes a path\. Received: an array \(3, 2\); save them, numpy\.savez"),
    ],
)
def test_data_themselves_are_no_setting(file, given, words):
    with pytest.raises(ValueError, match=words):
        kerastl.run(file, seed=given)


def test_an_alias_says_what_it_does(file):
    text = 'class Patient(Config):\n    """Ninety epochs.\n\n    Minutes: 30\n    """\n'
    file.write_text(TINY.replace("class Patient(Config):\n", text))
    (alias,) = recipes.aliases(recipes.find(str(file)))
    assert (alias.name, alias.summary, alias.minutes, alias.data) == ("patient", "Ninety epochs.", "30", "")


def test_an_alias_has_defaults_of_its_own(file):
    found = dataclasses.replace(recipes.find(str(file)), name="patient")
    module = recipes.load(found)
    assert recipes.default_config(found, module).teacher.epochs == 90
    assert recipes.default_config(found, module, smoke=True).teacher.epochs == 1
    assert isinstance(recipes.default_config(found, module, smoke=True), module.Patient)
    assert recipes.run_folder(found, tag=None, out=None, smoke=False) == Path("saved_models/patient/default")


NAMES = ("seed", "teacher.epochs", "student.epochs", "accept.max-score-drop", "accept.prefer", "max-train-examples")


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("seed", "seed"),
        ("teacher.epochs", "teacher.epochs"),
        ("max_score_drop", "accept.max-score-drop"),
        ("prefer", "accept.prefer"),
        ("budget", "accept.max-score-drop"),
        ("limit", "max-train-examples"),
        ("accept", "accept"),
        ("epochs", None),  # of two
        ("agreement", None),  # renamed, and not there
        ("nothing", None),
    ],
)
def test_a_setting_is_known_by_its_last_part_and_by_its_old_name(name, whole):
    assert recipes.setting(name, NAMES) == whole


def test_a_setting_of_ones_own_is_not_taken_for_an_old_name():
    assert recipes.setting("limit", ("limit", "max-train-examples")) == "limit"
    assert recipes.setting("views.zoom", ("augmentation.zoom",)) == "augmentation.zoom"
    assert recipes.setting("views.zoom", ("views.zoom", "augmentation.zoom")) == "views.zoom"
    assert recipes.setting("erasing", ("a.erasing", "teacher-augmentation.erasing")) == "teacher-augmentation.erasing"


def test_an_old_name_of_a_setting_that_is_nested_now_is_known_by_its_last_part():
    names = ("reading.on-unreadable", "reading.max-train-examples", "seed")
    assert recipes.setting("policy", names) == "reading.on-unreadable"
    assert recipes.setting("limit", names) == "reading.max-train-examples"
    assert recipes.setting("policy", (*names, "other.on-unreadable")) is None, "of two"
    assert recipes.setting("limit", (*names, "other.limit")) == "other.limit", "a name of its own comes first"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("epoch", ["teacher.epochs", "student.epochs"]),
        ("epochs", ["teacher.epochs", "student.epochs"]),
        ("Teacher.epoch", ["teacher.epochs", "student.epochs"]),
        ("max_score_drops", ["accept.max-score-drop"]),
        ("zzz", []),
    ],
)
def test_near_settings_end_in_a_near_word(name, near):
    assert recipes.near_settings(name, NAMES)[: len(near)] == near
    assert near or not recipes.near_settings(name, NAMES)


def test_a_keyword_of_two_groups_says_how_either_is_given():
    config = dataclasses.make_dataclass("Config", [("teacher", Part, Part()), ("student", Part, Part())], frozen=True)()
    with pytest.raises(ValueError, match=r"Did you mean teacher\.epochs, student\.epochs\? What .* teacher=\{\"epochs"):
        recipes.with_fields(config, {"epoch": 2}, recipe="mine")
    with pytest.raises(ValueError, match=r"'teacher\.inner\.depht'\. Did you mean teacher\.inner\.depth\?"):
        recipes.with_fields(config, {"teacher": {"inner": {"depht": 2}}}, recipe="mine")
    one = dataclasses.make_dataclass("Config", [("teacher", Part, Part())], frozen=True)()
    with pytest.raises(ValueError, match=r'It is inside teacher=\{"inner": \{"depth": \.\.\.\}\}'):
        recipes.with_fields(one, {"dept": 2}, recipe="mine")


def test_short_names_are_fields_too(file):
    assert b"epochs=7" in kerastl.run(str(file), out="short", epochs=7).file.read_bytes()


def test_what_a_choice_is_of_is_refused_before_anything_runs(file):
    text = TINY.replace("    memory: bool", '    data: typing.Literal["mnist", "cifar10"] = "mnist"\n    memory: bool')
    file.write_text(text.replace("import pathlib\n", "import pathlib\nimport typing\n"))
    with pytest.raises(ValueError, match=r"data is one of mnist, cifar10.*Did you mean cifar10.*Received: 'cifar'"):
        kerastl.run(str(file), data="cifar")
    assert b"data='cifar10'" in kerastl.run(str(file), data="cifar10").file.read_bytes()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sed": 1}, "no setting 'sed'. Did you mean seed"),
        ({"smok": True}, "no setting 'smok'. Did you mean smoke"),
        ({"epoch": 1}, """no setting 'epoch'. Did you mean epochs? It is inside teacher={"epochs": ...}."""),
        ({"teacher": {"epoch": 1}}, "no setting 'teacher.epoch'. Did you mean teacher.epochs? Available inside"),
        ({"teacher.epoch": 1}, "no setting 'teacher.epoch'. Did you mean teacher.epochs?"),
        ({"techer.epochs": 1}, """Did you mean epochs? It is inside teacher={"epochs": ...}."""),
        ({"tag": "a/b"}, "A tag is one folder's name"),
        ({"tag": "a", "out": "b"}, "give one of --out and --tag"),
    ],
)
def test_what_is_no_setting_is_refused_before_anything_runs(file, fields, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        kerastl.run(str(file), **fields)
    assert not Path("saved_models").exists()


def test_what_is_no_recipe_is_refused(file):
    with pytest.raises(ValueError, match="Did you mean mnist_mobile"):
        recipes.find("mnist_mobil")
    with pytest.raises(FileNotFoundError, match="no recipe file"):
        recipes.find("nowhere.py")
    file.write_text("def run(config, folder):\n    pass\n")
    with pytest.raises(ValueError, match="a dataclass `Config`"):
        recipes.load(recipes.find(str(file)))
    (file.parent / "data.txt").write_text("x = 1\n")
    with pytest.raises(ValueError, match=r"whose name ends in \.py"):
        recipes.load_file(file.parent / "data.txt")


def test_out_of_memory_names_the_batch_and_the_old_handler_comes_back(file):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(MemoryError) as raised:
        kerastl.run(str(file), memory=True)
    assert "--batch-size (now 8)" in raised.value.__notes__[0]
    assert signal.getsignal(signal.SIGTERM) is before


def test_every_alias_of_a_recipe_of_ours_is_found_by_its_name():
    named = {alias: one.path.stem for one in recipes.built_in() for alias in one.aliases}
    for alias, owner in named.items():
        assert recipes.find(alias).path.stem == owner
        module = recipes.load(recipes.find(alias))
        assert issubclass(module.ALIASES[alias], module.Config)
