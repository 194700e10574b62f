"""The page of any signature: its Python snippet runs as it stands, and all inputs and outputs stand in its table."""

from __future__ import annotations

import ast
import dataclasses
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from kerastl.compress import ptq
from kerastl.export import metadata, phone, phone_signature, tflite
from kerastl.inputs.image import Image
from kerastl.inputs.named import Named
from kerastl.inputs.numbers import Numbers
from kerastl.inputs.text import Text
from kerastl.models import heads
from kerastl.tasks.agreement import Agreement
from kerastl.tasks.multi_label import MultiLabel
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task
from kerastl.verify import benchmark

KIND = Named((("picture", Image((4, 4, 1))), ("row", Numbers((3,)))))
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad")
REPORT = {"recipe": "toy", "metric": "agreement", "chosen": "x", "data": {"test": 9}}
TASK = Task("both", KIND, Agreement(("score", "vector"), (1.0, 1.0)))


@pytest.fixture(params=["float", "integer"])
def bundle(request, tmp_path):
    keras.utils.set_random_seed(0)
    given = {"picture": keras.Input((4, 4, 1), name="picture"), "row": keras.Input((3,), name="row")}
    flat = keras.layers.Flatten(name="flat")(keras.layers.Rescaling(1 / 255, name="rescale")(given["picture"]))
    both = keras.layers.Concatenate(name="both")([flat, given["row"]])
    ones = {"bias_initializer": "ones"}
    outputs = {name: keras.layers.Dense(size, name=name, **ones)(both) for name, size in (("vector", 5), ("score", 1))}
    model = keras.Model(given, outputs)
    data = tflite.convert(model, TASK)
    if request.param == "integer":
        random = np.random.default_rng(0)
        rows = random.normal(size=(50, 3)).astype("float32")
        some = {"picture": random.integers(0, 256, (50, 4, 4, 1)).astype("uint8"), "row": rows}
        data = ptq.static_int8(data, calibration=some, inputs=KIND)
    data = metadata.add(data, TASK, description="toy")
    for name, content in phone.files(data, report_of(data), TASK).items():
        (tmp_path / name).write_bytes(content)
    return tmp_path, model


def report_of(data: bytes) -> dict:
    facts = benchmark.inspect(data)
    row = {"name": "x", "bytes": len(data), "score": 0.99, "score_low": 0.9, "score_high": 1.0, "sha256": facts.sha256}
    row |= {"latency_ms": {"median": 0.1, "p95": 0.1, "threads": 1, "runs": 100}}
    row |= {"input": dataclasses.asdict(facts.input), "output": dataclasses.asdict(facts.output)}
    row |= {end: [dataclasses.asdict(one) for one in getattr(facts, end)] for end in ("inputs", "outputs")}
    return REPORT | {"variants": [row]}


def test_every_input_and_output_stands_in_the_table(bundle):
    folder, _ = bundle
    page = (folder / "README.md").read_text()
    integer = "uint8" in page
    kind = "uint8" if integer else "float32"
    for words, shape in (("input `picture`", "[1, 4, 4, 1]"), ("output `vector`", "[1, 5]")):
        given = shape if shape in page else shape.replace("[", "(").replace("]", ")")
        assert f"| {words} | {kind} | {given} |" in page
    assert page.count("| input `") == page.count("| output `") == 2
    assert "nothing was put behind its outputs" in page
    assert ("cut off at 0 and 255" in page) == integer
    assert (folder / "labels.txt").read_text() == "score\nvector\n"


def test_the_python_snippet_runs(bundle):
    folder, model = bundle
    snippet = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert snippet is not None
    code = snippet.group(1) + "import sys\nassert not any(name.startswith('kerastl') for name in sys.modules)\n"
    code += "print(answers['score'].tolist(), answers['vector'].tolist())\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    numbers = [float(one) for one in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout.splitlines()[-1])]
    wanted = model({"picture": np.zeros((1, 4, 4, 1)), "row": np.zeros((1, 3))})
    assert numbers == pytest.approx([*wanted["score"][0].numpy(), *wanted["vector"][0].numpy()], abs=0.05)


