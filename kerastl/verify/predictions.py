"""A file's answers: every example through the interpreter, one at a time, as on the phone."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from kerastl import types

_CHUNK = 64  # examples that are read and brought into the file's dtype at once


def predict_tflite(
    file: Path | str | bytes, inputs: np.ndarray | types.LazyArray, *, workers: int | None = None
) -> np.ndarray:
    """A TFLite file's answers, one example at a time, as the phone asks.

    Args:
        file: path of a file, or its bytes.
        inputs: ``(examples, *input_shape)``. Pictures are raw pixels 0..255 of any dtype: a uint8 file takes them as
            the bytes they are, a float file as the same numbers in float32.
            Texts are token ids, for an int32 file of one input or of `types.TEXT_INPUTS`. Streamed ones are read a few
            at a time.
        workers: interpreters that share the examples, each with one thread; ``None`` takes one a core that this process
            may use, eight at most. The answers do not depend on it. (Threads inside one interpreter wait for one
            another after every operator, and on a single core forever.)

    Returns:
        float32 array ``(examples, classes)``, dequantized by the output's scale.

    Raises:
        ValueError: if the inputs have another shape than the file's, are not whole numbers in the range of an integer
            input, or the file needs operators that are not built in.
    """
    name = "the file" if isinstance(file, (bytes, bytearray)) else str(file)
    data = bytes_of(file)
    interpreter = _interpreter(data, name)
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    if len(targets) != 1:
        raise ValueError(f"Wanted one output. Received: {len(targets)} in {name}.")
    source, target = input_of(sources, name), targets[0]
    if not isinstance(inputs, types.LazyArray):
        inputs = np.asarray(inputs)
    if tuple(source["shape"]) != (1, *inputs.shape[1:]) or inputs.ndim != len(source["shape"]):
        wanted = ", ".join(str(size) for size in source["shape"][1:])
        raise ValueError(f"{name} wants inputs of shape (examples, {wanted}). Received: {inputs.shape}.")
    answers = np.empty((len(inputs), *target["shape"][1:]), target["dtype"])
    end = target["index"]

    def run(interpreter: Interpreter, part: range) -> None:
        feed, invoke, fetch = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
        for first in part[::_CHUNK]:
            fed = fed_to(sources, inputs[first : min(first + _CHUNK, part.stop)], name)
            for index in range(len(fed[0][1])):
                for place, values in fed:
                    feed(place, values[index : index + 1])
                invoke()
                answers[first + index] = fetch(end)[0]

    workers = max(1, min(workers or _cores(), len(inputs) // 100))  # an interpreter more has to pay for itself
    bounds = [len(inputs) * worker // workers for worker in range(workers + 1)]
    parts = [range(first, last) for first, last in itertools.pairwise(bounds)]
    interpreters = [interpreter, *(_interpreter(data, name) for _ in parts[1:])]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, interpreters, parts))
    scale, zero_point = target["quantization"]
    if np.issubdtype(answers.dtype, np.integer) and scale:
        return (answers.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return answers.astype(np.float32)


def _interpreter(data: bytes, name: str) -> Interpreter:
    interpreter = Interpreter(model_content=data, num_threads=1)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise ValueError(f"Wanted a file of built-in operators. Received: {name}, which cannot run: {error}") from error
    return interpreter


def _cores() -> int:
    """Cores that this process may use, eight at most."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def bytes_of(file: Path | str | bytes) -> bytes:
    data = bytes(file) if isinstance(file, (bytes, bytearray)) else Path(file).read_bytes()
    if data[4:8] != b"TFL3":
        raise ValueError(
            f"Wanted a TFLite file (identifier b'TFL3' at byte 4). Received: bytes that begin {data[:8]!r}."
        )
    return data


def input_of(sources: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The input that examples go into: the only one, or of a text's three the ids.

    Raises:
        ValueError: if the file has other inputs.
    """
    names = [source["name"] for source in sources]
    if len(names) != 1 and sorted(names) != sorted(types.TEXT_INPUTS):
        raise ValueError(
            f"Wanted one input, or a text's {', '.join(types.TEXT_INPUTS)}. Received: {len(names)} in {name}, "
            f"{', '.join(names)}."
        )
    return sources[0] if len(names) == 1 else sources[names.index(types.TEXT_INPUTS[0])]


def fed_to(sources: Sequence[dict[str, Any]], inputs: np.ndarray, name: str) -> list[tuple[int, np.ndarray]]:
    """What each input takes for some examples: its place, and its own values for them."""
    fed = to_input_dtype(inputs, input_of(sources, name), name)
    if len(sources) == 1:
        return [(sources[0]["index"], fed)]
    values = types.text_inputs(fed)
    return [(source["index"], values[source["name"]]) for source in sources]


def to_input_dtype(inputs: np.ndarray, source: dict[str, Any], name: str) -> np.ndarray:
    """The inputs in the file's own dtype; integers are never rounded or wrapped into place."""
    wanted = np.dtype(source["dtype"])
    if not np.issubdtype(wanted, np.integer):
        return inputs.astype(wanted)
    scale, zero_point = source["quantization"]
    shift = zero_point if wanted == np.int8 and scale else 0  # the camera's bytes, moved into int8's range
    values = inputs.astype(np.float64) + shift
    limits = np.iinfo(wanted)
    fits = values.size == 0 or (values.min() >= limits.min and values.max() <= limits.max)
    if not fits or not (values == np.rint(values)).all():
        raise ValueError(
            f"{name} takes {wanted} inputs: whole numbers {limits.min - shift}..{limits.max - shift}, for pictures the "
            f"raw pixels, for texts token ids. Received: {inputs.dtype} values from {inputs.min()} to {inputs.max()}."
        )
    return values.astype(wanted)
