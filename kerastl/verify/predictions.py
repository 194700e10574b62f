"""A file's answers: every example through the interpreter, one at a time, as on the phone."""

from __future__ import annotations

import concurrent.futures
import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kerastl import types
from kerastl.verify.answers import Outputs, count_of

_CHUNK = 64  # examples that are read and brought into the file's dtype at once


def predict_tflite(
    file: Path | str | bytes,
    inputs: np.ndarray | types.LazyArray | Mapping[str, np.ndarray],
    *,
    kind: types.Inputs | None = None,
    workers: int | None = None,
    plain: bool = False,
) -> Outputs:
    """A TFLite file's answers, one example at a time, as the phone asks.

    Args:
        file: path of a file, or its bytes.
        inputs: ``(examples, *input_shape)`` for a file of one input, which takes them as they are: raw pixels 0..255 of
            any dtype go into a uint8 file as the bytes they are, into a float file as the same numbers in float32. Lazy
            ones are read a few at a time. For a file of several inputs such an array by each one's name.
        kind: what the examples are, where `types.Inputs.fed` makes the file's inputs out of them: of token ids a mask
            as well.
        workers: interpreters that share the examples, each with one thread; ``None`` takes one a core that this process
            may use, eight at most. The answers do not depend on it. (Threads inside one interpreter wait for one
            another after every operator, and on a single core forever.)
        plain: whether LiteRT's plain kernels are to compute it, as where an app takes no delegate; by default XNNPACK
            does what it can, as is LiteRT's default.

    Returns:
        float32 array ``(examples, *output_shape)``, dequantized by the output's scale; of a file of several outputs
        such an array by each one's name.

    Raises:
        ValueError: if the inputs have other names or another shape than the file's, are not whole numbers in the range
            of an integer input of scale 1, or the file needs operators that are not built in.
    """
    name = "the file" if isinstance(file, (bytes, bytearray)) else str(file)
    data = bytes_of(file)
    interpreter = _interpreter(data, name, plain=plain)
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    count = count_of(inputs)
    check_fed(feed(sources, _some(inputs, slice(0, 1)), kind, name), sources, name, count=count)
    answers = [np.empty((count, *target["shape"][1:]), target["dtype"]) for target in targets]

    def run(interpreter: Interpreter, part: range) -> None:
        put, invoke, fetch = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
        for first in part[::_CHUNK]:
            fed = feed(sources, _some(inputs, slice(first, min(first + _CHUNK, part.stop))), kind, name)
            for index in range(len(fed[0][1])):
                for place, values in fed:
                    put(place, values[index : index + 1])
                invoke()
                for target, rows in zip(targets, answers, strict=True):
                    rows[first + index] = fetch(target["index"])[0]

    workers = max(1, min(workers or _cores(), count // 100))  # an interpreter more has to pay for itself
    bounds = [count * worker // workers for worker in range(workers + 1)]
    parts = [range(first, last) for first, last in itertools.pairwise(bounds)]
    interpreters = [interpreter, *(_interpreter(data, name, plain=plain) for _ in parts[1:])]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, interpreters, parts))
    meant = {target["name"]: dequantized(rows, target) for target, rows in zip(targets, answers, strict=True)}
    return next(iter(meant.values())) if len(meant) == 1 else meant


def score_tflite(file: Path | str | bytes, split: types.Split) -> types.Score:
    """The score of a TFLite file on a split, by its task.

    Args:
        file: path of a file, or its bytes.
        split: as for `predict_tflite`; to choose by, that of validation.

    Raises:
        ValueError: as `predict_tflite`.
    """
    return split.task.target.score(predict_tflite(file, split.inputs, kind=split.task.inputs), split.labels)


def _some(inputs: Any, rows: slice) -> Any:
    return types.each(lambda part: np.asarray(part[rows]), inputs)


def dequantized(values: np.ndarray, tensor: Mapping[str, Any]) -> np.ndarray:
    """A tensor's numbers as they are meant, float32."""
    scale, zero_point = tensor["quantization"]
    if np.issubdtype(values.dtype, np.integer) and scale:
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32)


