"""A folder is known as that of a run by what a run writes, and by nothing else."""

import json

import pytest

from kerastl.system import run_marks

CONFIG = {"recipe": "mnist_cnn", "tag": "default", "versions": {"kerastl": "0.1.0"}, "config": {}}


def made(folder, content=CONFIG):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def test_a_run_is_known_by_its_config_and_finished_by_its_pins(tmp_path):
    run = made(tmp_path / "run")
    assert run_marks.config_of(run) == CONFIG
    assert not run_marks.is_finished(run)
    (run / run_marks.FILES).write_text("{}")
    assert run_marks.is_finished(run)


@pytest.mark.parametrize("content", [[], {"model_type": "bert"}, {**CONFIG, "versions": {}}, {**CONFIG, "versions": 1}])
def test_another_programs_config_is_none(tmp_path, content):
    assert run_marks.config_of(made(tmp_path / "other", content)) is None


def test_a_link_is_none(tmp_path):
    run = made(tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").symlink_to(run / "config.json")
    assert run_marks.config_of(tmp_path / "other") is None
    assert run_marks.config_of(tmp_path / "nothing") is None


def test_a_folder_of_runs_holds_nothing_else(tmp_path):
    runs = [made(tmp_path / name) for name in ("a/default", "a/second", "b/default")]
    (tmp_path / "README.md").touch()
    assert run_marks.runs_inside(tmp_path) == runs
    assert run_marks.runs_inside(tmp_path / "a") == runs[:2]
    (tmp_path / "c" / "pictures").mkdir(parents=True)
    assert run_marks.runs_inside(tmp_path) == [], "data may have runs beside them"


def test_a_bundle_is_a_file_and_what_explains_it(tmp_path):
    (tmp_path / "model.tflite").touch()
    assert not run_marks.is_bundle(tmp_path)
    (tmp_path / "README.md").touch()
    assert run_marks.is_bundle(tmp_path)
