"""TFLite files without waste: the same network, answer for answer, in fewer bytes.

A small network's file is a quarter wrapping. Converters repeat equal vectors (the zero points of every channel, of
weights and of biases alike), name each tensor after the whole chain of layers it came from, and attach statistics and
entries that no interpreter reads. `shrink` takes those away and `pack` writes each equal part once, as the FlatBuffers
format allows (offsets may meet). Buffers keep the 16-byte alignment of the public schema, which delegates count on and
the object API of the Python runtime loses.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Protocol

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.schema_py_generated import ModelT, OperatorT, SubGraphT, TensorT
from ai_edge_litert.tools import flatbuffer_utils

from kerastl.export import operator_versions

FILE_IDENTIFIER = b"TFL3"
BUFFER_ALIGNMENT = 16
# Entries that converters leave in a file and no interpreter reads.
UNREAD_METADATA = (b"CONVERSION_METADATA", b"min_runtime_version", b"model_quantization_method")
_IDS = 5  # that every vocabulary has


class Packable(Protocol):
    """A part of a file as an object of the generated API."""

    def Pack(self, builder: flatbuffers.Builder) -> int: ...


class SharingBuilder(flatbuffers.Builder):
    """A FlatBuffers builder that writes equal vectors, strings and tables once.

    Vectors of offsets are never shared: their bytes mean something only where they stand.
    """

    def __init__(self, size: int = 1024) -> None:
        super().__init__(size)
        self._written: dict[object, int] = {}
        self._mark = 0
        self._kind: object = None

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
        if elemSize == 1 and numElems >= BUFFER_ALIGNMENT:
            alignment = BUFFER_ALIGNMENT
        self._mark, self._kind = self.Offset(), ("vector", elemSize, alignment)
        return super().StartVector(elemSize, numElems, alignment)

    def PrependUOffsetTRelative(self, off: int) -> None:
        if self.nested and self.vectorNumElems is not None:
            self._kind = None
        super().PrependUOffsetTRelative(off)

    def CreateString(self, s: str | bytes, encoding: str = "utf-8", errors: str = "strict") -> int:
        self._mark, self._kind = self.Offset(), "string"
        return super().CreateString(s, encoding, errors)

    def EndVector(self, numElems: int | None = None) -> int:
        offset = super().EndVector()
        if self._kind is None:
            return offset
        content = (self._kind, bytes(self.Bytes[self.head : len(self.Bytes) - self._mark]))
        # What follows the content is padding that depends on the place; equal content at an equal alignment is enough.
        if content in self._written:
            self.head = len(self.Bytes) - self._mark
            return self._written[content]
        self._written[content] = offset
        return offset

    def once(self, part: Packable) -> int:
        """Packs an object of the generated API, or returns the offset where an equal one stands."""
        key = _content(part)
        if key not in self._written:
            self._written[key] = part.Pack(self)
        return self._written[key]


class _Once:
    """Stands in for a part of a model so that the generated ``Pack`` methods share equal ones."""

    def __init__(self, part: Packable) -> None:
        self.part = part

    def Pack(self, builder: SharingBuilder) -> int:
        return builder.once(self.part)


def _content(part: object) -> object:
    """A hashable picture of an object of the generated API."""
    if isinstance(part, np.ndarray):
        return part.dtype.str, part.tobytes()
    if isinstance(part, (list, tuple)):
        return tuple(_content(item) for item in part)
    if hasattr(part, "__dict__"):
        return type(part).__name__, tuple((name, _content(value)) for name, value in sorted(vars(part).items()))
    return part


def unpack(data: bytes) -> ModelT:
    """The file as an object of ``ai_edge_litert.schema_py_generated`` (a ``ModelT``), with arrays that can be written.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    if bytes(data[4:8]) != FILE_IDENTIFIER:
        raise ValueError(
            f"Wanted the bytes of a TFLite file (identifier {FILE_IDENTIFIER!r} at byte 4). "
            f"Received: {len(data)} bytes that begin {bytes(data[:8])!r}."
        )
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8).copy()
    return model


