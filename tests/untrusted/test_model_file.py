"""Models of strangers, by way of the child: hostile ones are refused with all that is wrong, harmless ones answer."""

from __future__ import annotations

import importlib.util
import os
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from kerastl.export import saved_model
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.untrusted import model_file

ROOT = Path(__file__).resolve().parents[2]


def hostile():
    specification = importlib.util.spec_from_file_location(
        "hostile_files", ROOT / "benchmarks" / "untrusted" / "hostile_files.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


HOSTILE = hostile()
WORDS = {
    "a Lambda in .keras": "names Lambda",
    "a Lambda in .h5 (tf_keras)": "names Lambda",
    "a StringLookup that names a file": "takes its vocabulary from",
    "an external link among the weights": "is a link to",
    "a SavedModel that writes a file": "the operation WriteFile",
    "a SavedModel that reads a file": "the operation ReadFile",
    "a .tflite that never ends": "longer than 2 seconds",
}


@pytest.fixture(scope="module")
def reader():
    with model_file.SandboxedModel() as found:
        yield found


def small(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Rescaling(1 / 255, name="rescale")(image))
    return keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten(name="flat")(x)))


TASK = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "c")))
PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1), np.uint8)


@pytest.mark.parametrize("case", HOSTILE.CASES)
def test_what_is_hostile_is_an_error_and_nothing_of_it_runs(reader, tmp_path, case):
    build, *_ = HOSTILE.CASES[case]
    build(tmp_path)
    (model,) = (path for path in tmp_path.glob("model*") if path.suffix != ".txt")
    if model.suffix == ".tflite":
        with model_file.SandboxedModel(seconds=2) as impatient:
            found = impatient.audit(model)
    else:
        found = reader.audit(model)
    errors = [one.what for one in found if one.severity == "error"]
    assert any(WORDS[case] in what for what in errors), found
    assert not any(HOSTILE.SECRET in one.what for one in found)
    assert not (tmp_path / HOSTILE.MARK).exists()
    assert {one.where for one in found if one.severity == "note"} & {"layers", "operators", "operations"}


def test_everything_wrong_is_listed_and_not_the_first_alone(reader, tmp_path):
    HOSTILE.build_lambda_keras(tmp_path)
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("code.pkl", b"x")
    errors = " ".join(one.what for one in reader.audit(path) if one.severity == "error")
    assert "names Lambda" in errors
    assert "'code.pkl', which Keras does not write" in errors


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "folder"])
def test_harmless_models_are_described_and_answer_the_same(reader, tmp_path, name):
    model, path = small(), tmp_path / name
    saved_model.write(model, path, TASK) if name == "folder" else model.save(path)
    found = {one.where: one.what for one in reader.audit(path)}
    assert {one.severity for one in reader.audit(path)} == {"note"}
    size = sum(one.stat().st_size for one in path.rglob("*") if one.is_file()) if path.is_dir() else path.stat().st_size
    assert found["size"] == f"{size:,} bytes"
    answers = model.predict(PICTURES.astype("float32"), verbose=0)
    if name == "folder":
        assert "image float32 [-1, 8, 8, 1]" in found["inputs of serving_default"]
        answers = keras.ops.convert_to_numpy(keras.ops.softmax(answers))
    else:
        assert found["parameters"] == f"{model.count_params():,}"
        assert found["inputs"] == "image float32 [None, 8, 8, 1]"
        assert found["outputs"] == "logits float32 [None, 3]"
        assert "Conv2D 1, Dense 1, Flatten 1, InputLayer 1, Rescaling 1" in found["layers"]
    for inputs in (PICTURES, PICTURES[..., 0]):
        np.testing.assert_allclose(reader.run(path, inputs), answers, atol=1e-5)


def test_a_sequential_is_described_and_answers_as_its_layers(reader, tmp_path):
    """What most tutorials save; Keras gives it no names for its outputs."""
    functional = small()
    model, path = keras.Sequential(functional.layers), tmp_path / "model.keras"
    model.save(path)
    found = reader.audit(path)
    assert {one.severity for one in found} == {"note"}
    assert {one.where: one.what for one in found}["outputs"] == "logits float32 [None, 3]"
    answers = functional.predict(PICTURES.astype("float32"), verbose=0)
    np.testing.assert_allclose(reader.run(path, PICTURES), answers, atol=1e-5)


def test_weights_that_are_no_numbers_are_an_error(reader, tmp_path):
    model = small()
    kernel = model.get_layer("conv").kernel
    kernel.assign(kernel.numpy() * np.where(np.arange(4) == 1, np.nan, 1))
    model.save(tmp_path / "model.keras")
    (found,) = (one for one in reader.audit(tmp_path / "model.keras") if one.severity != "note")
    assert (found.severity, found.where) == ("error", "conv/kernel")
    assert found.what == "9 of 36 numbers are NaN or infinite: no file of it answers"


