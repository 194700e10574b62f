"""The child of `untrusted.tflite_file`: reads and runs a stranger's file with the code that reads kerastl's own."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from kerastl import verify
from kerastl.export import metadata
from kerastl.untrusted import sandbox
from kerastl.verify import benchmark


def main(memory: int) -> None:
    """Answers the parent's questions until it closes the pipe."""
    sandbox.serve(answer, memory=memory)


def answer(question: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to one question.

    Args:
        question: ``do``: ``"facts"``; ``"threshold"``; ``"described"``; ``"latency"`` with the arguments of
            `benchmark.latency`; ``"run"`` with the ``name`` (empty for the only input), ``shape`` and ``dtype`` of
            each of the ``inputs``; or
            ``"layers"``, with as much and the ``reference`` bytes of the file that it was made from, which come next.
        content: the file's bytes, the first ``bytes`` of them, and those of the inputs, one after the other.

    Returns:
        What JSON can say of it, and for ``"run"`` float32 answers, those of several outputs one after the other.
    """
    file, rest = content[: question["bytes"]], content[question["bytes"] :]
    if question["do"] == "facts":
        return dataclasses.asdict(benchmark.inspect(file)), b""
    if question["do"] == "threshold":
        return {"threshold": metadata.score_threshold(file)}, b""
    if question["do"] == "described":
        try:
            found = metadata.read(file)
        except metadata.NoMetadataError:
            return {}, b""
        normalization = {key: found["input"][key] for key in ("mean", "std") if key in found["input"]}
        return {key: found[key] for key in ("name", "description", "inputs", "target")} | normalization, b""
    if question["do"] == "latency":
        options = {name: question[name] for name in ("threads", "runs", "warm_up") if name in question}
        found = benchmark.latency(file, **options)
        return dataclasses.asdict(found), b""
    reference, rest = rest[: question.get("reference", 0)], rest[question.get("reference", 0) :]
    inputs = {}
    for one in question["inputs"]:
        shape, dtype = tuple(one["shape"]), np.dtype(one["dtype"])
        if math.prod(shape) == 0:
            raise ValueError(f"Wanted one example at least. Received: inputs of shape {shape}.")
        size = math.prod(shape) * dtype.itemsize
        inputs[one["name"]] = np.frombuffer(rest[:size], dtype).reshape(shape)
        rest = rest[size:]
    if question["do"] == "layers":
        rows = verify.layer_errors(file, reference, inputs=inputs.get("", inputs))
        return {"layers": [dataclasses.asdict(row) for row in rows]}, b""
    answers = verify.predict_tflite(file, inputs.get("", inputs))
    outputs = answers if isinstance(answers, dict) else {"": answers}
    said = [{"name": name, "shape": list(values.shape)} for name, values in outputs.items()]
    return {"outputs": said}, b"".join(values.astype("<f4").tobytes() for values in outputs.values())
