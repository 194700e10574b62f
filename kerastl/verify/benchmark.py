"""Size, operators and latency of a TFLite file: read off the file, or measured in the runtime that phones use."""

from __future__ import annotations

import gc
import gzip
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import types

WARM_UP_RUNS = 50
LEAST_RUNS, LEAST_SECONDS = 200, 1.0
MOST_RUNS, MOST_SECONDS = 20_000, 30.0

_TYPE_NAMES = {value: name for name, value in vars(schema.TensorType).items() if isinstance(value, int)}
_OPERATOR_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_FLOATS = {"FLOAT16", "BFLOAT16", "FLOAT32", "FLOAT64", "COMPLEX64", "COMPLEX128"}
# Narrow integers are packed, the first element in the lowest bits: type -> (bits, signed).
_PACKED = {"INT4": (4, True), "UINT4": (4, False), "INT2": (2, True)}


def inspect(file: Path | str | bytes) -> types.FileFacts:
    """What can be read off a TFLite file without running it.

    A parameter is an element of a constant tensor that is a number of the network: floats, and integers that carry a
    scale; shapes, axes and the scales themselves are not counted. An operator counts as integer where no tensor it
    reads or writes is float, so the operators of a dynamic-range file, and a QUANTIZE or DEQUANTIZE with a float side,
    count as float; one outside the built-in set counts as flex only.

    Args:
        file: path of a file, or its bytes.

    Raises:
        ValueError: if it is not a TFLite file, or has more than one input or output.
    """
    data = _bytes_of(file)
    model = _parsed(data)
    parameters = kernel_elements = kernel_zeros = 0
    for tensor, values in _weights(model):
        parameters += values.size
        if values.ndim >= 2:
            kernel_elements += values.size
            kernel_zeros += int((values == _zero_points(tensor, values.ndim)).sum())
    return types.FileFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        gzip_bytes=len(gzip.compress(data, 9, mtime=0)),
        parameters=parameters,
        sparsity=kernel_zeros / kernel_elements if kernel_elements else 0.0,
        operators=_operators(model),
        input=_end(model, "inputs"),
        output=_end(model, "outputs"),
    )


def latency(
    file: Path | str | bytes, *, threads: int = 1, runs: int | None = None, warm_up: int = WARM_UP_RUNS
) -> types.Latency:
    """Time of one inference of one example, measured around ``invoke`` alone.

    Args:
        file: path of a TFLite file, or its bytes.
        threads: threads the interpreter may use.
        runs: measured runs; by default at least 200 and as many as fill a second, at most 20,000 or 30 seconds.
        warm_up: runs before them that are not measured.

    Returns:
        Median and 95th percentile in milliseconds.

    Raises:
        ValueError: if threads or runs is below 1, or the file cannot be run.
    """
    if threads < 1 or (runs is not None and runs < 1):
        raise ValueError(f"Wanted at least one thread and one run. Received: threads={threads}, runs={runs}.")
    data = _bytes_of(file)
    _parsed(data)
    interpreter = Interpreter(model_content=data, num_threads=threads)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise ValueError(f"Wanted a file of built-in operators. Received: one that cannot be run: {error}") from error
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        # Real answers take no other time than these; only denormal floats would, and pixels have none. Of token ids the
        # first few are in every vocabulary; others may lie behind its end.
        values = random.integers(0, 5 if detail["dtype"] == np.int32 else 128, detail["shape"])
        values = values.astype(detail["dtype"])
        interpreter.set_tensor(detail["index"], values)
    for _ in range(warm_up):
        interpreter.invoke()
    times = _timed(interpreter, runs)
    median, p95 = np.percentile(times, [50, 95]) / 1e6
    return types.Latency(median=float(median), p95=float(p95), threads=threads, runs=len(times))


def interleaved_latency(
    files: Mapping[str, Path | str | bytes], *, rounds: int, runs: int, threads: int = 1
) -> dict[str, list[float]]:
    """Latencies of several files that are to be compared on a machine whose speed drifts.

    Every round times each of them, every other one in reverse order: take ratios within a round, and their median.

    Args:
        files: by name; paths of TFLite files, or their bytes.
        rounds: how often each is timed.
        runs: inferences of a file in a round.
        threads: threads the interpreter may use.

    Returns:
        Of each file the median of every round, in milliseconds.

    Raises:
        ValueError: as of `latency`.
    """
    found: dict[str, list[float]] = {name: [] for name in files}
    for turn in range(rounds):
        for name in list(files)[:: -1 if turn % 2 else 1]:
            found[name].append(latency(files[name], threads=threads, runs=runs).median)
    return found


def _timed(interpreter: Interpreter, runs: int | None) -> list[int]:
    """Nanoseconds of each run; the collector of garbage waits, for its pauses are not the network's."""
    times: list[int] = []
    clock, invoke = time.perf_counter_ns, interpreter.invoke
    collecting = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        while True:
            before = clock()
            invoke()
            after = clock()
            times.append(after - before)
            if runs is not None:
                if len(times) >= runs:
                    return times
                continue
            seconds = (after - start) / 1e9
            enough = len(times) >= LEAST_RUNS and seconds >= LEAST_SECONDS
            if enough or len(times) >= MOST_RUNS or seconds >= MOST_SECONDS:
                return times
    finally:
        if collecting:
            gc.enable()