def pack(model: ModelT) -> bytes:
    """A ``ModelT`` as the bytes of a file, equal parts written once, operators in the versions that they need."""
    operator_versions.stamp(model)
    builder = SharingBuilder()
    replaced = []
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None:
                replaced.append((tensor, ("quantization", tensor.quantization)))
        for operator in graph.operators:
            if operator.builtinOptions is not None:
                replaced.append((operator, ("builtinOptions", operator.builtinOptions)))
    try:
        for owner, (name, part) in replaced:
            setattr(owner, name, _Once(part))
        builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    finally:
        for owner, (name, part) in replaced:
            setattr(owner, name, part)
    return bytes(builder.Output())


def code_of(model: ModelT, operator: OperatorT) -> int:
    """The number of an operator's kind, one of ``schema.BuiltinOperator``."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def shrink(data: bytes, *, layer_of: Callable[[str], str | None] = lambda _: None) -> bytes:
    """The same network in fewer bytes, its answers bit for bit the same.

    Goes: long tensor names, minimum and maximum statistics, metadata that only converters write, operator codes and
    tensors that nothing uses, empty quantization records, the second copy of equal constants. Stays: the names of
    inputs and outputs, signatures, scales and zero points, any other metadata. Inner tensors have short names, no two
    of a file alike: quantizers, tf2onnx and viewers tell them apart by it.

    Args:
        data: bytes of a TFLite file.
        layer_of: finds the layer in the name that a converter gave to a tensor (`keras_graph.layer_of`). What an
            operator of a layer writes is then called after it, ``conv`` the first and ``conv/12`` another, so that a
            quantizer can be told of it by name; every other tensor has a number.

    Raises:
        ValueError: if the bytes are not a TFLite file, or have an archive of associated files appended, whose place
            would be lost: shrink first, then add metadata.
        RuntimeError: if the shrunk file answers differently on any probe (a fault of this function, never let through).
    """
    model = unpack(data)
    if zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("Wanted a file without appended files (add metadata last). Received: one with a zip archive.")
    model.description = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name not in UNREAD_METADATA] or None
    model.metadataBuffer = None
    _drop_operator_codes(model)
    for graph in model.subgraphs:
        _drop_tensors(model, graph)
        _without_statistics(graph)
        for operator in graph.operators:
            operator.mutatingVariableInputs = operator.mutatingVariableInputs or None
            operator.intermediates = operator.intermediates or None
    _shorten_names(model, layer_of)
    _merge_buffers(model)
    shrunk = pack(model)
    difference = first_difference(data, shrunk)
    if difference is not None:
        raise RuntimeError(f"Shrinking changed the network's answers: {difference}")
    return shrunk if len(shrunk) < len(data) else bytes(data)


def _drop_operator_codes(model: ModelT) -> None:
    used = sorted({operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)


def _drop_tensors(model: ModelT, graph: SubGraphT) -> None:
    """Drops tensors that no operator, input, output, signature or blockwise scale names."""
    blockwise = [details for tensor in graph.tensors if (details := _scales_of_blocks(tensor)) is not None]
    lists = [graph.inputs, graph.outputs, *([details.scales, details.zeroPoints] for details in blockwise)]
    for operator in graph.operators:
        lists += [operator.inputs, operator.outputs, operator.intermediates]
    used = sorted({int(index) for indices in lists if indices is not None for index in indices if index >= 0})
    signatures = [
        entry
        for signature in model.signatureDefs or []
        if model.subgraphs[signature.subgraphIndex] is graph
        for entry in [*(signature.inputs or []), *(signature.outputs or [])]
    ]
    used = sorted({*used, *(entry.tensorIndex for entry in signatures)})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    graph.tensors = [graph.tensors[index] for index in used]
    graph.inputs = [place[index] for index in graph.inputs]
    graph.outputs = [place[index] for index in graph.outputs]
    for entry in signatures:
        entry.tensorIndex = place[entry.tensorIndex]
    for details in blockwise:
        details.scales, details.zeroPoints = place.get(details.scales, -1), place.get(details.zeroPoints, -1)
    for operator in graph.operators:
        for name in ("inputs", "outputs", "intermediates"):
            indices = getattr(operator, name)
            if indices is not None:
                setattr(operator, name, [place[int(index)] for index in indices])


def _scales_of_blocks(tensor: TensorT) -> schema.BlockwiseQuantizationT | None:
    """What says by which tensors a kernel's blocks are scaled, or ``None``."""
    details = None if tensor.quantization is None else tensor.quantization.details
    return details if isinstance(details, schema.BlockwiseQuantizationT) else None


