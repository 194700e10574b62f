"""The run folder: what is kept, what is made anew, and what is refused before anything starts."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from kerastl import types
from kerastl.inputs.numbers import Numbers
from kerastl.runs import store
from kerastl.system import atomic_files
from kerastl.tasks.single_label import SingleLabel

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}  # the tree that is tested, also in a child


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 3
    schedule: types.Schedule = types.Schedule(epochs=2)


def open_run(folder: Path, **changes) -> store.Run:
    return store.Run(folder, **{"recipe": "tiny", "tag": "default", "config": Config(), "needed_bytes": 1, **changes})


class Maker:
    """Counts how often it makes its array."""

    def __init__(self) -> None:
        self.made = 0

    def stage(self, run: store.Run, *, key=("a",), name="weights"):
        def make(workspace):
            self.made += 1
            time.sleep(0.01)
            return np.arange(4.0)

        def save(array, path):
            (path / "inner").mkdir()
            np.save(path / "inner" / "array.npy", array)

        return run.stage(name, make, key=key, save=save, load=lambda path: np.load(path / "inner" / "array.npy"))


def test_a_finished_stage_is_reused_with_its_seconds(tmp_path):
    maker, seconds = Maker(), []
    for reused in (False, True):
        with open_run(tmp_path) as run:
            np.testing.assert_array_equal(maker.stage(run), [0, 1, 2, 3])
        assert [(row["name"], row["reused"]) for row in run.stages] == [("weights", reused)]
        seconds.append(run.stages[0]["seconds"])
    assert maker.made == 1
    assert set(run.stages[0]) == {"name", "seconds", "reused"}
    assert seconds[0] == seconds[1] >= 0.01


def test_a_stage_is_made_anew_with_what_it_builds_on(tmp_path):
    first, second = Maker(), Maker()
    for key in ("a", "b"):
        with open_run(tmp_path) as run:
            first.stage(run, key=(key,), name="teacher")
            second.stage(run, key=(run.stage_key("teacher"),), name="student")
    assert (first.made, second.made) == (2, 2)


def test_a_stage_is_made_anew_by_another_kerastl(tmp_path, monkeypatch):
    maker = Maker()
    for version in ("1.0", "1.0", "1.1"):
        monkeypatch.setattr(store, "versions", lambda version=version: {"kerastl": version})
        with open_run(tmp_path) as run:
            maker.stage(run)
    assert maker.made == 2


def test_a_stage_is_told_where_its_logs_and_checkpoints_go(tmp_path):
    places = []
    with open_run(tmp_path) as run:
        run.stage(
            "big-cnn_2", places.append, key=[], save=lambda _, path: (path / "file").touch(), load=lambda path: None
        )
    (place,) = places
    assert place.stage == "big-cnn_2"
    assert place.logs == tmp_path / "logs" / "big-cnn_2"


def test_checkpoints_of_a_stage_go_when_it_is_finished_and_with_other_settings(tmp_path):
    dying = [True]

    def make(workspace):
        if dying[0]:
            workspace.save_checkpoint({}, {"number": 7})
            raise KeyboardInterrupt
        return workspace.latest_checkpoint()

    def stage(key, name="lesson"):
        made = []
        with open_run(tmp_path) as run:
            run.stage(name, make, key=[key], save=lambda it, path: made.append(it), load=lambda path: None)
        return made

    def begun():
        return sorted(path.name for path in (tmp_path / "stages").glob(".work-*"))

    for name, key in (("lesson", 1), ("lesson-two", 1), ("lesson", 2)):
        with pytest.raises(KeyboardInterrupt):
            stage(key, name)
    assert [name.rpartition("-")[0] for name in begun()] == [".work-lesson", ".work-lesson-two"]
    dying[0] = False
    assert stage(2) == [({}, {"number": 7})]
    assert [name.rpartition("-")[0] for name in begun()] == [".work-lesson-two"]
    (finished,) = (path for path in (tmp_path / "stages").glob("lesson-*"))
    finished.with_name(f".work-{finished.name}").mkdir()  # a kill after the stage was committed
    assert stage(2) == []
    assert [name.rpartition("-")[0] for name in begun()] == [".work-lesson-two"]


@pytest.mark.parametrize("key", [("b",), ("a", 1), (types.Schedule(epochs=3),), (np.zeros(2),)])
def test_another_key_makes_the_stage_anew(tmp_path, key):
    maker = Maker()
    with open_run(tmp_path) as run:
        maker.stage(run)
    with open_run(tmp_path) as run:
        maker.stage(run, key=key)
    assert maker.made == 2


def test_other_code_in_make_makes_the_stage_anew(tmp_path):
    def numbers(make):
        with open_run(tmp_path) as run:
            return run.stage(
                "number",
                make,
                key=[1],
                save=lambda value, path: (path / "n").write_text(str(value)),
                load=lambda path: int((path / "n").read_text()),
            )

    assert [numbers(lambda at: 1), numbers(lambda at: 2), numbers(lambda at: 1)] == [1, 2, 1]
    assert len(list((tmp_path / "stages").iterdir())) == 2


@pytest.mark.parametrize("harm", ["flip", "remove", "add", "manifest"])
def test_a_damaged_stage_is_noticed_and_made_anew(tmp_path, harm, capsys):
    maker = Maker()
    with open_run(tmp_path) as run:
        maker.stage(run)
    (folder,) = (tmp_path / "stages").iterdir()
    file = folder / "inner" / "array.npy"
    if harm == "flip":
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    elif harm == "remove":
        file.unlink()
    elif harm == "add":
        (folder / "more").write_text("x")
    else:
        (folder / "manifest.json").write_text("{")
    with open_run(tmp_path) as run:
        np.testing.assert_array_equal(maker.stage(run), [0, 1, 2, 3])
    assert maker.made == 2
    assert "damaged" in run.notes[0]
    assert "damaged" in capsys.readouterr().err


def test_a_failing_save_leaves_no_stage(tmp_path):
    def save(value, path):
        (path / "half").write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), open_run(tmp_path) as run:
        run.stage("weights", lambda at: 1, key=[], save=save, load=lambda path: 1)
    assert list(tmp_path.iterdir()) == [], "nor anything else"


def test_a_killed_run_resumes_at_its_last_finished_stage(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import dataclasses, os, pathlib, signal, sys
        from kerastl.runs import store

        @dataclasses.dataclass(frozen=True)
        class Config:
            seed: int = 0

        def save(value, path):
            (path / "value").write_text(value)
            if value == "two" and sys.argv[1] == "die":
                os.kill(os.getpid(), signal.SIGKILL)

        def load(path):
            return (path / "value").read_text()

        folder = pathlib.Path(__file__).parent / "run"
        with store.Run(folder, recipe="r", tag="t", config=Config(), needed_bytes=1) as run:
            one = run.stage("one", lambda at: "one", key=[], save=save, load=load)
            two = run.stage("two", lambda at: "two", key=[run.stage_key("one")], save=save, load=load)
            print(one, two, [row["reused"] for row in run.stages], len(list((folder / "stages").iterdir())))
        """)
    )
    died = subprocess.run([sys.executable, script, "die"], env=ENVIRONMENT, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "run" / "stages").iterdir())) == 2  # one finished, one torn
    again = subprocess.run(
        [sys.executable, script, "live"], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert again.stdout.strip() == "one two [True, False] 2"


def test_two_processes_in_one_folder_the_second_names_the_first(tmp_path):
    with open_run(tmp_path):
        code = (
            "import sys; sys.path.insert(0, sys.argv[2]); from tests_store_config import Config\n"
            "from kerastl.runs import store\n"
            "from pathlib import Path\n"
            "with store.Run(Path(sys.argv[1]), recipe='tiny', tag='t', config=Config(), needed_bytes=1): pass\n"
        )
        (tmp_path.parent / "tests_store_config.py").write_text(
            "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Config:\n    seed: int = 0\n"
        )
        second = [sys.executable, "-c", code, str(tmp_path), str(tmp_path.parent)]
        result = subprocess.run(second, env=ENVIRONMENT, capture_output=True, text=True)
        assert result.returncode == 1
        assert f"process {os.getpid()} is at work" in result.stderr
    subprocess.run(second, env=ENVIRONMENT, check=True)


def test_a_dead_process_lock_is_taken_over_and_said(tmp_path):
    (tmp_path / ".lock").write_text("1\n")  # process 1 lives, but does not hold the lock
    with open_run(tmp_path) as run:
        assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"
    assert "process 1, which was at work here, ended without a word" in run.notes[0]
    with open_run(tmp_path) as run:
        assert run.notes == []


def test_the_same_process_cannot_enter_twice(tmp_path):
    with open_run(tmp_path), pytest.raises(ValueError, match=rf"process {os.getpid()} is at work"), open_run(tmp_path):
        pass


def test_config_json_holds_the_run(tmp_path):
    inputs = np.zeros((2, 3), np.uint8)
    task = types.Task("toy", Numbers((3,)), SingleLabel(("a", "b")))
    split = {name: types.Split(name, inputs, np.zeros(2, np.int32), task) for name in ("train", "validation", "test")}
    dataset = types.Dataset(task, **split, digest="d" * 64, source="toy", arguments={"seed": 3, "limit": None})
    with open_run(tmp_path) as run:
        run.use_dataset(dataset)
    content = json.loads((tmp_path / "config.json").read_text())
    assert {"recipe", "tag", "seed", "versions", "config", "data"} <= set(content)
    assert content["seed"] == 3
    assert content["config"]["schedule"]["epochs"] == 2
    assert content["versions"]["tensorflow"].startswith("2.")
    assert content["data"] == {
        "name": "toy",
        "source": "toy",
        "arguments": {"seed": 3, "limit": None},
        "digest": "d" * 64,
        "class_names": ["a", "b"],
        "counts": {"train": 2, "validation": 2, "test": 2},
    }
    with open_run(tmp_path):  # the same run again knows its data even before it has loaded them
        assert json.loads((tmp_path / "config.json").read_text())["data"] == content["data"]


def test_classes_that_changed_are_refused_where_the_run_goes_on(tmp_path, capsys):
    inputs = np.zeros((2, 3), np.uint8)

    def dataset(*names, **leakage):
        task = types.Task("toy", Numbers((3,)), SingleLabel(names))
        return types.Dataset(
            task,
            *(types.Split(name, inputs, np.zeros(2, np.int32), task) for name in ("train", "validation", "test")),
            digest="d" * 64,
            source="toy",
            leakage=leakage,
        )

    with open_run(tmp_path) as run:
        run.use_dataset(dataset("1", "2", "10", exact_duplicates=3, contradicting_labels=0))
        assert run.notes == ["data set toy: 3 held-out examples stand in another split as well. "
                             "Scores may be flattered by it"]  # fmt: skip
    with open_run(tmp_path) as run:
        run.use_dataset(dataset("1", "2", "10", exact_duplicates=1, contradicting_labels=1))
        assert "1 held-out example stands in another split as well; 1 input carries more than" in run.notes[0]
    for names in (("1", "10", "2"), ("1", "2", "ten"), ("1", "2")):
        with pytest.raises(ValueError, match="began with the classes 1, 2, 10"), open_run(tmp_path) as run:
            run.use_dataset(dataset(*names))
    with open_run(tmp_path) as run:
        run.use_dataset(dataset("1", "2", "10"))
        assert run.notes == []


def test_refusals_come_before_anything_else(tmp_path, monkeypatch):
    for wrong in ({"seed": 1}, Config):
        with pytest.raises(ValueError, match="instance of a dataclass"):
            store.Run(tmp_path, recipe="toy", tag="run", config=wrong)
    with pytest.raises(ValueError, match="free disk"), open_run(tmp_path / "big", needed_bytes=10**18):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be writable"), open_run(tmp_path / "file" / "run"):
        pass
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(ValueError, match=r"Received: backend 'jax' from the environment"), open_run(tmp_path / "jax"):
        pass
    assert not (tmp_path / "jax").exists()


def test_settings_that_do_not_fit_leave_the_earlier_result(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "full")

    with open_run(tmp_path):
        store.publish(tmp_path, {"model.tflite": b"model"})
    before = (tmp_path / "config.json").read_bytes()
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: full(path))
    with pytest.raises(OSError, match=r"No room for .*config\.json"), open_run(tmp_path, config=Config(seed=4)):
        pass
    monkeypatch.undo()
    assert (tmp_path / "config.json").read_bytes() == before
    assert (tmp_path / "mobile" / "model.tflite").exists()
    with open_run(tmp_path, config=Config(seed=4)):  # and the lock is free
        pass
    assert (tmp_path / "config.json").read_bytes() == before


