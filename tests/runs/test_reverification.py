"""A finished run measured again: whatever differs from what it states is said, to the last digit."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from toy_run import load, restate, written_file

import kerastl
from kerastl import cli
from kerastl.runs import Acceptance, candidates, own_model, publishing, reverification, store
from kerastl.system import digests, downloads


def differences(folder: Path) -> tuple[str, ...]:
    return kerastl.open(folder).verify(progress=False)


def test_a_finished_run_is_as_it_states(finished, capsys):
    assert differences(finished) == ()
    assert capsys.readouterr().err == ""
    said = reverification.verify(kerastl.open(finished), progress=False)
    assert {"variants.latency_ms", "chosen, why, frontier", "config.json"} <= said.unmeasured.keys()
    kerastl.open(finished).verify()
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "digests: as stated"
    assert [line.rpartition(" ")[2] for line in printed[1:]] == ["validation", "test"] * 2
    stated = json.loads((finished / "report.json").read_text())["variants"][0]
    assert 0.7 < stated["score"] < 1, "a score that a change of answers would change"


def test_a_run_of_another_version_is_said_to_be_one(finished, capsys):
    assert reverification.verify(kerastl.open(finished), progress=False).made_by == ""
    for name in ("config.json", "report.json"):
        restate(finished, name, lambda content: content["versions"].update(kerastl="0.0.9"))
    restate(finished, "report.json", lambda report: report.update(units="points"))
    words = f"made by kerastl 0.0.9, and this is {kerastl.__version__}"
    assert words in reverification.verify(kerastl.open(finished), progress=False).made_by
    assert cli.main(["verify", str(finished)]) == 1
    differs, *_, made_by, failed = capsys.readouterr().out.splitlines()
    assert (differs.partition(" ")[0], words in made_by, failed.partition(" ")[0]) == ("differs:", True, "FAILED:")
    restate(finished, "report.json", lambda report: report.pop("baselines"))  # which it may have had no word for
    with pytest.raises(ValueError, match=rf"not as a run writes it: KeyError\('baselines'\)\. The run was {words}"):
        kerastl.open(finished).verify(progress=False)


@pytest.mark.parametrize("key", ["score", "validation_score", "score_low", "score_high"])
def test_a_score_that_differs_in_its_last_digit(finished, key):
    def change(report):
        report["variants"][0][key] = float(np.nextafter(report["variants"][0][key], 2))

    restate(finished, "report.json", change)
    assert [found.partition(" stated")[0] for found in differences(finished)] == [
        f"float32: {key}", f"mobile/model.tflite: {key}",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["variants/float32.tflite", "mobile/labels.txt", "config.json", "report.html"])
def test_changed_and_missing_files(finished, name):
    (finished / name).write_bytes((finished / name).read_bytes() + b" ")
    assert any(found.startswith(f"{name}: files.json states SHA-256") for found in differences(finished))
    if name in ("variants/float32.tflite", "report.html"):
        (finished / name).unlink()
        assert f"{name}: named in files.json, but missing" in differences(finished)


def test_any_flipped_byte_of_a_run(finished):
    """Every byte of the small files that others are checked by, and some of every other file."""
    assert reverification._files(kerastl.open(finished)) == []
    paths = [path for path in sorted(finished.rglob("*")) if path.is_file() and path.name != ".lock"]
    names = {path.relative_to(finished).parts[0] for path in paths}
    assert {"config.json", "files.json", "mobile", "report.html", "report.json", "stages", "variants"} <= names
    generator, flips = np.random.default_rng(0), 0
    for path in paths:
        content = path.read_bytes()
        places = range(len(content)) if path.name == "files.json" else {0, len(content) - 1, len(content) // 2}
        for place in places:
            changed = bytearray(content)
            changed[place] ^= 1 << int(generator.integers(8))
            path.write_bytes(changed)
            assert noticed(finished), f"{path} byte {place}"
            flips += 1
        path.write_bytes(content)
    assert reverification._files(kerastl.open(finished)) == []
    print(f"{flips} flipped bytes in {len(paths)} files")
    assert flips > 700
    (finished / "variants" / "added.tflite").write_bytes(b"")
    assert reverification._files(kerastl.open(finished)) == ["variants/added.tflite: not named in files.json"]
    (finished / "variants" / "added.tflite").unlink()


def test_hidden_files_and_links_are_seen_and_other_runs_inside_are_not(finished, tmp_path):
    added = {
        "variants/.hidden": lambda path: path.write_bytes(b"x"),
        ".beside": lambda path: path.write_bytes(b"x"),
        "mobile/link": lambda path: path.symlink_to(tmp_path),
        "mobile/pipe": os.mkfifo,
    }
    for name, make in added.items():
        make(finished / name)
        (words,) = reverification._files(kerastl.open(finished))
        assert words == f"{name}: {'a link' if 'link' in name else 'not named in files.json'}"
        (finished / name).unlink()
    for inside in (".next", "another"):  # the next run in the making; a run of its own
        (finished / inside).mkdir()
        (finished / inside / ".lock").touch()
        (finished / inside / "model.keras").write_bytes(b"x")
    assert reverification._files(kerastl.open(finished)) == []
    for inside in (".next", "another"):
        shutil.rmtree(finished / inside)


def noticed(folder: Path) -> bool:
    try:
        return bool(reverification._files(kerastl.open(folder)))
    except (ValueError, AttributeError, KeyError, TypeError):  # no JSON any more, a path that leaves the folder ...
        return True


def test_what_was_kept_on_the_way_may_be_deleted(finished):
    shutil.rmtree(finished / "stages")
    assert differences(finished) == ()


def test_other_data_and_other_labels(finished):
    restate(finished, "config.json", lambda config: config["data"]["arguments"].update(seed=1))
    assert any(found.startswith("data: config.json states digest") for found in differences(finished))
    restate(finished, "config.json", lambda config: config["data"]["arguments"].update(seed=0))
    right = json.loads((finished / "report.json").read_text())["data"]["digest"]
    restate(finished, "report.json", lambda report: report["data"].update(digest="0" * 64))
    assert any(found.startswith("data: report.json states digest") for found in differences(finished))
    restate(finished, "report.json", lambda report: report["data"].update(digest=right))
    (finished / "mobile" / "labels.txt").write_text("second\nfirst\nthird\n")
    assert "mobile/labels.txt: its lines are not the class names in the model's order" in differences(finished)
    (finished / "mobile" / "labels.txt").unlink()
    assert "mobile/labels.txt: is missing" in differences(finished)
    restate(finished, "config.json", lambda config: config["data"].update(source="toys"))
    with pytest.raises(ValueError, match="Did you mean toy"):
        differences(finished)


def test_data_of_a_source_of_ones_own(finished, monkeypatch):
    """A run names its source; whoever has the module hands it in, or the data themselves."""
    restate(finished, "config.json", lambda config: config["data"].update(source="mine"))
    run = kerastl.open(finished)
    with pytest.raises(ValueError, match=r"no source 'mine'.* A source of your own is given with --source FILE"):
        run.verify(progress=False)
    assert run.verify(dataset=load(seed=0), progress=False) == ()
    assert any("loaded" in found for found in run.verify(dataset=load(seed=1), progress=False))
    import toy_run

    assert reverification.load_data(run.config, source=toy_run).digest == load().digest


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "archive"}, "no source 'archive'"),  # a file of the family that loads nothing
        ({"source": 5}, "no source '5'"),
        ({"source": "toy", "arguments": {"nonsense": 1}}, "unexpected keyword argument 'nonsense'"),
        ({"source": "toy", "arguments": [1]}, "is not loaded with what config.json says|argument after"),
    ],
)
def test_data_that_cannot_be_loaded(finished, data, words):
    restate(finished, "config.json", lambda config: config["data"].update(data))
    with pytest.raises(ValueError, match=words):
        differences(finished)


def test_data_that_have_moved(tmp_path):
    """A path of the run that leads nowhere, or to what is never read to its end, and where the data lie now."""
    source: Any = types.SimpleNamespace(load=lambda path, *, seed: (path, seed))
    (tmp_path / "here").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for place in ("gone", "pipe", "/dev/zero"):
        config = {"data": {"source": "mine", "arguments": {"path": str(tmp_path / place), "seed": 3}}}
        with pytest.raises(FileNotFoundError, match="is said with --data PATH"):
            reverification.load_data(config, source=source)
        found = reverification.load_data(config, source=source, path=tmp_path / "here")
        assert found == (str(tmp_path / "here"), 3)
    with pytest.raises(ValueError, match="come from the set 'mnist', which has no place: leave out --data"):
        reverification.load_data({"data": {"source": "mnist", "arguments": {"seed": 3}}}, path=tmp_path)


def test_moved_data_have_the_name_that_they_had(finished, monkeypatch):
    """It is that of their place, which is another one now."""
    run, data = kerastl.open(finished), load()
    moved = dataclasses.replace(data, task=dataclasses.replace(data.task, name="elsewhere"))
    monkeypatch.setattr(reverification, "load_data", lambda config, **_: moved)
    found = reverification.dataset_of(run, source=None, path="elsewhere")
    tasks = (found.task, found.train.task, found.validation.task, found.test.task)
    assert {task.name for task in tasks} == {run.config["data"]["name"]} != {"elsewhere"}
    assert reverification.dataset_of(run, source=None, path=None).task.name == "elsewhere"


@pytest.mark.parametrize(
    ("source", "key", "value"),
    [
        ("groceries", "size", [224, 10**9]),
        ("groceries", "size", [-1, 224]),
        ("groceries", "size", "large"),
        ("image_folder", "channels", 10**6),
        ("movie_reviews", "sequence_length", 10**12),
        ("movie_reviews", "vocabulary_size", 10**12),
    ],
)
def test_sizes_that_a_run_names_are_bounded(source, key, value):
    arguments = {key: value} | ({"path": "."} if source == "image_folder" else {})
    with pytest.raises(ValueError, match=f"Wanted {key} of 1 to .* in config.json"):
        reverification.load_data({"data": {"source": source, "arguments": arguments}})


@pytest.mark.parametrize("name", ["mnist", "groceries", "movie_reviews", "tfds"])
def test_nothing_is_fetched_and_the_cache_is_not_written_unasked(finished, cache, monkeypatch, name):
    monkeypatch.setattr(downloads, "_files", lambda *_: pytest.fail("a way was gone"))
    arguments = {"name": "huggingface:anything"} if name == "tfds" else {}
    restate(finished, "config.json", lambda config: config["data"].update(source=name, arguments=arguments))
    with pytest.raises(FileNotFoundError, match=r"nothing is fetched unasked.*--download"):
        differences(finished)
    assert not cache.exists()


@pytest.mark.parametrize("name", ["report.json", "config.json", "files.json"])
def test_a_damaged_field_is_said_in_words(finished, name):
    """Each field's name in turn, and all of it: a flipped byte there is no reason for a traceback."""
    content = (finished / name).read_text()
    fields = [field for field in json.loads(content) if field in ("variants", "data", "chosen", "report.json")]
    damaged = [content.replace(f'"{field}"', f'"{field[:-1]}~"', 1) for field in fields]
    assert len(fields) >= 1
    for text in (*damaged, "[]", "3", '{"data": 3, "variants": [4]}', "null"):
        (finished / name).write_text(text)
        said = said_of(finished)
        wanted = (
            "is not as a run writes it",
            "Wanted an object of JSON",
            "names no data set",
            "states",
            "stated",
            "not named in",
            "holds no model",
        )
        assert any(words in said for words in wanted), (text, said)


