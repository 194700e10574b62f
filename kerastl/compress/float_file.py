"""A float32 TFLite file as litert-quantizer takes it: its operators that hold kernels, and the quantizer over it."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer import quantizer

from kerastl.compress import quantizer_output
from kerastl.export import operator_versions
from kerastl.system import layer_labels, phrases
from kerastl.types import Inputs, LazyArray, kind_of

Examples = np.ndarray | LazyArray | Mapping[str, np.ndarray]
"""Calibration examples ``(examples, *input_shape)``, of several inputs a mapping of their names to such arrays."""

KINDS = {
    "CONV_2D": schema.BuiltinOperator.CONV_2D,
    "DEPTHWISE_CONV_2D": schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    "CONV_2D_TRANSPOSE": schema.BuiltinOperator.TRANSPOSE_CONV,
    "FULLY_CONNECTED": schema.BuiltinOperator.FULLY_CONNECTED,
    "EMBEDDING_LOOKUP": schema.BuiltinOperator.EMBEDDING_LOOKUP,
}
"""Operators whose constants are quantized, by litert-quantizer's names."""
_PLACE = 1  # of the kernel among the inputs, in all of these


@dataclasses.dataclass(frozen=True)
class Operator:
    """An operator with a constant kernel.

    Attributes:
        name: of the tensor that the operator writes; no two operators write the same. A packed file, as runs keep them,
            has bare numbers for names.
        kind: a key of `KINDS`.
        shape: of the kernel; a dense one's is ``(outputs, inputs)``, a convolution's
            ``(channels, height, width, inputs)``.
        groups: of a convolution, each with inputs of its own.
        graph: which of the file's graphs it stands in; those behind the first are the bodies of loops, as an LSTM's.
        layer: what a report calls it, ``"3. CONV_2D [14, 14, 64]"``; the same in a packed file. Nothing inside a loop.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    groups: int = 1
    graph: int = 0
    layer: str = ""

    @property
    def shown(self) -> str:
        """The name where it is one, else what a report calls it; exceptions take either, see `left_float`."""
        return self.layer if self.layer and self.name.isdigit() else self.name

    @property
    def weights(self) -> int:
        """How many numbers the kernel has."""
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        """How many numbers a place has that comes out, each with a scale of its own if the kernel has one a channel."""
        return self.shape[-1 if self.kind == "DEPTHWISE_CONV_2D" else 0]

    @property
    def may_have_one_scale(self) -> bool:
        """Whether LiteRT computes with a 4-bit kernel of one scale: it does not with groups, nor row by row."""
        return self.kind in ("CONV_2D", "FULLY_CONNECTED") and self.groups == 1

    @property
    def pattern(self) -> str:
        """A regular expression that litert-quantizer finds this operator by, and no other."""
        return f"^{re.escape(self.name)};$"


def operators(model: bytes) -> tuple[Operator, ...]:
    """Those of a file in its order.

    Args:
        model: a TFLite file.

    Raises:
        ValueError: if ``model`` is no TFLite file.
    """
    held = read(named(model))
    kinds = {number: name for name, number in KINDS.items()}
    found, labels = [], labels_of(held)
    for place, graph in enumerate(held.subgraphs):
        for operator in graph.operators:
            number = builtin_code(held, operator)
            if number not in kinds:
                continue
            kernel = graph.tensors[operator.inputs[_PLACE]]
            data = held.buffers[kernel.buffer].data
            if data is None or not len(data):
                continue  # computed, as in the product of two activations
            name = graph.tensors[operator.outputs[0]].name.decode()
            shape = tuple(int(size) for size in kernel.shape)
            groups = 1
            if number == schema.BuiltinOperator.CONV_2D:
                groups = int(graph.tensors[operator.inputs[0]].shape[-1]) // shape[-1]
            found.append(Operator(name, kinds[number], shape, groups, place, labels.get(name) or ""))
    return tuple(found)


def labels_of(model: schema.ModelT) -> dict[str, str | None]:
    """What a report calls each operator of the main graph, by the name of what it writes; ``None`` for a carrier."""
    graph = model.subgraphs[0]
    written = [graph.tensors[operator.outputs[0]] for operator in graph.operators]
    kinds = [flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators]
    labels = layer_labels.labels(zip(kinds, (tensor.shape for tensor in written), strict=True))
    return dict(zip((tensor.name.decode() for tensor in written), labels, strict=True))


def kernels(model: bytes) -> dict[str, np.ndarray]:
    """The numbers of every kernel of a float32 file, by the names of `operators`."""
    held = parsed(named(model))
    found = {}
    for one in operators(model):
        graph = held.subgraphs[one.graph]
        place = next(
            int(operator.inputs[_PLACE])
            for operator in graph.operators
            if graph.tensors[operator.outputs[0]].name.decode() == one.name
        )
        found[one.name] = np.frombuffer(held.buffers[graph.tensors[place].buffer].data, "<f4").reshape(one.shape)
    return found


def opened(model: bytes) -> quantizer.Quantizer:
    """A quantizer over a float32 TFLite file.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already.
    """
    reduced = {
        tensor.name.decode(): _type_name(tensor.type)
        for tensor in tensors(model)
        if tensor.type == schema.TensorType.FLOAT16 or (tensor.quantization and tensor.quantization.scale is not None)
    }
    if reduced:
        name, kind = next(iter(reduced.items()))
        raise ValueError(
            f"Quantization needs a float32 file. Received: a file that is quantized already, with {len(reduced)} "
            f"reduced tensors, among them {name!r} of {kind}. Quantize the float file that it was made from."
        )
    return quantizer.Quantizer(named(model))


def named(model: bytes) -> bytes:
    """The file itself where every tensor has a name of its own, else one in which they have.

    In loops (LSTM, GRU) converters call several alike, packers leave names out, and the quantizer tells tensors apart
    by nothing else.

    Raises:
        ValueError: if ``model`` is no TFLite file.
    """
    given = [tensor.name for tensor in tensors(model)]
    if all(given) and len({*given}) == len(given):
        return bytes(model)
    held = parsed(model)
    ends = {int(place) for place in (*held.subgraphs[0].inputs, *held.subgraphs[0].outputs)}
    every = [
        (graph, place, tensor) for graph, one in enumerate(held.subgraphs) for place, tensor in enumerate(one.tensors)
    ]
    taken: set[bytes] = set()
    for graph, place, tensor in sorted(every, key=lambda one: one[0] > 0 or one[1] not in ends):  # the ends keep theirs
        tensor.name = tensor.name or b""
        while not tensor.name or tensor.name in taken:
            tensor.name += f"_{graph}_{place}".encode()
        taken.add(tensor.name)
    return serialized(held)


def left_float(model: bytes, names: Sequence[str]) -> dict[str, str]:
    """The operators that exceptions name, each by what it writes, and the pattern by which the quantizer finds it.

    Args:
        model: a float32 TFLite file.
        names: of operators (`Operator.name`), of the layers that they come from, or as a report calls them,
            ``"3. CONV_2D [14, 14, 64]"``, ``"3. CONV_2D"`` or ``"3."``: these are the same in a packed file, which
            knows no layers.

    Raises:
        ValueError: if a name is that of no operator and no layer.
    """
    held = read(named(model))
    written = [
        graph.tensors[operator.outputs[0]].name.decode() for graph in held.subgraphs for operator in graph.operators
    ]
    labels = labels_of(held)
    parts = {name: {name, *(part for part in re.split("[/;]", name) if not part.isdigit())} for name in written}
    found: dict[str, str] = {}
    for wanted in [names] if isinstance(names, str) else names:
        matched = [name for name in written if layer_labels.is_called(labels.get(name), wanted)]
        matched = matched or [name for name in written if wanted in parts[name]]
        if not matched:
            every = (shown(name, labels.get(name)) for name in dict.fromkeys(written))
            known = [name for name in every if not name.isdigit()]
            raise ValueError(
                f"Wanted names of operators, or of their layers. Received: {wanted!r}. Available: {', '.join(known)}."
            )
        found |= {name: f"^{re.escape(name)};" for name in matched}
    return found


def up_to(model: bytes, layer: str) -> tuple[str, ...]:
    """The operators by which a layer's numbers are made, from the file's inputs on: names that `left_float` takes.

    Args:
        model: a float32 TFLite file that has the names of its layers.
        layer: the last one of a front end, for example.

    Raises:
        ValueError: if no operator is named after the layer.
    """
    held = read(named(model))
    graph, labels = held.subgraphs[0], labels_of(held)
    names = [tensor.name.decode() for tensor in graph.tensors]
    makers = {output: operator for operator in graph.operators for output in operator.outputs}
    waiting = [output for output in makers if layer in re.split("[/;]", names[output])]
    if not waiting:
        known = sorted({part for output in makers for part in re.split("[/;]", names[output]) if not part.isdigit()})
        raise ValueError(f"Wanted the name of a layer. Received: {layer!r}. Available: {', '.join(known)}.")
    found: set[int] = set()
    while waiting:
        output = waiting.pop()
        if output in makers and output not in found:
            found.add(output)
            waiting += [int(one) for one in makers[output].inputs]
    return tuple(labels.get(names[output]) or names[output] for output in sorted(found))


def shown(name: str, label: str | None) -> str:
    """What an operator may be called in an exception."""
    if label is None:
        return name
    return label if name.isdigit() else f"{name} ({label})"


def quantized(work: quantizer.Quantizer, statistics: dict | None = None) -> bytes:
    """The bytes that a quantizer makes of its file, by the configurations added to it and the statistics given.

    The quantizer leaves version 1 to every operator, see `export.operator_versions`.
    """
    with quantizer_output.silenced():
        result = work.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return serialized(parsed(bytes(result.quantized_model or b"")))


def tensors(model: bytes) -> Iterable[Any]:
    """Every tensor of a file, of the generated API."""
    return (tensor for graph in read(bytes(model)).subgraphs for tensor in graph.tensors)


def parsed(model: bytes) -> Any:
    """A file as an object of the generated API.

    Raises:
        ValueError: if ``model`` is no TFLite file.
    """
    if bytes(model[4:8]) != b"TFL3":
        raise ValueError(
            f"Quantization needs the bytes of a TFLite file. Received: {len(model)} bytes starting {model[:8]!r}."
        )
    found: Any = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for buffer in found.buffers:
        if buffer.data is not None:  # of files that were quantized bytes, which are written again one by one
            buffer.data = np.frombuffer(buffer.data, np.uint8)
    return found


read = functools.lru_cache(maxsize=1)(parsed)
"""As `parsed`, for who changes nothing in it: a quantization asks one file a dozen things, and opens it once."""


def serialized(model: schema.ModelT) -> bytes:
    """The bytes of a file that `parsed` opened, its operators in the versions that they need."""
    operator_versions.stamp(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def builtin_code(model: schema.ModelT, operator: schema.OperatorT) -> int:
    """What an operator is, a number of ``schema.BuiltinOperator``: small ones stand in an old field of their own."""
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


class Source(NamedTuple):
    """An input of a file, and what it is calibrated with.

    Attributes:
        name: that the file's signature gives it.
        tensor, place: name and index of its tensor.
        shape: of a batch, as many examples as the file takes at once.
        values: ``(examples, *shape)`` in the tensor's own type.
        range: least and largest number that it has to hold, see `input_range`; of token ids ``None``.
    """

    name: str
    tensor: str
    place: int
    shape: tuple[int, ...]
    values: np.ndarray
    range: tuple[float, float] | None


def sources(model: bytes) -> dict[str, Mapping[str, Any]]:
    """LiteRT's details of a file's inputs, in its order, by the names of its signature; without one by their own."""
    interpreter = Interpreter(model_content=model)
    signatures, details = interpreter.get_signature_list(), interpreter.get_input_details()
    if len(signatures) != 1:
        return {detail["name"]: detail for detail in details}
    named = interpreter.get_signature_runner(next(iter(signatures))).get_input_details()
    names = {detail["index"]: name for name, detail in named.items()}
    return {names[detail["index"]]: detail for detail in details}


def calibrated(model: bytes, calibration: Examples, *, inputs: Inputs) -> list[Source]:
    """What each input of a file is calibrated with, in the file's order.

    Args:
        model: a float32 TFLite file.
        calibration: examples, whole batches of which are used.
        inputs: their kind, which says what goes into each of the file's inputs.

    Raises:
        ValueError: if no kind is given, or it feeds other inputs than the file has; if there are fewer examples than
            the file takes at once, not as many of each input, or they are no token ids where the file takes whole
            numbers; or as `input_range`.
    """
    check_kind(calibration, inputs)
    found = sources(model)
    values: Mapping[str, Any]
    if isinstance(calibration, Mapping):
        values = calibration
    else:
        values = inputs.fed(_checked(np.asarray(calibration), next(iter(found.values()))))
        if len(found) == 1:  # of a text one array may make several, and whose one input it is has any name
            values = dict.fromkeys(found, next(iter(values.values())))
    if sorted(values) != sorted(found):
        raise ValueError(
            "A file is calibrated by an array for each of its inputs, which inputs=, the kind of the examples, makes "
            f"of them. Received: the kind {inputs.kind!r} of {sorted(values)}, for a file of {sorted(found)}."
        )
    made = []
    for name, detail in found.items():
        array, shape = _checked(np.asarray(values[name]), detail), tuple(int(extent) for extent in detail["shape"])
        whole = np.issubdtype(detail["dtype"], np.integer)
        ends = None if whole else input_range(array, inputs=kind_of(inputs, name), shape=shape[1:])
        made.append(Source(name, detail["name"], int(detail["index"]), shape, array.astype(detail["dtype"]), ends))
    counts = {source.name: len(source.values) for source in made}
    if len(set(counts.values())) > 1:
        raise ValueError(f"Calibration needs as many examples of each input. Received: {counts}.")
    if len(made[0].values) < made[0].shape[0]:
        raise ValueError(f"Calibration needs {made[0].shape[0]} examples or more. Received: {len(made[0].values)}.")
    return made


def check_kind(calibration: Examples | None, inputs: Inputs | None) -> None:
    """Raises `ValueError` where there are examples, and nobody says of which kind: pixels and other numbers that lie
    within 0..255 look alike, and a file that was calibrated for the wrong ones answers at chance without a word.
    """
    if calibration is not None and inputs is None:
        raise ValueError(
            "Calibration needs inputs=, the kind of the examples, for example split.task.inputs, or "
            "kerastl.inputs.image.Image((height, width, channels)) of raw pixels. Received: inputs=None."
        )


def _checked(array: np.ndarray, detail: Mapping[str, Any]) -> np.ndarray:
    """Token ids that fit a file's input; other numbers are looked at by `input_range`."""
    shape = tuple(int(extent) for extent in detail["shape"][1:])
    whole = np.issubdtype(detail["dtype"], np.integer)
    if whole and (array.shape[1:] != shape or not np.issubdtype(array.dtype, np.integer)):
        wanted = ", ".join(map(str, ("examples", *shape)))
        raise ValueError(
            f"Calibration needs token ids, whole numbers ({wanted}). Received: {array.shape} of {array.dtype}."
        )
    return array