def test_pins_that_do_not_fit_leave_the_earlier_bundle(tmp_path, monkeypatch):
    with open_run(tmp_path):
        store.publish(tmp_path, {"model.tflite": b"model"})
    real = Path.write_bytes

    def write_bytes(path, content):
        if "files.json" in path.name:
            raise OSError(errno.ENOSPC, "full")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="No room"):
        store.publish(tmp_path, {"model.tflite": b"other"})
    assert (tmp_path / "mobile" / "model.tflite").read_bytes() == b"model"


def test_want_of_memory_says_nothing_against_a_bundle(tmp_path):
    with open_run(tmp_path):
        store.publish(tmp_path, {"model.tflite": b"model"})
    with pytest.raises(MemoryError), open_run(tmp_path):
        raise MemoryError
    assert (tmp_path / "mobile").exists()


def test_the_backend_of_keras_own_file_counts(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    store.check_backend()
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    with pytest.raises(ValueError, match=r"'torch' from .*keras.json"):
        store.check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    store.check_backend()


def test_publish_puts_the_bundle_and_pins_every_file(tmp_path):
    with open_run(tmp_path) as run:
        Maker().stage(run)
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "events").write_text("x")
        atomic_files.write_bytes(tmp_path / "variants" / "float32.tflite", b"model")
        store.publish(tmp_path, {"model.tflite": b"old", "gone.txt": b""})
        store.publish(tmp_path, {"model.tflite": b"model", "labels.txt": b"a\nb\n"})
    assert sorted(path.name for path in (tmp_path / "mobile").iterdir()) == ["labels.txt", "model.tflite"]
    pinned = json.loads((tmp_path / "files.json").read_text())
    stages = {name for name in pinned if name.startswith("stages/")}
    assert set(pinned) - stages == {
        "config.json", "logs/events", "variants/float32.tflite", "mobile/model.tflite", "mobile/labels.txt",
    }  # fmt: skip
    assert {name.rpartition("/")[2] for name in stages} == {"array.npy", "manifest.json"}
    assert pinned["mobile/model.tflite"] == hashlib.sha256(b"model").hexdigest()
    for name in ("../model.tflite", ".", "a/b"):
        with pytest.raises(ValueError, match="plain file names"):
            store.publish(tmp_path, {name: b""})


