"""Integers of a quantized file chosen by what they answer: each kernel's products come as near as they can to those of
the float file, on some hundred examples.

Rounding to the nearest integer is the best for a weight, not for a sum of hundreds of products. Here the kernels are
rounded one after the other, from the input on, to give the float file's sums of what the kernels before, rounded
already, hand them (Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization",
https://arxiv.org/abs/2004.10568). `gptq` does one kernel; its bias, which stays float, takes up what is missed
on the mean (Nagel et al. 2019, "Data-free quantization through weight equalization and bias correction",
https://arxiv.org/abs/1906.04721, section 4.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from kerastl.compress import finished_file, float_file, four_bits, gptq
from kerastl.export import final_guard
from kerastl.types import Inputs

_CODES, _TYPES = schema.BuiltinOperator, schema.TensorType
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
"""Operators whose kernels are rounded, by the names of `float_file`."""
_LARGEST = {_TYPES.INT4: four_bits.LARGEST, _TYPES.INT8: 127}
"""Integers lie evenly around zero, as LiteRT's specification of quantized kernels wants them."""
_MOST_INPUTS = 8192
"""Inputs of one sum whose moments still fit in memory, half a gigabyte; a kernel of more keeps its integers."""


def output_aware_rounding(model: bytes, quantized: bytes, *, calibration: float_file.Examples, inputs: Inputs) -> bytes:
    """The quantized file with better integers, scales and biases in the same places: same size, same speed.

    Those of convolutions, depthwise ones too, and of dense layers are chosen anew, with as many scales as they have:
    one a channel, one a block of a row, or one. Embeddings, transposed convolutions, and kernels in loops (LSTM, GRU)
    keep theirs. What a kernel is given is computed as on a phone, with XNNPACK. Weights that are zero stay zero, so
    that pruned kernels stay pruned; of clustered ones each channel keeps its few values no longer.

    Args:
        model: the float32 TFLite file.
        quantized: made from it, with 4-bit or 8-bit kernels and float32 activations.
        calibration: some hundred examples of the training split: pixels ``(examples, *input_shape)``, 0..255 of any
            dtype, other finite numbers, or token ids ``(examples, sequence_length)``; of several inputs a mapping of
            their names to such arrays.
        inputs: their kind, for example ``split.task.inputs``, which says what the file is fed with.

    Raises:
        ValueError: if ``quantized`` was not made from ``model``, or holds no such kernel (those in loops are none); if
            ``calibration`` has another shape or is empty, holds no pixels 0..255 (of pictures), nothing finite
            (numbers) or no whole numbers (ids); if nobody says their kind, or it feeds other inputs than the file has;
            if the file answers with NaN, or like another network.
    """
    result = rounded(model, quantized, calibration=calibration, inputs=inputs)
    claim = final_guard.Claim(error=0.8, weights=tuple(_LARGEST))
    return finished_file.handed_out(result, model, claim, examples=calibration, inputs=inputs)


def rounded(model: bytes, quantized: bytes, *, calibration: float_file.Examples, inputs: Inputs) -> bytes:
    """As `output_aware_rounding`, for a file that goes on being worked on: nobody looks at it."""
    model = float_file.named(model)
    floats, result = (float_file.parsed(file) for file in (model, quantized))
    layers = _layers(floats, result)
    examples = _Examples(model, calibration, inputs)
    readers: dict[int, list[_Layer]] = {}
    for layer in layers:
        readers.setdefault(layer.sources[0], []).append(layer)
    for together in readers.values():
        for layer, sums in zip(together, _sums(model, float_file.serialized(result), together, examples), strict=True):
            _round(layer, sums, result)
    return float_file.serialized(result)


class Strided(Protocol):
    """The options of a convolution, of the generated API."""

    padding: int
    strideH: int
    strideW: int
    dilationHFactor: int
    dilationWFactor: int


