"""Size, operators and latency of a TFLite file: read off the file, or measured in the runtime that phones use."""

from __future__ import annotations

import gc
import gzip
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import types
from kerastl.system import machine
from kerastl.verify import cost

ROUNDS = 7
"""How often each file is opened and timed."""
WARM_UP_RUNS, WARM_UP_SECONDS = 10, 0.05
"""Runs at the beginning of a round that are not measured, and for how long at most."""
LEAST_RUNS, LEAST_SECONDS = 100, 1.0
MOST_RUNS, MOST_SECONDS = 20_000, 30.0
"""Bounds of all rounds together."""

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
        ValueError: if it is not a TFLite file, or has no input or output.
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
        inputs=_ends(model, "inputs"),
        outputs=_ends(model, "outputs"),
        multiply_adds=cost.multiply_adds(model),
        arena_bytes=cost.arena_bytes(model),
    )


def latency(
    file: Path | str | bytes, *, threads: int = 1, runs: int | None = None, warm_up: int | None = None
) -> types.Latency:
    """Time of one inference of one example, measured around ``invoke`` alone; see `latencies`."""
    return latencies({"file": file}, threads=threads, runs=runs, warm_up=warm_up)["file"]


def latencies(
    files: Mapping[str, Path | str | bytes], *, threads: int = 1, runs: int | None = None, warm_up: int | None = None
) -> dict[str, types.Latency]:
    """Times of one inference of one example, of files that are to be compared on a machine that has other work as well.

    The files take turns: every round opens and times each of them, every other one in reverse order. Of one thread its
    processor time counts, which leaves out the time in which other programs had the core; what they still cost (caches,
    memory, clock rates) comes and goes with the rounds, whose lower quartile counts.

    Args:
        files: by name; paths of TFLite files, or their bytes.
        threads: threads the interpreter may use.
        runs: measured runs of each file; by default at least 100 and as many as fill a second, at most 20,000 or 30
            seconds.
        warm_up: runs that are not measured, before those of each round.

    Raises:
        ValueError: if threads or runs is below 1, or a file cannot be run.
    """
    if threads < 1 or (runs is not None and runs < 1):
        raise ValueError(f"Wanted at least one thread and one run. Received: threads={threads}, runs={runs}.")
    rounds = ROUNDS if runs is None else min(ROUNDS, runs)
    of_round = None if runs is None else [len(part) for part in np.array_split(np.empty(runs), rounds)]
    times = _in_turns(files, rounds=rounds, runs=of_round, threads=threads, warm_up=warm_up)
    clock = "processor time" if _clock(threads) is time.thread_time_ns else "wall clock"
    return {name: _summary(found, threads=threads, clock=clock) for name, found in times.items()}


def interleaved_latency(
    files: Mapping[str, Path | str | bytes], *, rounds: int, runs: int, threads: int = 1
) -> dict[str, list[float]]:
    """Medians of every round of several files that take turns: take ratios within a round, and their median.

    Args:
        files: by name; paths of TFLite files, or their bytes.
        rounds: how often each is timed.
        runs: inferences of a file in a round.
        threads: threads the interpreter may use.

    Returns:
        Of each file the median of every round, in milliseconds; see `latencies`.

    Raises:
        ValueError: as of `latencies`.
    """
    times = _in_turns(files, rounds=rounds, runs=[runs] * rounds, threads=threads, warm_up=None)
    return {name: [float(np.median(one)) / 1e6 for one in found] for name, found in times.items()}


def _summary(rounds: Sequence[Sequence[int]], *, threads: int, clock: str) -> types.Latency:
    """The latency of a file whose every run took so many nanoseconds, round by round."""
    medians, p95s = np.transpose([np.percentile(times, [50, 95]) / 1e6 for times in rounds])
    low, high = np.percentile(medians, [25, 75])
    return types.Latency(
        median=float(low),
        p95=float(np.percentile(p95s, 25)),
        threads=threads,
        runs=sum(map(len, rounds)),
        spread=float((high - low) / low) if low else 0.0,
        clock=clock,
        cpu=machine.processor(),
    )


