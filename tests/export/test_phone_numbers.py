"""The page for kinds that bring none: its Python snippet runs as it stands, with floats and with integers."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerastl.export import metadata, phone, phone_numbers, tflite
from kerastl.inputs.numbers import Numbers
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark


@dataclasses.dataclass(frozen=True)
class Lengths(SingleLabel):
    """Two lengths in millimetres, as a kind says it that the format has no fields for."""

    output_name = "lengths"

    @property
    def units(self) -> str:
        return "mm"

    def served(self, outputs):
        return outputs

    def served_activation(self) -> str:
        return "linear"

    def described(self):
        return {"values": list(self.names), "units": ["mm", "mm"]}


INPUTS = Numbers((3,), columns=("age", "height", "weight"))
TASK = Task("body", INPUTS, Lengths(("arm", "leg")))


@pytest.fixture(params=["float", "integer"])
def bundle(request, tmp_path):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((3,), name="numbers")
    model = keras.Model(numbers, keras.layers.Dense(2, bias_initializer="ones")(numbers))
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    options = {"integer": True, "calibration": rows} if request.param == "integer" else {}
    data = metadata.add(tflite.convert(model, TASK, **options), TASK, description="toy")
    facts = benchmark.inspect(data)
    row = {"name": "x", "bytes": len(data), "score": 3.21, "score_low": 3.0, "score_high": 3.5, "sha256": facts.sha256}
    row |= {"latency_ms": {"median": 0.1, "p95": 0.1, "threads": 1, "runs": 100}}
    row |= {"input": dataclasses.asdict(facts.input), "output": dataclasses.asdict(facts.output)}
    report = {"recipe": "toy", "metric": "mean absolute error", "chosen": "x", "data": {"test": 9}, "variants": [row]}
    for name, content in phone.files(data, report, TASK).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path, model


def test_the_page_says_what_kinds_say(bundle):
    folder, _ = bundle
    assert {path.name for path in folder.iterdir()} == {"model.tflite", "labels.txt", "README.md", "index.html"}
    assert (folder / "labels.txt").read_text() == "arm\nleg\n"
    page = (folder / "README.md").read_text()
    assert "answers with one number for each line of `labels.txt`, in mm." in page
    assert "input `numbers` |" in page
    assert "output `lengths` |" in page
    assert "in their own units: age, height, weight;" in page
    assert "mean absolute error 3.2100 mm (95 % interval 3.0000 mm to 3.5000 mm)" in page
    integer = "uint8" in page
    assert f"ByteBuffer of {3 if integer else 12} bytes" in page
    assert ("cut off at 0 and 255" in page) == integer
    assert "MediaPipe" not in page


def test_the_python_snippet_runs(bundle):
    folder, model = bundle
    snippet = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert snippet is not None
    code = snippet.group(1) + "import sys\nassert not any(name.startswith('kerastl') for name in sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    found = dict(re.findall(r"'(\w+)': ([-\d.e]+)", done.stdout))
    wanted = np.asarray(model(np.zeros((1, 3))))[0]
    assert [float(found[name]) for name in ("arm", "leg")] == pytest.approx(wanted, abs=0.03)


def test_metadata_bring_back_what_kinds_said(bundle):
    read = metadata.read((bundle[0] / "model.tflite").read_bytes())
    assert read["inputs"] == INPUTS.described()
    assert read["target"] == TASK.target.described()
    assert read["output"] == {"name": "lengths", "min": None, "max": None}


def test_every_field_of_the_page_is_given():
    """A kind with a page of its own may use these."""
    names = set(re.findall(r"(?<!\{)\{(\w+)", phone_numbers.PAGE))
    assert {"recipe", "what", "answer", "inputs", "output_name"} <= names