class _Sums:
    """Of a kernel's inputs, in the float file and in the quantized one: means and second moments, group by group."""

    def __init__(self, groups: int, columns: int) -> None:
        self.count = 0
        self.wanted, self.given = np.zeros((2, groups, columns))
        self.moments, self.shifts = np.zeros((2, groups, columns, columns))

    def add(self, wanted: np.ndarray, given: np.ndarray) -> None:
        """Takes inputs ``(groups, places, columns)`` of the float and of the quantized file."""
        self.count += wanted.shape[1]
        self.wanted += wanted.sum(1)
        self.given += given.sum(1)
        self.moments += given.mT @ given
        self.shifts += (wanted - given).mT @ given

    def centred(self, biased: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means of both files' inputs, the moments of what is given, and its moments with what is lacking to it.

        A bias takes up what is missed on the mean, so that what is left to the kernel is about the means.
        """
        wanted, given = (biased * sums / self.count for sums in (self.wanted, self.given))
        moments = self.moments / self.count - given[..., None] * given[:, None]
        return wanted, given, moments, self.shifts / self.count - (wanted - given)[..., None] * given[:, None]


@dataclasses.dataclass(frozen=True, eq=False)
class _Layer:
    """An operator with a kernel that is rounded.

    Attributes:
        kind: of the operator.
        options: of the operator: strides, padding, dilations.
        sources: indices of its input, in the float file and in the quantized one.
        weights: the float kernel, as the file has it.
        kernel: index of the quantized kernel.
        bias: the float bias, or ``None`` where there is none to be written.
        bias_place: its index in the quantized file.
    """

    kind: int
    options: Strided
    sources: tuple[int, int]
    weights: np.ndarray
    kernel: int
    bias: np.ndarray | None
    bias_place: int

    def patches(self, inputs: np.ndarray) -> np.ndarray:
        """What every sum is of: ``(groups, places, columns)``, in the order of the rows of `rows`."""
        inputs = inputs.astype(np.float64)
        if self.kind == _CODES.FULLY_CONNECTED:
            return inputs.reshape(1, -1, self.weights.shape[-1])
        height, width = self.weights.shape[1:3]
        windows = _windows(inputs, (height, width), self.options)
        groups = self.groups(inputs.shape[-1])
        # (examples, rows, columns, channels, height, width), as the kernel lies: height, width, channels
        windows = windows.reshape(-1, groups, inputs.shape[-1] // groups, height, width)
        return windows.transpose(1, 0, 3, 4, 2).reshape(groups, len(windows), -1)

    def groups(self, channels: int) -> int:
        """Groups of inputs that are summed by themselves."""
        if self.kind == _CODES.FULLY_CONNECTED:
            return 1
        return channels if self.kind == _CODES.DEPTHWISE_CONV_2D else channels // self.weights.shape[-1]

    def rows(self, groups: int) -> np.ndarray:
        """The kernel as ``(groups, rows, columns)``; the channels that come out are the rows, group after group."""
        if self.kind == _CODES.DEPTHWISE_CONV_2D:
            return self.weights.reshape(-1, groups, self.weights.shape[-1] // groups).transpose(1, 2, 0)
        return self.weights.reshape(groups, self.weights.shape[0] // groups, -1)


def _round(layer: _Layer, sums: _Sums, result: schema.ModelT) -> None:
    """Writes a layer's integers, scales and bias into the quantized file."""
    kernel = result.subgraphs[0].tensors[layer.kernel]
    weights = layer.rows(len(sums.given)).astype(np.float64)
    wanted, given, moments, shifts = sums.centred(layer.bias is not None)
    moments = gptq.damped(moments)
    # the kernel that comes nearest to the float file's sums with the inputs that it is given
    meant = weights + np.linalg.solve(moments, (weights @ shifts).mT).mT
    details = kernel.quantization.details
    found = gptq.rounded(
        meant,
        moments,
        largest=_LARGEST[kernel.type],
        one_scale=details is None and len(kernel.quantization.scale) == 1,
        zeros=weights == 0,
        block=None if details is None else details.blockSize,
        stored=None if details is None else four_bits.scales_of_blocks,
    )
    if layer.bias is not None:
        missed = np.einsum("grc,gc->gr", weights, wanted) - np.einsum("grc,gc->gr", found.weights, given)
        _write(result, layer.bias_place, (layer.bias + missed.reshape(-1)).astype("<f4"))
    integers = found.integers.astype(np.int8)
    if layer.kind == _CODES.DEPTHWISE_CONV_2D:
        integers = integers.transpose(2, 0, 1)
    if details is not None:
        _write(result, details.scales, found.scales.astype("<f2"))
    else:
        count = len(kernel.quantization.scale)
        kernel.quantization.scale = found.scales.astype(np.float32).reshape(-1)[:count]
    _write(result, layer.kernel, four_bits.packed(integers) if kernel.type == _TYPES.INT4 else integers)


def _layers(floats: schema.ModelT, result: schema.ModelT) -> list[_Layer]:
    """Those whose kernels are rounded, in the order of the file."""
    theirs = {_written(floats, operator): operator for operator in floats.subgraphs[0].operators}
    if [_written(result, operator) for operator in result.subgraphs[0].operators] != list(theirs):
        raise ValueError("Wanted a file that was quantized from the float file. Received: one of other operators.")
    uses = [int(place) for graph in result.subgraphs for operator in graph.operators for place in operator.inputs]
    rounded = [operator for operator in result.subgraphs[0].operators if _has_integers(result, operator)]
    if not rounded:
        raise ValueError(
            "Wanted a file with 4-bit or 8-bit kernels and float32 activations. Received: one with no such kernel."
        )
    found = []
    for operator in rounded:
        twin, place = theirs[_written(result, operator)], int(operator.inputs[1])
        kind = float_file.builtin_code(result, operator)
        weights = _constant(floats, twin.inputs[1])
        if weights is None or uses.count(place) > 1:
            continue
        depthwise = kind == _CODES.DEPTHWISE_CONV_2D
        if (weights[..., 0] if depthwise else weights[0]).size > _MOST_INPUTS:
            continue
        bias_place = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
        bias = _constant(floats, twin.inputs[2]) if bias_place >= 0 and uses.count(bias_place) == 1 else None
        sources = int(twin.inputs[0]), int(operator.inputs[0])
        found.append(_Layer(kind, operator.builtinOptions, sources, weights, place, bias, bias_place))
    return found


def _has_integers(result: schema.ModelT, operator: schema.OperatorT) -> bool:
    if float_file.builtin_code(result, operator) not in [float_file.KINDS[name] for name in KINDS]:
        return False
    source, kernel = (result.subgraphs[0].tensors[place] for place in operator.inputs[:2])
    return kernel.type in _LARGEST and source.type == _TYPES.FLOAT32


def _sums(model: bytes, quantized: bytes, layers: Sequence[_Layer], examples: _Examples) -> list[_Sums]:
    """Of layers that read the same, from one pass over the examples."""
    found: list[_Sums] = []
    place, other = layers[0].sources
    for wanted, given in zip(examples.at(model, place), examples.at(quantized, other), strict=True):
        for index, layer in enumerate(layers):
            one, two = layer.patches(wanted), layer.patches(given)
            if index == len(found):
                found.append(_Sums(one.shape[0], one.shape[2]))
            found[index].add(one, two)
    return found


class _Examples:
    """Calibration examples as a file takes them."""

    def __init__(self, model: bytes, calibration: float_file.Examples, inputs: Inputs) -> None:
        sources = float_file.calibrated(model, calibration, inputs=inputs)
        self._fed = [(source.place, source.values) for source in sources]
        self._size, count = sources[0].shape[0], len(sources[0].values)
        self._count = count - count % self._size

    def at(self, file: bytes, place: int) -> Iterator[np.ndarray]:
        """What a file has in one tensor, a batch of the file after the other."""
        interpreter = Interpreter(model_content=_cut(file, place), num_threads=1)  # as a phone computes: by XNNPACK
        interpreter.allocate_tensors()
        taken = {source["index"] for source in interpreter.get_input_details()}
        for start in range(0, self._count, self._size):
            for index, values in self._fed:
                if index in taken:
                    interpreter.set_tensor(index, values[start : start + self._size])
            interpreter.invoke()
            yield interpreter.get_tensor(place)


def _cut(file: bytes, place: int) -> bytes:
    """The file up to one tensor, which it answers with: what comes behind need not be computed."""
    model = float_file.parsed(file)
    graph = model.subgraphs[0]
    needed, kept = {place}, []
    for operator in reversed(graph.operators):
        if needed & {int(output) for output in operator.outputs}:
            needed |= {int(source) for source in operator.inputs if source >= 0}
            kept.append(operator)
    graph.operators, graph.outputs, model.signatureDefs = kept[::-1], [place], None
    graph.inputs = [source for source in graph.inputs if int(source) in needed]
    return float_file.serialized(model)


def _windows(inputs: np.ndarray, size: tuple[int, int], options: Strided) -> np.ndarray:
    """What a convolution sees at each of its places: ``(examples, rows, columns, channels, *size)``."""
    strides = options.strideH, options.strideW
    dilations = options.dilationHFactor, options.dilationWFactor
    reach = [(one - 1) * dilation + 1 for one, dilation in zip(size, dilations, strict=True)]
    if options.padding == schema.Padding.SAME:
        lacking = [
            max((-(-length // stride) - 1) * stride + far - length, 0)
            for length, stride, far in zip(inputs.shape[1:3], strides, reach, strict=True)
        ]
        inputs = np.pad(inputs, ((0, 0), *((short // 2, short - short // 2) for short in lacking), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(inputs, reach, (1, 2))
    return windows[:, :: strides[0], :: strides[1], :, :: dilations[0], :: dilations[1]]


def _write(model: schema.ModelT, place: int, values: np.ndarray) -> None:
    four_bits.write(model, model.subgraphs[0].tensors[place], values)


def _constant(model: schema.ModelT, place: int) -> np.ndarray | None:
    """The numbers of a float32 tensor that the file holds."""
    tensor = model.subgraphs[0].tensors[place]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data):
        return None
    return np.frombuffer(bytes(data), "<f4").reshape(tensor.shape)


def _written(model: schema.ModelT, operator: schema.OperatorT) -> bytes:
    """The name of what an operator writes."""
    return model.subgraphs[0].tensors[operator.outputs[0]].name or b""