def _in_turns(
    files: Mapping[str, Path | str | bytes],
    *,
    rounds: int,
    runs: Sequence[int] | None,
    threads: int,
    warm_up: int | None,
) -> dict[str, list[list[int]]]:
    """Of each file the nanoseconds of every run, round by round; who goes first changes from round to round."""
    for file in files.values():
        _parsed(_bytes_of(file))
    found: dict[str, list[list[int]]] = {name: [] for name in files}
    for turn in range(rounds):
        for name in list(files)[:: -1 if turn % 2 else 1]:
            # Opened anew, so that one file at a time is in memory, and not always in the same place there.
            interpreter = _ready(_bytes_of(files[name]), threads=threads)
            _warm(interpreter, WARM_UP_RUNS if warm_up is None else warm_up)
            wanted = None if runs is None else runs[turn]
            found[name].append(_timed(interpreter, wanted, share=rounds, clock=_clock(threads)))
    return found


def _ready(data: bytes, *, threads: int) -> Interpreter:
    """An interpreter with inputs. Raises `ValueError` for a file that it cannot run."""
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
    try:
        interpreter.invoke()
    except RuntimeError:  # numbers that are ids, of an embedding behind an input of floats
        for detail in interpreter.get_input_details():
            interpreter.set_tensor(detail["index"], random.integers(0, 5, detail["shape"]).astype(detail["dtype"]))
    return interpreter


def _warm(interpreter: Interpreter, runs: int) -> None:
    """So many runs, or as many as the time for it allows."""
    start = time.perf_counter()
    for _ in range(runs):
        interpreter.invoke()
        if time.perf_counter() - start >= WARM_UP_SECONDS:
            return


def _clock(threads: int) -> Callable[[], int]:
    """Nanoseconds of this thread, which does all the work where it is the only one; of several those on the wall."""
    fine = time.get_clock_info("thread_time").resolution <= 1e-6  # on Windows it counts in ticks of 16 ms
    return time.thread_time_ns if threads == 1 and fine else time.perf_counter_ns


def _timed(interpreter: Interpreter, runs: int | None, *, share: int, clock: Callable[[], int]) -> list[int]:
    """Nanoseconds of each run of a round; the collector of garbage waits, for its pauses are not the network's.

    Args:
        interpreter: with inputs.
        runs: how many; ``None`` takes the round's share of the bounds of this module.
        share: of how many rounds this is one.
        clock: counts nanoseconds.
    """
    times: list[int] = []
    invoke, collecting = interpreter.invoke, gc.isenabled()
    least, most = -(-LEAST_RUNS // share), max(1, MOST_RUNS // share)
    gc.disable()
    try:
        start = time.perf_counter()
        while True:
            before = clock()
            invoke()
            times.append(clock() - before)
            if runs is not None:
                if len(times) >= runs:
                    return times
                continue
            seconds = share * (time.perf_counter() - start)
            enough = len(times) >= least and seconds >= LEAST_SECONDS
            if enough or len(times) >= most or seconds >= MOST_SECONDS:
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


def _ends(model: Any, side: str) -> tuple[types.Tensor, ...]:
    """The file's inputs or outputs in their order; by the signature's names where it has one."""
    graph = model.subgraphs[0]
    indices = [int(index) for index in getattr(graph, side)]
    if not indices:
        raise ValueError(f"Wanted a file with inputs and outputs. Received: one without {side}.")
    named = {
        entry.tensorIndex: entry.name
        for signature in model.signatureDefs or []
        if signature.subgraphIndex == 0
        for entry in getattr(signature, side) or []
    }
    found = []
    for index in indices:
        tensor, scale, zero_point = graph.tensors[index], None, None
        quantization = tensor.quantization
        if quantization is not None and quantization.scale is not None and len(quantization.scale) == 1:
            scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
        found.append(
            types.Tensor(
                name=(named.get(index) or tensor.name or b"").decode(errors="replace"),
                dtype=_TYPE_NAMES[tensor.type].lower(),
                shape=tuple(int(size) for size in tensor.shape),
                scale=scale,
                zero_point=zero_point,
            )
        )
    return tuple(found)
