"""What the child answers is what the same code answers in this process."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from kerastl import verify
from kerastl.untrusted import tflite_child
from kerastl.verify import benchmark


def test_the_same_facts_latency_and_answers(tiny_files):
    for file in (tiny_files.float32, tiny_files.integer):
        said, raw = tflite_child.answer({"do": "facts", "bytes": len(file)}, file + b"rest")
        assert json.loads(json.dumps(said)) == json.loads(json.dumps(dataclasses.asdict(benchmark.inspect(file))))
        assert raw == b""
        said, _ = tflite_child.answer({"do": "latency", "bytes": len(file), "threads": 1, "runs": 3}, file)
        assert said["runs"] == 3
        inputs = tiny_files.inputs[:5]
        one = {"name": "", "shape": list(inputs.shape), "dtype": inputs.dtype.str}
        said, raw = tflite_child.answer({"do": "run", "bytes": len(file), "inputs": [one]}, file + inputs.tobytes())
        (output,) = said["outputs"]
        assert output["name"] == ""
        found = np.frombuffer(raw, "<f4").reshape(output["shape"])
        np.testing.assert_array_equal(found, verify.predict_tflite(file, inputs))


def test_what_does_not_fit_is_refused(tiny_files):
    file = tiny_files.float32
    none = {"name": "", "shape": [0, 8, 8, 1], "dtype": "|u1"}
    with pytest.raises(ValueError, match="one example at least"):
        tflite_child.answer({"do": "run", "bytes": len(file), "inputs": [none]}, file)
    with pytest.raises(ValueError, match="TFL3"):
        tflite_child.answer({"do": "facts", "bytes": 3}, file)
