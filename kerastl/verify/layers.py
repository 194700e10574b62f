"""A quantized file against the float file it was made from, layer by layer, on real examples.

Scores hide a layer whose range was set by the wrong pictures as long as the network makes up for it; a phone's own
pictures then find it. The layer's own numbers do not hide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from kerastl.types import Inputs, LayerError
from kerastl.verify import predictions
from kerastl.verify.answers import count_of

# What only carries numbers from one layer to the next, and what the interpreter puts in by itself.
_CARRIERS = ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "DELEGATE")


def layer_errors(
    quantized: Path | bytes,
    reference: Path | bytes,
    *,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    kind: Inputs | None = None,
) -> list[LayerError]:
    """One row a layer, in the order of the file.

    Args:
        quantized: a TFLite file made from ``reference`` by post-training quantization.
        reference: the float file.
        inputs: raw examples as `predictions.predict_tflite` takes them; a hundred say enough.
        kind: what they are, as there.

    Raises:
        ValueError: if the two files do not have the same layers, or take other inputs.
    """
    one, other = _Layers(quantized, kind), _Layers(reference, kind)
    count = count_of(inputs)
    if one.layers != other.layers or not count:
        raise ValueError(
            f"Wanted two files of the same layers, and examples. Received: {', '.join(one.layers)} and "
            f"{', '.join(other.layers)}, and {count} examples."
        )
    squares, wrong, outside, numbers = np.zeros((4, len(other.layers)))
    for place in range(count):
        example = _example(inputs, place)
        for index, (got, wanted) in enumerate(zip(one.run(example), other.run(example), strict=True)):
            least, most = one.ranges[index]
            squares[index] += np.square(wanted).sum()
            wrong[index] += np.square(got - wanted).sum()
            outside[index] += ((wanted < least) | (wanted > most)).sum()
            numbers[index] += wanted.size
    errors, clipped = np.sqrt(wrong / np.maximum(squares, 1e-12)), outside / numbers
    return [LayerError(layer, float(e), float(c)) for layer, e, c in zip(other.layers, errors, clipped, strict=True)]


def _example(inputs: np.ndarray | Mapping[str, np.ndarray], place: int) -> np.ndarray | dict[str, np.ndarray]:
    """A batch of one."""
    if isinstance(inputs, Mapping):
        return {name: part[place : place + 1] for name, part in inputs.items()}
    return np.asarray(inputs[place : place + 1])


class _Layers:
    """A file whose layers can be looked at: plain kernels, for a delegate keeps what lies between them to itself."""

    def __init__(self, file: Path | bytes, kind: Inputs | None) -> None:
        name = "the file" if isinstance(file, bytes) else str(file)
        self._interpreter = Interpreter(
            model_content=predictions.bytes_of(file),
            num_threads=1,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._kind, self._name, self._sources = kind, name, self._interpreter.get_input_details()
        tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_tensor_details()}
        operators = self._interpreter._get_ops_details()  # there is no public list of them
        ends = [(row["op_name"], tensors[row["outputs"][0]]) for row in operators if row["op_name"] not in _CARRIERS]
        self._ends = [tensor for _, tensor in ends]
        self.layers = [
            f"{place}. {operator} {[int(size) for size in tensor['shape'][1:]]}"
            for place, (operator, tensor) in enumerate(ends, 1)
        ]
        self.ranges = [_range(tensor) for tensor in self._ends]

    def run(self, example: np.ndarray | Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """Every layer's numbers for one example, as they are meant: dequantized."""
        for place, values in predictions.feed(self._sources, example, self._kind, self._name):
            self._interpreter.set_tensor(place, values)
        self._interpreter.invoke()
        return [_meant(self._interpreter.get_tensor(tensor["index"]), tensor) for tensor in self._ends]


def _meant(values: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    scale, zero_point = tensor["quantization"]
    values = values.astype(np.float64)
    return (values - zero_point) * scale if scale else values


def _range(tensor: dict[str, Any]) -> tuple[float, float]:
    scale, zero_point = tensor["quantization"]
    if not scale:
        return -np.inf, np.inf
    limits = np.iinfo(tensor["dtype"])
    # a step beyond the ends is what rounding costs anywhere: a softmax's range of 0 to 255/256 is meant to hold 1
    return (limits.min - zero_point - 1) * scale * (1 + 1e-6), (limits.max - zero_point + 1) * scale * (1 + 1e-6)