def input_range(calibration: np.ndarray, *, inputs: Inputs | None, shape: tuple[int, ...]) -> tuple[float, float]:
    """The numbers that a file's input has to hold, least and largest: those that its kind promises, or those measured.

    Args:
        calibration: examples ``(examples, *shape)``.
        inputs: their kind. One that says scale and zero point of 8 bits promises what these can hold; of others the
            range of the examples is measured, made to hold zero, as integers of a scale must. ``None``: raw pixels.
        shape: of one example.

    Raises:
        ValueError: the examples are none, of another shape, not finite, all zeros, outside of what is promised, or
            within the first of its steps.
    """
    calibration = np.asarray(calibration)
    promised = (1.0, 0) if inputs is None else inputs.calibration_range()
    if calibration.shape[1:] != shape or not len(calibration):
        raise ValueError(
            f"Calibration needs {'pictures' if promised else 'numbers'} ({', '.join(map(str, ('examples', *shape)))}). "
            f"Received: {calibration.shape}."
        )
    low, high = float(calibration.min()), float(calibration.max())
    if promised is None:
        if not np.isfinite([low, high]).all() or low == high == 0:
            raise ValueError(
                "Calibration needs finite numbers that are not all zero. Received: values from "
                f"{phrases.plain(low)} to {phrases.plain(high)}."
            )
        return min(low, 0.0), max(high, 0.0)
    scale, zero_point = promised
    least, most = scale * (0 - zero_point), scale * (255 - zero_point)
    if not (low >= least and least + scale < high <= most):
        raise ValueError(
            f"Calibration needs raw pixels, from {least:g} to {most:g}: the file takes them as the camera gives them. "
            f"Received: values from {phrases.plain(low)} to {phrases.plain(high)}. Of numbers in other units say the "
            "kind, inputs=kerastl.inputs.numbers.Numbers(shape): their range is then measured."
        )
    return least, most


def _type_name(kind: int) -> str:
    return next(name for name, value in vars(schema.TensorType).items() if value == kind).lower()