def test_no_failure_takes_a_finished_run_away(tmp_path):
    """`test_run_folder.py` compares every file of it."""

    def run(error, **changes):
        with open_run(tmp_path, **changes):
            raise error

    with open_run(tmp_path):
        store.publish(tmp_path, {"model.tflite": b"model"})
    for error in (OSError("full"), KeyboardInterrupt(), RuntimeError("the file is not the model")):
        for config in (Config(), Config(seed=4)):
            with pytest.raises(type(error)):
                run(error, config=config)
    assert (tmp_path / "mobile" / "model.tflite").read_bytes() == b"model"
    assert (tmp_path / "files.json").exists()


def test_stage_names_and_keys_are_checked(tmp_path):
    with open_run(tmp_path) as run:
        Maker().stage(run)
        assert len(run.stage_key("weights")) == 64
        with pytest.raises(ValueError, match="Available: weights"):
            run.stage_key("teacher")
        for name in ("weights", "a/b", ""):
            with pytest.raises(ValueError, match="name of its own"):
                Maker().stage(run, name=name)
    with pytest.raises(ValueError, match="inside `with"):
        Maker().stage(run, name="late")


def test_a_stage_for_each_seed_is_a_stage_of_its_own(tmp_path):
    made = []

    def make(seed, workspace):
        made.append((seed, workspace.stage))
        return seed

    def passed(seeds, key=1):
        with open_run(tmp_path) as run:
            save, load = (lambda it, path: (path / "n").write_text(str(it))), (lambda path: (path / "n").read_text())
            found = run.stage_per_seed("student", make, seeds=seeds, key=[key], save=save, load=load)
            return found, [row["name"] for row in run.stages], [row["reused"] for row in run.stages]

    assert passed([3, 4]) == (["3", "4"], ["student-3", "student-4"], [False, False])
    assert passed([4, 5]) == (["4", "5"], ["student-4", "student-5"], [True, False])
    assert made == [(3, "student-3"), (4, "student-4"), (5, "student-5")]
    assert passed([3], key=2)[2] == [False]
    assert passed(None)[1] == ["student-3"], "those of the run: its config's seed"
    with pytest.raises(ValueError, match="a name of its own"):
        passed([1, 1])


def test_the_seeds_of_a_run_are_its_configs(tmp_path):
    @dataclasses.dataclass(frozen=True)
    class Several:
        seed: int = 5
        seeds: int = 3

    @dataclasses.dataclass(frozen=True)
    class Unseeded:
        widths: tuple[int, ...] = (8,)

    configs = {Several(): [5, 6, 7], Config(): [3], Unseeded(): [0]}
    for place, (config, seeds) in enumerate(configs.items()):
        run = open_run(tmp_path / str(place), config=config)
        assert list(run.seeds) == seeds
        assert run.config is config
