"""The last look at a file before it is handed out: it loads, runs, is finite, near its model, and what is said of it.

Converters and quantizers fail without a word: with NaN for weights that half precision cannot hold, with scales of zero
that no runtime loads, with float operators in a file of integers, with answers of another network. Every function of
`export` and `compress` that hands out a file asks `fault` first. It takes one interpreter with the kernels that phones
use (XNNPACK), one with LiteRT's plain ones, and a few examples; the full proof on a split is `kerastl.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.schema_py_generated import ModelT

from kerastl.export import packing
from kerastl.types import KERNELS_ENTRY

Values = Sequence[np.ndarray]
"""An array for each of a file's inputs, or outputs, in its order."""

_CODES, _TYPES = schema.BuiltinOperator, schema.TensorType
_NAMES = {number: name for name, number in vars(_CODES).items() if isinstance(number, int)}
_FLOATS = (_TYPES.FLOAT16, _TYPES.BFLOAT16, _TYPES.FLOAT32, _TYPES.FLOAT64)
_CONVOLUTIONS = (_CODES.CONV_2D, _CODES.DEPTHWISE_CONV_2D, _CODES.TRANSPOSE_CONV)
_LEAST_SCALE_OF_A_BLOCK = float(np.finfo(np.float16).tiny)
_PLAIN_PROBES = 3  # plain kernels are slow, and the question is only whether they compute the same network


class Claim(NamedTuple):
    """What is said of a file.

    Attributes:
        error: most that it may be off: the norm of the difference over that of the answer, median of the examples. It
            is wide: what a file loses is measured on a split, here a file is found that is another network.
        weights: types (``schema.TensorType``) of which one of its constants has to be; none of them: nothing is asked.
        integer: whether no operator may compute with floats.
    """

    error: float
    weights: tuple[int, ...] = ()
    integer: bool = False


Compare = Callable[[Sequence[Values], Sequence[Values]], str | None]
"""Says in words how answers differ too much from those wanted, or ``None``."""


def fault(
    content: bytes, claim: Claim, *, probes: Sequence[Values], wanted: Sequence[Values], compare: Compare | None = None
) -> str | None:
    """What is wrong with a file, in words that go on after "Received: "; ``None`` where nothing is.

    Args:
        content: its bytes.
        claim: what it has to be.
        probes: examples, each an array ``(batch, *input_shape)`` for each input in the file's order; of a file with
            integer inputs the numbers as they are meant.
        wanted: answers to them, for each output in order, as numbers are meant.
        compare: says what is too far; by default the claim's error.
    """
    model = packing.unpack(content)
    found = _said_wrongly(model, claim)
    if found is not None:
        return found
    compare = compare or _too_far(claim.error)
    try:
        runner = Runner(content)
        found = compare([runner(probe) for probe in probes], wanted)
        if found is not None or not runner.delegated or needs_xnnpack(model):
            return found
        plain = Runner(content, plain=True)
        found = compare([plain(probe) for probe in probes[:_PLAIN_PROBES]], wanted[:_PLAIN_PROBES])
    except (RuntimeError, ValueError) as error:
        return f"one that LiteRT does not run: {' '.join(str(error).split())}"
    return None if found is None else f"with LiteRT's plain kernels {found}"


def needs_xnnpack(content: bytes | ModelT) -> bool:
    """Whether a file says, in its metadata entry ``kernels``, that LiteRT's plain kernels answer otherwise."""
    model = packing.unpack(content) if isinstance(content, bytes) else content
    return any(entry.name == KERNELS_ENTRY for entry in model.metadata or [])


def say_needs_xnnpack(model: ModelT) -> None:
    """Writes into a parsed file that it is right with the kernels of XNNPACK alone, LiteRT's default delegate."""
    if not needs_xnnpack(model):
        entry, buffer = schema.MetadataT(), schema.BufferT()
        entry.name, entry.buffer = KERNELS_ENTRY, len(model.buffers)
        buffer.data = np.frombuffer(b"XNNPACK", np.uint8)
        model.metadata = [*(model.metadata or []), entry]
        model.buffers.append(buffer)


