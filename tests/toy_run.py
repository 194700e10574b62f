"""A finished run that costs no training: a recipe whose file is written by hand, the data it names, and forgers."""

from __future__ import annotations

import json
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from kerastl import types
from kerastl.inputs.image import Image
from kerastl.system import digests
from kerastl.tasks.single_label import SingleLabel

RECIPE = '''
"""A toy that trains nothing: its file is written by hand.

Minutes: 0.1 on any machine
Data: toy
"""
import dataclasses
import pathlib

import kerastl
from kerastl import types
from kerastl.runs import report, store
from kerastl.runs.page import mistakes as mistaken
from kerastl.runs.page import overview
from kerastl.system import atomic_files


@dataclasses.dataclass(frozen=True)
class Part:
    epochs: int = 3  # passes over nothing
    peak_learning_rate: float = 0.001  # how fast


@dataclasses.dataclass(frozen=True)
class Config:
    seed: int = 0  # of the data
    teacher: Part = Part()  # the large one
    fail: str = ""  # how to fail

    @classmethod
    def smoke(cls):
        return cls(teacher=Part(epochs=1))


def run(config: Config, folder: pathlib.Path) -> dict:
    if config.fail == "value":
        raise ValueError("Wanted this.\\nReceived: that.")
    if config.fail == "fault":
        raise TypeError("a fault in the code")
    if config.fail == "stop":
        raise KeyboardInterrupt
    if config.fail == "verification":
        raise kerastl.verify.VerificationError("toy.tflite", "agreement", wanted=0.99, got=0.5)
    with store.Run(folder, recipe="my_recipe", tag=folder.name, config=config, needed_bytes=1) as run:
        dataset = kerastl.data.toy.load(seed=config.seed)
        run.use_dataset(dataset)
        content = run.stage(
            "file",
            lambda at: kerastl.export.metadata.add(
                kerastl.data.toy.FILE, dataset.task, description="toy, written by hand"
            ),
            key=[dataset.digest],
            save=lambda data, path: (path / "file").write_bytes(data), load=lambda path: (path / "file").read_bytes(),
        )
        path = folder / "variants" / "float32.tflite"
        atomic_files.write_bytes(path, content)
        artifact = types.Artifact("float32", "written by hand", path)

        def measured(split):
            answers = kerastl.verify.predict_tflite(path, split.inputs)
            return kerastl.verify.check(artifact, split, expected=answers, tolerance=kerastl.verify.FLOAT32)

        variant = types.Variant(
            artifact, kerastl.verify.benchmark.inspect(path), kerastl.verify.benchmark.latency(path, runs=5),
            measured(dataset.validation), measured(dataset.test),
        )
        result = report.build(
            {**run.metadata, "settings": run.settings}, dataset, folder=folder, stages=run.stages, variants=[variant],
            choice=types.Choice("float32", "the only one"),
            details=dataset.task.target.details(
                kerastl.verify.predict_tflite(path, dataset.test.inputs), dataset.test.labels
            ),
        )
        answers = kerastl.verify.predict_tflite(path, dataset.test.inputs)
        result["mistakes"] = mistaken.described(dataset.test, {"float32": answers}, chosen="float32")
        wrong, examples = mistaken.misclassified(dataset.test, answers), overview.examples(dataset)
        report.write(result, folder, mistakes=wrong, examples=examples)
        store.publish(folder, kerastl.export.phone.files(content, report=result, task=dataset.task))
    return result
'''.lstrip()


def written_file() -> bytes:
    """A TFLite file `softmax(0.02 * sum of each row)` on pictures (4, 4, 1): its class is its brightest row."""
    weights = np.zeros((3, 4, 4), np.float32)
    for row in range(3):
        weights[row, row] = 0.02
    buffers = [schema.BufferT() for _ in range(3)]
    buffers[1].data = np.frombuffer(weights.tobytes(), np.uint8)
    buffers[2].data = np.frombuffer(np.zeros(3, np.float32).tobytes(), np.uint8)
    graph = schema.SubGraphT()
    graph.tensors = []
    for name, shape, buffer in (
        ("image", (1, 4, 4, 1), 0), ("weights", (3, 16), 1), ("bias", (3,), 2), ("logits", (1, 3), 0),
        ("probabilities", (1, 3), 0),
    ):  # fmt: skip
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer, tensor.type = name.encode(), list(shape), buffer, 0
        graph.tensors.append(tensor)
    dense, softmax = schema.OperatorT(), schema.OperatorT()
    dense.opcodeIndex, dense.inputs, dense.outputs = 0, [0, 1, 2], [3]
    dense.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    dense.builtinOptions = schema.FullyConnectedOptionsT()
    softmax.opcodeIndex, softmax.inputs, softmax.outputs = 1, [3], [4]
    softmax.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    softmax.builtinOptions = schema.SoftmaxOptionsT()
    softmax.builtinOptions.beta = 1.0
    graph.operators, graph.inputs, graph.outputs = [dense, softmax], [0], [4]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], buffers, []
    for code in (schema.BuiltinOperator.FULLY_CONNECTED, schema.BuiltinOperator.SOFTMAX):
        operator = schema.OperatorCodeT()
        operator.builtinCode = operator.deprecatedBuiltinCode = code
        operator.version = 1
        model.operatorCodes.append(operator)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


TASK = types.Task("toy", Image((4, 4, 1)), SingleLabel(("first", "second", "third")))


def load(*, seed: int = 0) -> types.Dataset:
    generator = np.random.default_rng(seed)

    def split(name, count):
        labels = np.arange(count, dtype=np.int32) % 3
        pictures = generator.integers(0, 60, (count, 4, 4, 1), np.uint8)
        pictures[np.arange(count), labels] += 100
        labels[:: count // 6] = (labels[:: count // 6] + 1) % 3  # a few labels the file gets wrong
        return types.Split(name, pictures, labels, TASK)

    parts = split("train", 30), split("validation", 20), split("test", 40)
    digest = digests.sha256_of([part.inputs for part in parts] + [part.labels for part in parts])
    return types.Dataset(TASK, *parts, digest, "toy", {"seed": seed})


def restate(finished: Path, name: str, change) -> None:
    """Changes a JSON file of a run as a forger would, who also mends its digest."""
    content = json.loads((finished / name).read_text())
    change(content)
    (finished / name).write_text(json.dumps(content))
    pinned = json.loads((finished / "files.json").read_text())
    pinned[name] = digests.of_file(finished / name)
    (finished / "files.json").write_text(json.dumps(pinned))