def test_the_snippet_of_several_tasks_says_what_each_answer_is_of(tmp_path):
    keras.utils.set_random_seed(0)
    target = MultiTask((("side", SingleLabel(("left", "right"))), ("heat", Regression(("degrees",), (0.0,), (1.0,)))))
    task = Task("tasks", Numbers((3,)), target)
    given = keras.Input((3,), name="numbers")
    model = keras.Model(given, heads.outputs(given, task))
    for name, bias in (("side", [0.0, np.log(3)]), ("heat", [21.5])):
        layer = model.get_layer(f"logits_{name}")
        layer.set_weights([layer.get_weights()[0], np.array(bias)])
    data = metadata.add(tflite.convert(model, task), task, description="toy")
    for name, content in phone.files(data, report_of(data), task).items():
        (tmp_path / name).write_bytes(content)
    assert metadata.read(data)["target"] == target.described()
    assert (tmp_path / "labels.txt").read_text() == "side\nheat\n"
    page = (tmp_path / "README.md").read_text()
    assert "`side` (single-label classification, 2 numbers)" in page
    snippet = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert snippet is not None
    done = subprocess.run([sys.executable, "-c", snippet[1]], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert ast.literal_eval(lines["side"]) == pytest.approx({"left": 0.25, "right": 0.75})
    assert ast.literal_eval(lines["heat"]) == pytest.approx({"degrees": 21.5})


def test_metadata_bring_back_names_and_spreads(bundle):
    read = metadata.read((bundle[0] / "model.tflite").read_bytes())
    assert read["class_names"] == ["score", "vector"]
    assert read["inputs"] == KIND.described()
    assert read["target"] == TASK.target.described()
    wrong = dataclasses.replace(TASK, target=Agreement(("score",), (1.0,)))
    with pytest.raises(ValueError, match=r"one name for each of 2 outputs\. Received: 1 names"):
        metadata.add((bundle[0] / "model.tflite").read_bytes(), wrong, description="toy")


def test_every_field_of_the_page_is_given():
    names = set(re.findall(r"(?<!\{)\{(\w+)", phone_signature.PAGE))
    assert {"recipe", "what", "answer", "tensors"} <= names


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            KIND,
            "`picture` takes pictures as raw pixels, 0 to 255; `row` takes numbers as they are, in their own units.",
        ),
        (Image((4, 4, 1)), "It takes pictures as raw pixels, 0 to 255; nothing has to be scaled."),
        (Numbers((3,), ("a", "b", "c")), "It takes numbers as they are, in their own units: a, b, c; nothing"),
        (Numbers((8, 3)), "It takes series of numbers as they are, in their own units; nothing has to be scaled."),
        (Numbers((8, 8, 3)), "It takes arrays of numbers as they are"),
        (Text(6, VOCABULARY), "It takes texts as token ids, each the number of a line of `vocab.txt`;"),
    ],
)
@pytest.mark.parametrize("target", [Agreement(("x",), (1.0,)), SingleLabel(("a", "b")), MultiLabel(("a", "b"))])
def test_the_words_are_those_of_what_goes_in(kind, words, target, tiny_files):
    facts = benchmark.inspect(tiny_files.float32)
    row = {"name": "x", "bytes": 9, "score": 0.99, "score_low": 0.9, "score_high": 1.0, "sha256": facts.sha256}
    row |= {"latency_ms": {"median": 0.1, "p95": 0.1, "threads": 1, "runs": 100}}
    row |= {"input": dataclasses.asdict(facts.input), "output": dataclasses.asdict(facts.output)}
    made = phone.written(tiny_files.float32, REPORT | {"variants": [row]}, Task("toy", kind, target))
    page = made["README.md"].decode()
    if isinstance(kind, Text):  # texts have a page of their own, whatever is asked
        assert "ids = np.array([tokenizer.encode(" in page
        assert ('answers = {"output": output}' in page) == isinstance(target, Agreement)
    elif isinstance(target, Agreement) or isinstance(kind, Named | Numbers):  # pictures of classes have one, too
        assert words in page
    assert ("icture" in page) == (kind is KIND or isinstance(kind, Image))
    if isinstance(target, MultiLabel):
        example = {"image": "A picture", "text": "A text"}.get(kind.kind, "An example")
        assert f"`labels.txt`. {example} may\nhave none" in page