def test_a_model_that_wants_all_memory_ends_the_child_alone(reader, tmp_path):
    row = keras.Input((4,), name="row")
    greedy = keras.Model(row, keras.layers.RepeatVector(4_000_000_000, name="repeat")(row))
    greedy.save(tmp_path / "greedy.keras")
    small().save(tmp_path / "model.keras")
    with pytest.raises(model_file.ModelError):
        reader.run(tmp_path / "greedy.keras", np.ones((1, 4), np.float32))
    assert reader.run(tmp_path / "model.keras", PICTURES).shape == (5, 3)


def test_a_file_of_two_formats_is_not_read_as_the_other(reader, tmp_path):
    """Looked at as an archive, for it ends like one, and read by Keras as HDF5, for so it is called."""
    HOSTILE.build_lambda_h5(tmp_path)
    small().save(tmp_path / "harmless.keras")
    path = tmp_path / "model.h5"
    path.write_bytes(path.read_bytes() + (tmp_path / "harmless.keras").read_bytes())
    with pytest.raises(model_file.ModelError, match="ending is not that of its format"):
        reader.run(path, np.ones((1, 4), np.float32))
    assert not (tmp_path / HOSTILE.MARK).exists()


def test_links_pickles_and_what_is_no_model(reader, tmp_path):
    saved_model.write(small(), tmp_path / "folder", TASK)
    (tmp_path / "folder" / "variables" / "link").symlink_to(tmp_path)
    (found,) = (one for one in reader.audit(tmp_path / "folder") if one.severity == "error")
    assert found.what == "variables/link is a link or a device"
    (tmp_path / "model.pkl").write_bytes(b"x")
    assert any("pickle" in one.what for one in reader.audit(tmp_path / "model.pkl") if one.severity == "error")
    with pytest.raises(model_file.ModelError, match="pickle"):
        reader.run(tmp_path / "model.pkl", PICTURES)
    (tmp_path / "model.txt").write_text("x")
    with pytest.raises(ValueError, match=r"Wanted a model: \.keras"):
        reader.audit(tmp_path / "model.txt")
    with pytest.raises(FileNotFoundError):
        reader.audit(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="Wanted numbers"):
        reader.run(tmp_path / "folder", np.array([object()]))


def test_words_of_a_child_are_not_believed(tmp_path, monkeypatch):
    (tmp_path / "model.keras").write_bytes(b"x")
    with model_file.SandboxedModel() as reader:
        for said in ({}, {"findings": 3}, {"findings": [["fine", "a", "b"]]}, {"findings": [["note", "a"]]}):
            monkeypatch.setattr(reader._child, "ask", lambda *_, said=said, **__: (said, b""))
            found = reader.audit(tmp_path / "model.keras")
            assert any("answered with no findings" in one.what for one in found), said
        rows = [["note", "\x1b[2J", "x" * 10_000]] * 2_000
        monkeypatch.setattr(reader._child, "ask", lambda *_, **__: ({"findings": rows}, b""))
        found = reader.audit(tmp_path / "model.keras")
        assert len(found) <= 2_001
        assert all(one.where.isprintable() and len(one.what) <= 2_000 for one in found)
        monkeypatch.setattr(reader._child, "ask", lambda *_, **__: ({"shape": [2]}, bytes(8)))
        with pytest.raises(model_file.ModelError, match="asked for 5 answers and gave"):
            reader.run(tmp_path / "model.keras", PICTURES)


def test_a_vocabulary_in_a_file_of_its_own_is_refused_in_words(reader, tmp_path):
    """Keras would write it to the disk, which the child may not; with its words in the configuration it opens."""
    words = ["pear", "fig"]
    adapted = keras.layers.StringLookup()
    adapted.adapt(words)
    for name, layer in (("beside", adapted), ("inside", keras.layers.StringLookup(vocabulary=words))):
        text = keras.Input((1,), dtype="string", name="text")
        keras.Model(text, keras.layers.Embedding(4, 2)(layer(text))).save(tmp_path / f"{name}.keras")
    (error,) = [one for one in reader.audit(tmp_path / "beside.keras") if one.severity == "error"]
    assert "vocabulary.txt is a vocabulary in a file of its own" in error.what
    (error,) = [one for one in reader.audit(tmp_path / "inside.keras") if one.severity == "error"]
    assert "neither ids nor texts" in error.what, "it opens, and is told what shrink_model would say"


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.tflite"])
def test_a_pipe_is_an_error_and_is_not_opened(reader, tmp_path, name):
    os.mkfifo(tmp_path / name)
    try:
        found = [one.what for one in reader.audit(tmp_path / name) if one.severity == "error"]
    except FileNotFoundError as error:
        found = [str(error)]
    assert len(found) == 1
    assert "pipe" in found[0] or "There is no file" in found[0]