def said_of(folder: Path) -> str:
    """The differences, or in what way it is none that a run writes."""
    try:
        return " ".join(differences(folder))
    except ValueError as error:
        return str(error)


def test_another_file_in_the_bundle_though_it_answers_alike(finished):
    path = finished / "mobile" / "model.tflite"
    path.write_bytes(path.read_bytes() + b"x")
    pinned = json.loads((finished / "files.json").read_text())
    pinned["mobile/model.tflite"] = digests.of_file(path)
    (finished / "files.json").write_text(json.dumps(pinned))
    (found,) = differences(finished)
    assert found.startswith("mobile/model.tflite: the chosen file has SHA-256")


def test_a_bundle_without_its_file(finished):
    restate(finished, "report.json", lambda report: report.update(chosen="another"))
    assert "mobile/: holds no model.tflite of the chosen variant 'another'" in differences(finished)


@pytest.mark.parametrize("name", ["../outside.tflite", "/etc/passwd", "link"])
def test_nothing_outside_of_the_folder_is_read(finished, name):
    (finished.parent / "outside.tflite").write_bytes(written_file())
    (finished / "link").symlink_to("/etc/passwd")
    restate(finished, "report.json", lambda report: report["variants"][0].update(file=name))
    with pytest.raises(ValueError, match=f"names the file '{name}', which lies outside of it"):
        differences(finished)


