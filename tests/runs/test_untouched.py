"""A run that is refused leaves its folder as it was: a new one absent or empty, another bit for bit."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from kerastl import cli
from kerastl.runs import run_folder, store, untouched
from kerastl.system import digests


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 3


def open_run(folder: Path, **changes) -> store.Run:
    return store.Run(folder, **{"recipe": "tiny", "tag": "default", "config": Config(), "needed_bytes": 1, **changes})


def stage(run: store.Run, name: str, make, key: int = 0) -> None:
    run.stage(name, make, key=[key], save=lambda it, path: (path / "made").write_text(name), load=lambda path: None)


def refused(folder: Path, what=lambda run: None, **changes) -> None:
    def attempt():
        with open_run(folder, **changes) as run:
            what(run)
            raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        attempt()


def content(folder: Path) -> dict[str, str]:
    return digests.of_folder(folder) | {f"{path}/": "" for path in folder.rglob("*") if path.is_dir()}


def in_a_stage(run: store.Run) -> None:
    def make(workspace):
        raise ValueError("no such thing")

    stage(run, "net", make)


@pytest.mark.parametrize("what", [lambda run: None, in_a_stage], ids=["at once", "in a stage"])
def test_a_new_folder_is_absent_or_empty_again(tmp_path, what):
    refused(tmp_path / "saved_models" / "tiny" / "default", what)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", what)
    assert list((tmp_path / "empty").iterdir()) == []
    with open_run(tmp_path / "empty", recipe="another") as run:
        assert run.folder == tmp_path / "empty"


def test_what_others_have_made_beside_it_stays(tmp_path):
    (tmp_path / "saved_models").mkdir()
    refused(tmp_path / "saved_models" / "tiny" / "default", lambda run: (tmp_path / "saved_models" / "mine").touch())
    assert [path.name for path in (tmp_path / "saved_models").iterdir()] == ["mine"]


@pytest.mark.parametrize("what", [lambda run: None, in_a_stage], ids=["at once", "in a stage"])
def test_an_unfinished_run_is_bit_for_bit_what_it_was(tmp_path, what):
    def interrupted(workspace):
        workspace.save_checkpoint({}, {"number": 7})
        raise KeyboardInterrupt

    with open_run(tmp_path) as run:
        stage(run, "first", lambda workspace: None)
        with pytest.raises(KeyboardInterrupt):
            stage(run, "net", interrupted, key=1)
    log = tmp_path / run_folder.LOG
    log.parent.mkdir()
    log.write_text("what was said\n")
    before = content(tmp_path)

    def said_and(run):
        with log.open("a") as file:
            file.write("more\n")
            what(run)

    refused(tmp_path, said_and, config=Config(seed=4))
    assert content(tmp_path) == before


def test_a_finished_run_is_bit_for_bit_what_it_was(tmp_path):
    with open_run(tmp_path) as run:
        stage(run, "first", lambda workspace: None)
        place = run.place("answers")
        place.mkdir()
        (place / "some").write_text("costly")
        run.publish({"model.tflite": b"1"})
    before = content(tmp_path)
    refused(tmp_path, lambda run: run.place("answers"), config=Config(seed=4))
    assert content(tmp_path) == before


def test_what_was_made_is_kept(tmp_path):
    def curve(run):
        (run.folder / "logs" / "net").mkdir(parents=True)
        (run.folder / "logs" / "net" / "events").write_text("epoch 1")

    for name, what in (("stage", lambda run: stage(run, "first", lambda workspace: None)), ("curve", curve)):
        refused(tmp_path / name, what)
        assert run_folder.run_marks.config_of(tmp_path / name)


def test_a_folder_that_has_no_room_is_not_made(tmp_path):
    with pytest.raises(ValueError, match="free disk"), open_run(tmp_path / "new", needed_bytes=10**18):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_goes_wrong_here_hides_what_went_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr(untouched.Path, "rmdir", lambda path: (_ for _ in ()).throw(PermissionError(path)))
    refused(tmp_path / "new")


RECIPE = '''"""Is refused.

Minutes: 0
Data: none
"""
import dataclasses, os
from kerastl.runs import store


@dataclasses.dataclass(frozen=True)
class Config:
    fail: bool = True

    @classmethod
    def smoke(cls):
        return cls()


def run(config, folder):
    with store.Run(folder, recipe="mine", tag=folder.name, config=config, needed_bytes=1) as run:
        print("on the way")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK\\n" * 1000)
        if config.fail:
            raise ValueError("no such data")
        run.stage("one", lambda workspace: None, key=[], save=lambda it, path: None, load=lambda path: None)
'''


def test_a_command_that_is_refused_leaves_no_log_either(tmp_path):
    """Of which another process writes lines when it gets to them."""
    (tmp_path / "mine.py").write_text(RECIPE)
    call = [sys.executable, "-c", "from kerastl import cli; raise SystemExit(cli.main())", "run", "mine.py", "--out"]

    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run([*call, *words], cwd=tmp_path, capture_output=True, text=True, env=None)

    assert "no such data" in run("new").stderr
    assert not (tmp_path / "new").exists()
    assert run("kept", "--no-fail").returncode == 0
    before = content(tmp_path / "kept")
    assert "on the way" in (tmp_path / "kept" / run_folder.LOG).read_text()
    assert "no such data" in run("kept").stderr
    assert content(tmp_path / "kept") == before


def test_a_recipe_of_ours_that_lacks_its_data_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "text_classifier", "--data", "nowhere.csv"]) == 1
    assert "where there is nothing" in capsys.readouterr().err
    (tmp_path / "texts.csv").write_text("text,kind\ngood,a\n")
    assert cli.main(["run", "table_regressor", "--data", "texts.csv", "--label-columns", "price"]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["texts.csv"]
