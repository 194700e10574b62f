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
        question: ``do``: ``"facts"``; ``"threshold"``; ``"latency"`` with the arguments of `benchmark.latency`; or
            ``"run"`` with the ``shape`` and ``dtype`` of the inputs.
        content: the file's bytes, the first ``bytes`` of them, and those of the inputs.

    Returns:
        What JSON can say of it, and for ``"run"`` float32 answers.
    """
    file, rest = content[: question["bytes"]], content[question["bytes"] :]
    if question["do"] == "facts":
        return dataclasses.asdict(benchmark.inspect(file)), b""
    if question["do"] == "threshold":
        return {"threshold": metadata.score_threshold(file)}, b""
    if question["do"] == "latency":
        options = {name: question[name] for name in ("threads", "runs", "warm_up") if name in question}
        found = benchmark.latency(file, **options)
        return dataclasses.asdict(found), b""
    shape = tuple(question["shape"])
    if math.prod(shape) == 0:
        raise ValueError(f"Wanted one example at least. Received: inputs of shape {shape}.")
    answers = verify.predict_tflite(file, np.frombuffer(rest, question["dtype"]).reshape(shape))
    return {"shape": list(answers.shape)}, answers.astype("<f4").tobytes()
