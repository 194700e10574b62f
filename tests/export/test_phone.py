"""The bundle's page says what the file says, and its Python snippet runs as it stands."""

import dataclasses
import re

import numpy as np
import pytest

from kerastl import types
from kerastl.export import metadata, phone
from kerastl.inputs.image import Image
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

PICTURES = Task("toy", Image((8, 8, 1)), SingleLabel(("a", "b", "ü", "d")))


def report_of(content, *, dtype="uint8", output="uint8"):
    end = {"shape": [1, 8, 8, 1], "scale": 1.0, "zero_point": 0}
    row = {
        "name": "integer",
        "bytes": len(content),
        "input": {"dtype": dtype, **end},
        "output": {"dtype": output, "shape": [1, 4], "scale": 1 / 256, "zero_point": 0},
        "score": 0.9876,
        "score_low": 0.98,
        "score_high": 0.99,
        "sha256": "0" * 64,
        "latency_ms": {"median": 0.012, "p95": 0.012, "threads": 1, "runs": 100},
    }
    return {"recipe": "toy", "metric": "accuracy", "chosen": "integer", "data": {"test": 200}, "variants": [row]}


@pytest.fixture
def labelled(tiny_files):
    return metadata.add(tiny_files.integer, PICTURES, description="toy")


def test_files(labelled):
    files = phone.files(labelled, report_of(labelled), PICTURES)
    assert set(files) == {"model.tflite", "labels.txt", "README.md", "index.html"}
    assert files["model.tflite"] == labelled
    assert files["labels.txt"].decode() == "a\nb\nü\nd\n"
    page = files["README.md"].decode()
    assert "accuracy 0.9876" in page
    assert "ByteBuffer of 64 bytes" in page
    assert "0.012 ms a picture,\nwall clock on one thread of this machine, its rounds 0% apart." in page
    assert 'pip install "ai-edge-litert>=1.0.1"' in page
    assert "com.google.ai.edge.litert:litert:1.4.2" in page
    assert "Add `pod 'TensorFlowLiteSwift', '2.17.0'` and the file" in page
    assert "{" not in page.split("```kotlin")[0].replace("{}", "")


def test_the_page_says_what_the_file_needs_and_how_far_apart_its_rounds_were(labelled, monkeypatch):
    newer = types.Runtime(tensorflow="2.21.0", litert="2.1.0", android="2.1.0", pod="")
    monkeypatch.setattr(phone.runtimes, "needed", lambda model: newer)
    said = report_of(labelled)
    said["variants"][0]["latency_ms"] |= {"spread": 0.4, "clock": "processor time", "cpu": "an EPYC"}
    page = phone.files(labelled, said, PICTURES)["README.md"].decode()
    assert "It needs LiteRT 2.1.0 or newer" in page
    assert "com.google.ai.edge.litert:litert:2.1.0" in page
    assert "No `TensorFlowLiteSwift` pod runs this file" in page
    assert "processor time on one thread of an EPYC. WARNING: its rounds are 40% apart" in page


def test_only_pictures_in_colour_are_for_mediapipe(labelled, monkeypatch):
    """Its ImageClassifier says of others: Only RGB color space is supported for now."""
    assert "MediaPipe" not in phone.files(labelled, report_of(labelled), PICTURES)["README.md"].decode()
    colour = Task("toy", Image((8, 8, 3)), PICTURES.target)
    described = {**metadata.read(labelled), "inputs": colour.inputs.described()}
    monkeypatch.setattr(metadata, "read", lambda data: described)
    page = phone.files(labelled, report_of(labelled), colour)["README.md"].decode()
    assert "${best.categoryName()}" in page


def test_a_float_file_takes_four_bytes_a_pixel(labelled):
    page = phone.files(labelled, report_of(labelled, dtype="float32", output="float32"), PICTURES)["README.md"].decode()
    assert "ByteBuffer of 256 bytes in native order" in page
    assert "FloatArray(4)" in page


def test_the_python_snippet_runs(labelled, tmp_path, monkeypatch, capsys):
    for name, content in phone.files(labelled, report_of(labelled), PICTURES).items():
        (tmp_path / name).write_bytes(content)
    snippet = re.search(r"```python\n(.*?)```", (tmp_path / "README.md").read_text(), re.DOTALL)
    assert snippet is not None
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(snippet.group(1), names)
    printed = capsys.readouterr().out.split()
    assert printed[0] in "abüd"
    assert float(printed[1]) == pytest.approx(names["probabilities"].max())
    assert np.sum(names["probabilities"]) == pytest.approx(1, abs=0.02)


def test_a_file_without_labels_is_refused(tiny_files):
    with pytest.raises(ValueError, match=r"[Mm]etadata|labels"):
        phone.files(tiny_files.integer, report_of(tiny_files.integer), PICTURES)


@pytest.mark.parametrize(
    "other",
    [
        Task("toy", Image((8, 8, 3)), PICTURES.target),
        Task("toy", PICTURES.inputs, SingleLabel(tuple("abcd"))),
        Task("toy", PICTURES.inputs, MultiLabel(("a", "b", "ü", "d"))),
    ],
)
def test_a_file_of_another_task_is_refused(labelled, other):
    with pytest.raises(ValueError, match="whose metadata say what the task 'toy' does"):
        phone.files(labelled, report_of(labelled), other)


@dataclasses.dataclass(frozen=True)
class OwnPage(Image):
    def phone_page(self) -> str:
        return "{recipe} takes {inputs} and gives {what} {answer}"


@dataclasses.dataclass(frozen=True)
class OwnAnswer(SingleLabel):
    def phone_answer(self) -> phone.Answer:
        return phone.Answer("a verdict.", "print('verdict')")


def test_a_kind_may_bring_its_own_page_and_its_own_words(labelled):
    """So it costs its own file and no other."""
    task = Task("toy", OwnPage((8, 8, 1)), OwnAnswer(PICTURES.target.names))
    page = phone.files(labelled, report_of(labelled), task)["README.md"].decode()
    assert page == "toy takes `image` and gives a verdict. print('verdict')"
    mixed = Task("toy", PICTURES.inputs, task.target)
    page = phone.files(labelled, report_of(labelled), mixed)["README.md"].decode()
    assert "answers with a verdict." in page
    assert "print('verdict')\n```" in page