def _shorten_names(model: ModelT, layer_of: Callable[[str], str | None]) -> None:
    """Names no two tensors of a file alike, whatever subgraph they are of; the ends of the file keep theirs."""
    main = model.subgraphs[0]
    ends = {int(index) for index in (*main.inputs, *main.outputs)}
    taken = {main.tensors[index].name for index in ends}
    for place, graph in enumerate(model.subgraphs):
        written = {int(index) for operator in graph.operators for index in operator.outputs}
        for index, tensor in enumerate(graph.tensors):
            if place == 0 and index in ends:
                continue
            layer = layer_of((tensor.name or b"").decode()) if index in written else None
            number = f"{place}_{index}" if place else str(index)
            tensor.name = next(name for name in _names(layer, number) if name not in taken)
            taken.add(tensor.name)


def _names(layer: str | None, number: str) -> Iterator[bytes]:
    """Names for a tensor, the best one first."""
    if layer is not None:
        yield layer.encode()
        number = f"{layer}/{number}"
    yield number.encode()
    while True:
        number += "_"
        yield number.encode()


def _without_statistics(graph: SubGraphT) -> None:
    for tensor in graph.tensors:
        if tensor.shape is not None and len(tensor.shape):
            tensor.hasRank = False  # only of a scalar it says what the shape does not
        quantization = tensor.quantization
        if quantization is None:
            continue
        quantization.min = quantization.max = None
        if (quantization.scale is None or not len(quantization.scale)) and quantization.details is None:
            tensor.quantization = None


def _merge_buffers(model: ModelT) -> None:
    """Equal constants point to one buffer and unread ones go; buffer 0 stays the empty one, as the schema has it."""
    buffers = [schema.BufferT()]
    place = {b"": 0}
    owners = [tensor for graph in model.subgraphs for tensor in graph.tensors] + list(model.metadata or [])
    moved = {}
    for index in sorted({owner.buffer for owner in owners}):
        content = b"" if model.buffers[index].data is None else bytes(model.buffers[index].data)
        if content not in place:
            place[content] = len(buffers)
            buffers.append(model.buffers[index])
        moved[index] = place[content]
    model.buffers = buffers
    for owner in owners:
        owner.buffer = moved[owner.buffer]


def first_difference(before: bytes, after: bytes, *, probes: int = 4) -> str | None:
    """Runs two files on the same random inputs; ``None`` if every output is the same bit for bit, else what differs."""
    one, other = (Interpreter(model_content=bytes(data), num_threads=1) for data in (before, after))
    for interpreter in (one, other):
        interpreter.allocate_tensors()
    random = np.random.default_rng(0)
    for ours, theirs in zip(one.get_input_details(), other.get_input_details(), strict=True):
        if tuple(ours["shape"]) != tuple(theirs["shape"]) or ours["dtype"] != theirs["dtype"]:
            return f"input {ours['name']!r} is {ours['shape']} {ours['dtype']}, was {theirs['shape']}."
    for _ in range(probes):
        try:
            _run(one, other, random, most=256)
        except RuntimeError:  # numbers that are ids, of an embedding behind an input of floats
            _run(one, other, random, most=_IDS)
        for ours, theirs in zip(one.get_output_details(), other.get_output_details(), strict=True):
            got, wanted = other.get_tensor(theirs["index"]), one.get_tensor(ours["index"])
            if got.dtype != wanted.dtype or got.tobytes() != wanted.tobytes():
                return f"output {ours['name']!r}: wanted {wanted.ravel()[:4]} ..., got {got.ravel()[:4]} ..."
    return None


def _run(one: Interpreter, other: Interpreter, random: np.random.Generator, *, most: int) -> None:
    """Runs both on the same numbers below ``most``."""
    for ours, theirs in zip(one.get_input_details(), other.get_input_details(), strict=True):
        # ids of tokens have no scale: every vocabulary has the first five, and others may lie behind its end
        ids = np.issubdtype(ours["dtype"], np.integer) and not ours["quantization"][0]
        probe = random.integers(0, _IDS if ids else most, ours["shape"])
        probe = probe - 128 if ours["dtype"] == np.int8 and not ids else probe
        one.set_tensor(ours["index"], probe.astype(ours["dtype"]))
        other.set_tensor(theirs["index"], probe.astype(theirs["dtype"]))
    one.invoke()
    other.invoke()