def test_no_lines_of_other_files_are_read(finished, here):
    (here / "secret.txt").write_text("one\ntwo\nthree\n")
    (finished / "mobile" / "labels.txt").unlink()
    (finished / "mobile" / "labels.txt").symlink_to(here / "secret.txt")
    with pytest.raises(ValueError, match=r"names the file .*labels\.txt'?, which lies outside"):
        differences(finished)


def test_labels_that_are_the_models_own_answers_are_asked_of_it_again(tmp_path):
    """And whoever changes the model in a run finds that its files do not answer like it."""
    keras.utils.set_random_seed(0)
    row = keras.Input((4,), name="row")
    model = keras.Model(row, keras.layers.Dense(3, name="answer")(row))
    model.save(tmp_path / "mine.keras")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(90, 4)))
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        data = own_model.load(str(tmp_path / "mine.keras"), str(tmp_path / "rows.npy"), labelled=list)
        run.use_dataset(data)
        network = own_model.opened(str(tmp_path / "mine.keras"), data)
        made = candidates.post_training(network, data.task, techniques=["float32"])
        publishing.publish(run, data, model=network, candidates=made)
    (tmp_path / "mine.keras").unlink()  # the run has its own
    assert differences(tmp_path / "run") == ()
    changed = keras.saving.load_model(tmp_path / "run" / "model.keras")
    changed.set_weights([-weight for weight in changed.get_weights()])
    changed.save(tmp_path / "run" / "model.keras")
    found = differences(tmp_path / "run")
    assert found[0].startswith("model.keras: files.json states SHA-256")
    assert any(one.startswith("float32: score stated 1.0, measured 0.0") for one in found)


def test_a_reject_option_is_that_of_the_files_answers(tmp_path, toy_source):
    data = load()
    picture = keras.Input((4, 4, 1), name="image")
    dense = keras.layers.Dense(3, name="logits")
    model = keras.Model(picture, dense(keras.layers.Flatten()(picture)))
    dense.set_weights([0.02 * np.repeat(np.eye(4)[:, :3], 4, axis=0), np.zeros(3)])  # as the written file
    made = candidates.post_training(model, data.task, techniques=["float32"])
    with store.Run(tmp_path / "run", recipe="toy", tag="run", config=Config(), needed_bytes=1) as run:
        run.use_dataset(data)
        result = publishing.publish(run, data, model=model, candidates=made, accept=Acceptance(answer_precision=0.9))
    assert 0 < result["selective"]["test"]["coverage"] <= 1
    assert differences(tmp_path / "run") == ()
    restate(tmp_path / "run", "report.json", lambda report: report["selective"].update(threshold=0.99))
    restate(tmp_path / "run", "report.json", lambda report: report["accept"].update(answer_precision=0.5))
    found = differences(tmp_path / "run")
    assert any("selective.threshold stated 0.99" in one for one in found)
    assert "float32: its reject option is not that of its answers" in found


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0