def _bytes_of(file: Path | str | bytes) -> bytes:
    return bytes(file) if isinstance(file, (bytes, bytearray)) else Path(file).read_bytes()


def _parsed(data: bytes) -> Any:
    if data[4:8] != b"TFL3":
        raise ValueError(
            f"Wanted a TFLite file (identifier b'TFL3' at byte 4). Received: bytes that begin {data[:8]!r}."
        )
    return flatbuffer_utils.read_model_from_bytearray(bytearray(data))


def _weights(model: Any) -> Iterator[tuple[Any, np.ndarray]]:
    """Every constant tensor that holds numbers of the network, with its values (integers unpacked, not dequantized)."""
    for graph in model.subgraphs:
        scales = set()  # tensors that hold the scales of blockwise quantization
        for tensor in graph.tensors:
            details = getattr(tensor.quantization, "details", None)
            scales |= {getattr(details, name) for name in ("scales", "zeroPoints") if hasattr(details, name)}
        for index, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            kind = _TYPE_NAMES[tensor.type]
            if data is None or not len(data) or index in scales - {-1}:
                continue
            if kind not in _FLOATS and not _is_quantized(tensor):
                continue  # a shape, an axis, a table of indices
            yield tensor, _values(np.asarray(data, np.uint8), kind, tensor.shape)


def _is_quantized(tensor: Any) -> bool:
    quantization = tensor.quantization
    if quantization is None:
        return False
    return (quantization.scale is not None and len(quantization.scale) > 0) or quantization.details is not None


def _values(data: np.ndarray, kind: str, shape: Any) -> np.ndarray:
    shape = tuple(int(size) for size in (shape if shape is not None else ()))
    count = int(np.prod(shape))
    if kind in _PACKED:
        bits, signed = _PACKED[kind]
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        values = ((data[:, None] >> shifts) & (2**bits - 1)).reshape(-1)[:count].astype(np.int8)
        if signed:
            values = np.where(values >= 2 ** (bits - 1), values - 2**bits, values).astype(np.int8)
    elif kind == "BFLOAT16":
        values = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    else:
        values = data.view(np.dtype(kind.lower()))
    if values.size != count:
        raise ValueError(f"Wanted a dense tensor of shape {shape}. Received: {values.size} elements of type {kind}.")
    return values.reshape(shape)


def _zero_points(tensor: Any, rank: int) -> np.ndarray | int:
    """The stored integer that means zero, shaped to compare with the tensor's values."""
    points = getattr(tensor.quantization, "zeroPoint", None)
    if points is None or not len(points):
        return 0
    points = np.asarray(points)
    if len(points) == 1:
        return int(points[0])
    shape = [1] * rank
    shape[tensor.quantization.quantizedDimension] = len(points)
    return points.reshape(shape)


def _operators(model: Any) -> types.Operators:
    by_type: Counter[str] = Counter()
    integer = flex = 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            number = max(code.builtinCode, code.deprecatedBuiltinCode)
            custom = number == schema.BuiltinOperator.CUSTOM
            by_type[(code.customCode or b"CUSTOM").decode() if custom else _OPERATOR_NAMES[number]] += 1
            touched = [int(index) for index in (*operator.inputs, *operator.outputs) if index >= 0]
            if custom:
                flex += 1
            elif not any(_TYPE_NAMES[graph.tensors[index].type] in _FLOATS for index in touched):
                integer += 1
    total = sum(by_type.values())
    return types.Operators(
        total=total, integer=integer, float=total - integer - flex, flex=flex, by_type=dict(sorted(by_type.items()))
    )


def _end(model: Any, side: str) -> types.Tensor:
    """The file's one input or output, or of a text's three inputs the ids; by the signature's name where it has one."""
    graph = model.subgraphs[0]
    indices = [int(index) for index in getattr(graph, side)]
    names = {index: graph.tensors[index].name or b"" for index in indices}
    place = next(iter(indices), -1)
    if sorted(names.values()) == sorted(name.encode() for name in types.TEXT_INPUTS):
        place = next(index for index in names if names[index] == types.TEXT_INPUTS[0].encode())
        if len({(graph.tensors[index].type, *graph.tensors[index].shape) for index in names}) != 1:
            raise ValueError(f"Wanted {', '.join(types.TEXT_INPUTS)} of one type and shape. Received: others.")
    elif len(indices) != 1:
        raise ValueError(
            "Wanted a file with one input, or a text's three, and one output. Received: "
            f"{len(indices)} {side}, {b', '.join(names.values()).decode(errors='replace')}."
        )
    tensor, name = graph.tensors[place], names[place]
    for signature in model.signatureDefs or []:
        for entry in getattr(signature, side) or []:
            if signature.subgraphIndex == 0 and entry.tensorIndex == place:
                name = entry.name
    quantization, scale, zero_point = tensor.quantization, None, None
    if quantization is not None and quantization.scale is not None and len(quantization.scale) == 1:
        scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    return types.Tensor(
        name=name.decode(),
        dtype=_TYPE_NAMES[tensor.type].lower(),
        shape=tuple(int(size) for size in tensor.shape),
        scale=scale,
        zero_point=zero_point,
    )
