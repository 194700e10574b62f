"""The folder of a run: whose it may be, and that a finished run is bitwise what it was until the next is published."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

import numpy as np
import pytest

from kerastl.runs import run_folder, store
from kerastl.system import digests


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
    width: int = 1


def started(folder, *, recipe="toy", **fields):
    return store.Run(folder, recipe=recipe, tag="run", config=Config(**fields), needed_bytes=1)


def make(run, *, width=1):
    """What a recipe does: a stage, something costly, files of the result."""
    array = run.stage("array", lambda at: np.full(3, width), key=[width])
    run.stage("same", lambda at: np.zeros(2), key=[])
    costly = run.place("costly")
    if not costly.exists():
        costly.mkdir()
        (costly / "answers").write_text("computed")
    (run.folder / "logs" / "array").mkdir(parents=True, exist_ok=True)
    (run.folder / "logs" / "array" / f"events{width}").write_text("curves")
    for name in ("report.json", "report.html", "model.keras"):
        (run.folder / name).write_text(f"{name} of {array.tolist()}")
    (run.folder / "variants").mkdir(exist_ok=True)
    (run.folder / "variants" / f"{width}.tflite").write_bytes(b"a file")


def finished(folder, **fields):
    with started(folder, **fields) as run:
        make(run, width=fields.get("width", 1))
        run.publish({"model.tflite": f"of {fields}".encode()})
    return contents(folder)


def contents(folder):
    return digests.of_folder(folder, leave_out=(".lock", run_folder.NEXT))


def pinned(folder):
    return json.loads((folder / "files.json").read_text())


ERRORS = [ValueError("refused"), KeyboardInterrupt(), OSError("no room"), RuntimeError("fault")]


def stopped(folder, error, **fields):
    """A run that ends with an error when all is made and nothing published."""
    with started(folder, **fields) as run:
        make(run, width=fields["width"])
        raise error


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("width", [1, 2], ids=["the same command", "another setting"])
def test_a_second_run_that_ends_early_leaves_the_finished_one_as_it_was(tmp_path, error, width):
    before = finished(tmp_path / "run")
    with pytest.raises(type(error)):
        stopped(tmp_path / "run", error, width=width)
    assert contents(tmp_path / "run") == before
    assert pinned(tmp_path / "run") == {name: digest for name, digest in before.items() if name != "files.json"}


def test_the_next_run_takes_the_place_of_the_finished_one(tmp_path, capsys):
    folder = tmp_path / "run"
    before = finished(folder)
    with started(folder, width=2) as run:
        assert "it stays until this one is" in capsys.readouterr().err
        make(run, width=2)
        assert [(stage["name"], stage["reused"]) for stage in run.stages] == [("array", False), ("same", True)]
        assert contents(folder) == before
        run.publish({"model.tflite": b"the second"})
        assert run.folder == folder
    assert (folder / "mobile" / "model.tflite").read_bytes() == b"the second"
    assert (folder / "report.json").read_text() == "report.json of [2, 2, 2]"
    assert [path.name for path in (folder / "variants").iterdir()] == ["2.tflite"]
    assert sorted(path.name for path in (folder / "logs" / "array").iterdir()) == ["events1", "events2"]
    assert len(list((folder / "stages").iterdir())) == 3, "those of both, for whoever goes back"
    assert json.loads((folder / "config.json").read_text())["config"]["width"] == 2
    assert not (folder / run_folder.NEXT).exists()
    now = contents(folder)
    assert pinned(folder) == {name: digest for name, digest in now.items() if name != "files.json"}
    with started(folder, width=1) as run:  # and back again: nothing is made anew
        make(run, width=1)
        assert all(stage["reused"] for stage in run.stages)


def test_a_run_that_was_killed_before_it_made_anything_leaves_no_claim(tmp_path):
    killed = started(tmp_path)
    killed.__enter__()
    os.close(killed._lock)  # as the kernel does for a process that is gone
    assert json.loads((tmp_path / "config.json").read_text())["recipe"] == "toy"
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / run_folder.LOG).write_text("began")
    with started(tmp_path, recipe="other") as run:
        run.stage("array", lambda at: np.zeros(2), key=[])
    assert json.loads((tmp_path / "config.json").read_text())["recipe"] == "other"
    with pytest.raises(ValueError, match=r"a run of 'other', for toy"):
        run_folder.check_own(tmp_path, recipe="toy")


def test_what_an_earlier_run_computed_is_there_again_and_changes_nothing_in_it(tmp_path):
    before = finished(tmp_path / "run")
    with started(tmp_path / "run", width=2) as run:
        costly = run.place("costly")
        assert (costly / "answers").read_text() == "computed"
        (costly / "answers").unlink()
        (costly / "answers").write_text("computed anew")
    assert contents(tmp_path / "run") == before


def test_publishing_that_was_killed_on_the_way_is_finished_by_the_next_run(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    finished(folder)
    moves = [0]
    real = os.replace

    def killed(source, target):
        moves[0] += 1
        if moves[0] == 6:
            raise KeyboardInterrupt
        return real(source, target)

    with started(folder, width=2) as run:
        make(run, width=2)
        store.publish(run.folder, {"model.tflite": b"the second"}, kept=run_folder.kept(folder))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            with pytest.raises(KeyboardInterrupt):
                run_folder.finish_publishing(folder)
    assert (folder / run_folder.NEXT / "files.json").exists()
    with started(folder, width=2):
        now = contents(folder)
        assert pinned(folder) == {name: digest for name, digest in now.items() if name != "files.json"}
        assert (folder / "mobile" / "model.tflite").read_bytes() == b"the second"


PROJECTS = {
    "an Android project": {"mobile/src/Main.kt": "fun main() {}", "files.json": "[1]"},
    "a config of something else": {"config.json": '{"config": {}, "recipe": "mine"}', "report.html": "mine"},
    "hidden files": {".git/HEAD": "ref"},
    "a list": {"config.json": "[" * 5000},
}


@pytest.mark.parametrize("project", PROJECTS)
def test_a_folder_of_somebody_elses_is_refused_before_anything_is_written(tmp_path, project):
    for name, text in PROJECTS[project].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = digests.of_folder(tmp_path)
    with (
        pytest.raises(ValueError, match=r"nothing of yours is overwritten\. Received: .* which holds"),
        started(tmp_path),
    ):
        pytest.fail("it began")
    assert digests.of_folder(tmp_path) == before


def test_a_run_of_another_recipe_is_refused_and_an_empty_or_a_killed_one_is_not(tmp_path):
    before = finished(tmp_path / "run", recipe="toy")
    with pytest.raises(ValueError, match=r"a run of 'toy', for other\. Choose another --tag"):
        started(tmp_path / "run", recipe="other").__enter__()
    assert contents(tmp_path / "run") == before
    (tmp_path / "killed").mkdir()
    (tmp_path / "killed" / ".lock").touch()  # before it had written what it is
    (tmp_path / "killed" / ".config.json.unfinished-1.json").write_text("{")
    assert finished(tmp_path / "killed")


@pytest.mark.parametrize("name", [".lock", "logs", "stages", "variants", "mobile", "config.json", ".next"])
def test_links_inside_are_not_followed(tmp_path, name):
    finished(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "theirs"
    target.write_text("theirs") if "." in name[1:] or name == ".lock" else target.mkdir()
    if (tmp_path / "run" / name).exists():
        (tmp_path / "run" / name).rename(tmp_path / "elsewhere" / "before")
    (tmp_path / "run" / name).symlink_to(target)
    before = digests.of_folder(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=rf"follows no links inside.*{name.strip('.')}"):
        started(tmp_path / "run").__enter__()
    assert digests.of_folder(tmp_path / "elsewhere") == before


def test_runs_in_parent_and_child_folders_do_not_disturb_each_other(tmp_path):
    parent = tmp_path / "run"
    finished(parent)
    child = started(parent / "inner")
    with child as run:
        (run.folder / ".x.unfinished-7").write_text("being written")
        after = finished(parent, width=2)
        assert (run.folder / ".x.unfinished-7").exists()
        assert not any(name.startswith("inner/") for name in pinned(parent))
        make(run)
        run.publish({"model.tflite": b"inner"})
    assert {name: digest for name, digest in contents(parent).items() if not name.startswith("inner/")} == {
        name: digest for name, digest in after.items() if not name.startswith("inner/")
    }


def test_files_that_are_added_are_pinned_and_no_link_is_followed(tmp_path):
    folder = tmp_path / "run"
    (folder / "mobile").mkdir(parents=True)
    (folder / run_folder.FILES).write_text('{"report.json": "0"}')
    run_folder.add(folder, {"mobile/index.json": b"one", "evaluation.json": b"two"})
    pinned = json.loads((folder / run_folder.FILES).read_text())
    sums = {name: hashlib.sha256(text).hexdigest() for name, text in (("a", b"one"), ("b", b"two"))}
    assert pinned == {"report.json": "0", "mobile/index.json": sums["a"], "evaluation.json": sums["b"]}
    assert (folder / "mobile" / "index.json").read_bytes() == b"one"
    assert (folder / ".lock").read_bytes() == b""
    before = (folder / run_folder.FILES).read_bytes()
    (folder / "mobile" / "index.json").unlink()
    (folder / "mobile" / "index.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"through links.*index\.json is one"):
        run_folder.add(folder, {"mobile/index.json": b"three"})
    assert not (tmp_path / "elsewhere").exists()
    assert (folder / run_folder.FILES).read_bytes() == before
    held = run_folder.take_lock(folder, note=lambda words: None)
    with pytest.raises(ValueError, match="One process at a time"):
        run_folder.add(folder, {"evaluation.json": b"four"})
    run_folder.release_lock(held)