class Runner:
    """A file that answers one example after the other.

    Args:
        content: its bytes.
        plain: whether LiteRT's plain kernels are to compute it, and no delegate.

    Raises:
        RuntimeError: if it cannot be loaded; ``ValueError`` on some versions of LiteRT.
    """

    def __init__(self, content: bytes, *, plain: bool = False) -> None:
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else OpResolverType.AUTO
        self._interpreter = Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=kernels)
        self._interpreter.allocate_tensors()
        self.sources, self.targets = self._interpreter.get_input_details(), self._interpreter.get_output_details()

    @property
    def delegated(self) -> bool:
        """Whether a delegate computes some of it."""
        return any(row["op_name"] == "DELEGATE" for row in self._interpreter._get_ops_details())

    def __call__(self, probe: Values) -> list[np.ndarray]:
        """The outputs in order, as numbers are meant."""
        for source, values in zip(self.sources, probe, strict=True):
            self._interpreter.set_tensor(source["index"], _stored(np.asarray(values), source))
        self._interpreter.invoke()
        return [_meant(self._interpreter.get_tensor(target["index"]), target) for target in self.targets]


def noise(content: bytes) -> list[Values]:
    """Random examples for a file of which nobody says what it takes: numbers from four ranges in turn (-1..1, 0..1,
    bytes, the normal distribution), of integers 0 to 4, which every vocabulary has.
    """
    random, sources = np.random.default_rng(0), Runner(content).sources
    draws: list[Callable[[Any], np.ndarray]] = [
        lambda shape: random.uniform(-1, 1, shape),
        lambda shape: random.uniform(0, 1, shape),
        lambda shape: random.integers(0, 256, shape),
        lambda shape: random.normal(size=shape),
    ]

    def drawn(source: Mapping[str, Any], place: int) -> np.ndarray:
        shape, kind = tuple(source["shape"]), np.dtype(source["dtype"])
        if kind == np.bool_ or np.issubdtype(kind, np.integer):
            return random.integers(0, 2 if kind == np.bool_ else 5, shape).astype(kind)
        return draws[place](shape).astype(kind)

    return [[drawn(source, place) for source in sources] for place in range(len(draws))]


def answers(content: bytes, probes: Sequence[Values]) -> list[Values]:
    """What a file answers to examples.

    Raises:
        ValueError: if it cannot be run.
    """
    try:
        runner = Runner(content)
        return [runner(probe) for probe in probes]
    except RuntimeError as error:
        raise ValueError(f"Wanted a file that LiteRT runs. Received: one of which it says: {error}") from error


def _said_wrongly(model: ModelT, claim: Claim) -> str | None:
    """What the file itself shows, before it is run."""
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    names = [(tensor.name or b"").decode() for tensor in tensors]
    if "" in names or len(set(names)) < len(names):
        twice = next((name for name in names if name and names.count(name) > 1), "none at all")
        return f"one whose tensors are not told apart by their names: {twice!r}"
    operators = [(graph, operator) for graph in model.subgraphs for operator in graph.operators]
    foreign = sorted({_NAMES[code] for _, one in operators if (code := packing.code_of(model, one)) == _CODES.CUSTOM})
    if foreign:
        return f"one with operators that LiteRT has not built in, {', '.join(foreign)}"
    for tensor, name in zip(tensors, names, strict=True):
        if not _scales_hold(model, tensor, tensors):
            return f"one whose tensor {name!r} has a scale that is zero or not finite"
    held = {tensor.type for tensor in tensors if model.buffers[tensor.buffer].data is not None}
    if claim.weights and not held & set(claim.weights):
        return f"one without a kernel of {' or '.join(map(_type_name, claim.weights))}, which no operator in it takes"
    for graph, operator in operators if claim.integer else ():
        name = (graph.tensors[operator.outputs[0]].name or b"").decode()
        ends = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
        if any(tensor.type in _FLOATS for tensor in ends):
            return f"one with a float operator, {_NAMES[packing.code_of(model, operator)]} at {name!r}"
    return None