def computed_by_delegate(file: bytes) -> bool:
    """Whether XNNPACK computes some of a file, so that plain kernels are others."""
    return any(row["op_name"] == "DELEGATE" for row in _interpreter(file, "the file", plain=False)._get_ops_details())


def _interpreter(data: bytes, name: str, *, plain: bool) -> Interpreter:
    kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
    interpreter = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kernels)
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


def feed(
    sources: Sequence[Mapping[str, Any]],
    inputs: np.ndarray | Mapping[str, np.ndarray],
    kind: types.Inputs | None,
    name: str,
) -> list[tuple[int, np.ndarray]]:
    """What each of a file's inputs takes for some examples: its place, and its own values for them in its own dtype.

    Raises:
        ValueError: if the file has other inputs than these are for.
    """
    if kind is not None and not isinstance(inputs, Mapping):
        inputs = kind.fed(inputs)
    if not isinstance(inputs, Mapping):
        if len(sources) != 1:
            raise ValueError(
                f"Wanted arrays by the names of the inputs. Received: one array, and {len(sources)} inputs in {name}: "
                f"{', '.join(source['name'] for source in sources)}."
            )
        return [(sources[0]["index"], to_input_dtype(inputs, sources[0], name))]
    if len(sources) == len(inputs) == 1:  # one kind of input goes into whatever the file calls its one
        return [(sources[0]["index"], to_input_dtype(next(iter(inputs.values())), sources[0], name))]
    names = [source["name"] for source in sources]
    if sorted(names) != sorted(inputs):  # a SavedModel's own names stand inside of those that its converter gives
        names = [tensor.removeprefix("serving_default_").partition(":")[0] for tensor in names]
    if sorted(names) != sorted(inputs):
        raise ValueError(f"Wanted the inputs {', '.join(sorted(inputs))}. Received: {', '.join(names)} in {name}.")
    pairs = zip(sources, names, strict=True)
    return [(source["index"], to_input_dtype(inputs[tensor], source, name)) for source, tensor in pairs]


def check_fed(
    fed: Sequence[tuple[int, np.ndarray]], sources: Sequence[Mapping[str, Any]], name: str, *, count: int
) -> None:
    """Raises `ValueError` where values, some of ``count``, are of another shape than the input that they are for."""
    shapes = {source["index"]: tuple(source["shape"]) for source in sources}
    for place, values in fed:
        if shapes[place] != (1, *values.shape[1:]):
            wanted = ", ".join(str(size) for size in shapes[place][1:])
            raise ValueError(
                f"{name} wants inputs of shape (examples, {wanted}). Received: {(count, *values.shape[1:])}."
            )


def to_input_dtype(inputs: np.ndarray, source: Mapping[str, Any], name: str) -> np.ndarray:
    """The inputs in the file's own dtype.

    Pixels and ids, which an input of scale 1 takes, are never rounded or wrapped into place. An input of another scale
    takes numbers in their own unit, as many steps of it as they are; what lies outside its range is its end.
    """
    wanted = np.dtype(source["dtype"])
    if not np.issubdtype(wanted, np.integer):
        return inputs.astype(wanted)
    scale, zero_point = source["quantization"]
    limits = np.iinfo(wanted)
    if scale not in (0.0, 1.0):
        steps = np.rint(inputs.astype(np.float64) / scale) + zero_point
        return np.clip(steps, limits.min, limits.max).astype(wanted)
    shift = zero_point if wanted == np.int8 and scale else 0  # the camera's bytes, moved into int8's range
    values = inputs.astype(np.float64) + shift
    fits = values.size == 0 or (values.min() >= limits.min and values.max() <= limits.max)
    if not fits or not (values == np.rint(values)).all():
        raise ValueError(
            f"{name} takes {wanted} inputs: whole numbers {limits.min - shift}..{limits.max - shift}, for pictures the "
            f"raw pixels, for texts token ids. Received: {inputs.dtype} values from {inputs.min()} to {inputs.max()}."
        )
    return values.astype(wanted)
