"""Exported files in MediaPipe Tasks themselves (slow, it is installed into the cache), and how answers are judged."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.tools import results
from kerastl.export import metadata, packing, tflite
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def command():
    spec = importlib.util.spec_from_file_location(
        "benchmark_of_mediapipe", ROOT / "benchmarks" / "export" / "mediapipe.py"
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [
        ({"a": 0.7, "b": 0.3}, "same"),
        ({"a": 0.703, "b": 0.297}, "same"),
        ({"a": 0.704, "b": 0.296}, "DIFFERS"),
        ({"a": 0.3, "b": 0.7}, "DIFFERS"),
        ({"b": 0.7, "c": 0.3}, ""),
    ],
)
def test_what_differs(command, theirs, verdict):
    cells, difference, same = command.row(command.Input("x", "x", "x"), {"a": 0.7, "b": 0.3}, theirs)
    assert cells[-1] == verdict
    assert same == (verdict == "same")
    assert difference == pytest.approx(1 if not verdict else abs(theirs["a"] - 0.7))


def test_another_label_differs_even_within_a_step(command):
    one = command.Input("x", "x", "x")
    assert not command.row(one, {"a": 0.501, "b": 0.499}, {"a": 0.499, "b": 0.501})[2]
    assert command.row(one, {"a": 0.5, "b": 0.5}, {"a": 0.4999, "b": 0.5001})[2]  # either is best


def test_one_wrong_answer_or_a_refused_file_fails_the_command(command, capsys):
    inputs = [command.Input("x", "x", "x"), command.Input("y", "y", "y", judged=False)]
    case, ours = ("text", Path("file.tflite"), inputs), [{"a": 0.7, "b": 0.3}] * 2
    wrong = {"a": 0.2, "b": 0.8}
    found = results.Results()
    assert command.judged([case], [ours], [{"scores": [ours[0], wrong]}], found=found) == 0
    assert command.judged([case], [ours], [{"scores": [wrong, ours[0]]}], found=found) == 1
    assert "1 answers judged, 1 wrong, greatest difference of a score 0.500000" in capsys.readouterr().out
    assert command.judged([case], [ours], [{"error": "Only RGB"}], found=found) == 1


def test_what_mediapipe_reads_otherwise_goes_there_as_our_words(command):
    given = {one.name: one for one in command.sentences()}
    assert len(given) == len(command.SENTENCES) + 2 * len(command.WRITTEN_OTHERWISE)
    for sentence in command.WRITTEN_OTHERWISE:
        assert not given[sentence].judged
        assert given[f"its words: {sentence}"].judged
    assert given["its words: ÉTOILE FILANTE, ÇA VA"].theirs == "etoile filante , ca va"


def run(*words: str | Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = (sys.executable, ROOT / "benchmarks" / "export" / "mediapipe.py", *words)
    return subprocess.run(words, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_files_of_both_recipes_answer_the_same_in_mediapipe():
    result = run()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "88 answers judged, 0 wrong" in result.stdout
    assert "static_int8" in result.stdout


def colour(folder: Path, *, channels: int = 3, **options: Any) -> Path:
    import keras

    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, channels), name="image")
    value = keras.layers.Conv2D(8, 3, strides=2)(keras.layers.Rescaling(1 / 255)(image))
    model = keras.Model(image, keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(value)))
    path = folder / "model.tflite"
    task = Task("toy", Image((16, 16, channels)), SingleLabel(("a", "b", "ü")))
    path.write_bytes(metadata.add(tflite.convert(model, task, **options), task, description="toy"))
    return path


def wrongly_scaled(data: bytes) -> bytes:
    """The file, whose metadata say now that pixels are to be halved."""
    model = packing.unpack(data)
    (buffer,) = [model.buffers[entry.buffer] for entry in model.metadata if entry.name == metadata.ENTRY]
    described = metadata.ModelMetadataT.InitFromObj(metadata.ModelMetadata.GetRootAs(bytes(buffer.data), 0))
    described.subgraphMetadata[0].inputTensorMetadata[0].processUnits[0].options.std = [2.0]
    builder = packing.SharingBuilder()
    builder.Finish(described.Pack(builder), file_identifier=metadata.IDENTIFIER)
    buffer.data = np.frombuffer(bytes(builder.Output()), np.uint8)
    return packing.pack(model) + data[len(metadata._without_archive(data)) :]


@pytest.mark.slow
def test_the_converters_own_integers(tmp_path):
    """As files from quantization-aware training are made: their input and output are uint8."""
    pictures = np.random.default_rng(0).integers(0, 256, (32, 16, 16, 3), np.uint8)
    result = run("--image", colour(tmp_path, integer=True, calibration=pictures))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 answers judged, 0 wrong" in result.stdout


@pytest.mark.slow
def test_wrong_metadata_and_grey_pictures_are_found(tmp_path):
    path = colour(tmp_path)
    sound = run("--image", path)
    assert sound.returncode == 0, sound.stdout + sound.stderr
    path.write_bytes(wrongly_scaled(path.read_bytes()))
    wrong = run("--image", path)
    assert wrong.returncode == 1
    assert "DIFFERS" in wrong.stdout
    grey = run("--image", colour(tmp_path, channels=1))
    assert grey.returncode == 1
    assert "Only RGB color space is supported" in grey.stdout


@pytest.mark.slow
def test_whole_words_are_looked_up_by_mediapipe(command, tmp_path):
    import tensorflow as tf

    words = (*metadata.WORDS, "good", "bad", "don't")
    rows = np.random.default_rng(0).normal(size=(8, len(words), 2)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 8), tf.int32, name="ids")], autograph=False)
    def network(ids):
        one_hot = tf.one_hot(ids[0], len(words))[:, None]
        return {"probabilities": tf.nn.softmax(tf.reduce_sum(one_hot @ rows, 0))}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())
    task = Task("toy", Text(8, words), SingleLabel(("x", "y")))
    content = metadata.add(converter.convert(), task, description="toy", between_words=r"[^\w']+")
    (tmp_path / "words.tflite").write_bytes(content)
    question = {"kind": "text", "file": str(tmp_path / "words.tflite"), "inputs": ["good, bad; don't good_ Bad"]}
    (answer,) = command.their_answers([question], tmp_path)
    ids = [1, 3, 4, 5, 2, 2, 0, 0]  # <START> good bad don't good_ Bad <PAD> <PAD>
    logits = sum(rows[place, number] for place, number in enumerate(ids))
    expected = np.exp(logits) / np.exp(logits).sum()
    (scores,) = answer["scores"]
    np.testing.assert_allclose([scores["x"], scores["y"]], expected, atol=1e-5)