def lost_kernel(content: bytes) -> str | None:
    """Says of a converter's file that a kernel of a convolution is all zeros, as where a factor was folded into it
    after it was quantized; ``None`` where none is.
    """
    model = packing.unpack(content)
    for graph in model.subgraphs:
        for operator in graph.operators:
            if packing.code_of(model, operator) not in _CONVOLUTIONS:
                continue
            kernel = graph.tensors[operator.inputs[1]]
            values = model.buffers[kernel.buffer].data
            if values is not None and not values.any():
                return f"a kernel of shape {list(kernel.shape)} is all zeros"
    return None


def _scales_hold(model: ModelT, tensor: Any, tensors: Sequence[Any]) -> bool:
    quantization = tensor.quantization
    if quantization is None:
        return True
    if isinstance(quantization.details, schema.BlockwiseQuantizationT):
        graph = next(graph for graph in model.subgraphs if any(one is tensor for one in graph.tensors))
        scales = model.buffers[graph.tensors[quantization.details.scales].buffer].data.view(np.float16)
        return bool(np.isfinite(scales).all() and (scales >= _LEAST_SCALE_OF_A_BLOCK).all())
    scales = np.asarray([] if quantization.scale is None else quantization.scale, np.float64)
    return bool(np.isfinite(scales).all() and (scales > 0).all())


def error_of(given: Sequence[Values], wanted: Sequence[Values]) -> float:
    """How far answers are from those wanted: the norm of the difference over that of the answer, median of the
    examples, of the output that is furthest off. Infinite where a number is lacking.
    """
    worst = 0.0
    for got, asked in zip(zip(*given, strict=True), zip(*wanted, strict=True), strict=True):
        errors = []
        for one, other in zip(got, asked, strict=True):
            held = np.isfinite(other)
            if one.shape != other.shape or not np.isfinite(one[held]).all():
                return float("inf")
            if np.issubdtype(other.dtype, np.floating) and held.any():
                norm = max(float(np.linalg.norm(other[held])), 1e-6)
                errors.append(float(np.linalg.norm(one[held] - other[held])) / norm)
        worst = max(worst, float(np.median(errors)) if errors else 0.0)
    return worst


def _too_far(most: float) -> Compare:
    def compare(given: Sequence[Values], wanted: Sequence[Values]) -> str | None:
        found = error_of(given, wanted)
        if found <= most:
            return None
        pairs = [
            (got, asked)
            for one, other in zip(given, wanted, strict=True)
            for got, asked in zip(one, other, strict=True)
        ]
        got, asked = max(pairs, key=lambda pair: error_of([[pair[0]]], [[pair[1]]]))
        if got.shape != asked.shape:
            return f"one that answers with {got.shape} in place of {asked.shape}"
        shown = f"{np.ravel(got)[:4]} ... in place of {np.ravel(asked)[:4]} ..."
        if not np.isfinite(found):
            return f"one that answers with numbers that are not finite, {shown}"
        return f"one whose answers differ from the model's by {found:.2f} of their size ({most:g} is rounding), {shown}"

    return compare


def _stored(values: np.ndarray, source: Mapping[str, Any]) -> np.ndarray:
    kind, (scale, zero_point) = np.dtype(source["dtype"]), source["quantization"]
    if np.issubdtype(kind, np.integer) and scale and np.issubdtype(values.dtype, np.number):
        limits = np.iinfo(kind)
        return np.clip(np.rint(values.astype(np.float64) / scale) + zero_point, limits.min, limits.max).astype(kind)
    return values.astype(kind)


def _meant(values: np.ndarray, target: Mapping[str, Any]) -> np.ndarray:
    scale, zero_point = target["quantization"]
    if np.issubdtype(values.dtype, np.integer) and scale:
        return (values.astype(np.float64) - zero_point) * scale
    return values.copy()


def _type_name(kind: int) -> str:
    return next(name for name, number in vars(_TYPES).items() if number == kind)
