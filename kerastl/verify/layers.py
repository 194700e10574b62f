"""A quantized file against the float file it was made from, layer by layer, on real examples.

Scores hide a layer whose range was set by the wrong pictures as long as the network makes up for it; a phone's own
pictures then find it. The layer's own numbers do not hide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from kerastl.system import layer_labels
from kerastl.types import Inputs, LayerError
from kerastl.verify import predictions
from kerastl.verify.answers import count_of


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
    """A file whose layers can be looked at, computed as on a phone.

    A delegate keeps what lies between layers to itself, so that here every layer's numbers are an output of the file;
    LiteRT's plain kernels would show them as well, but some compute another network (4-bit kernels in blocks).
    """

    def __init__(self, file: Path | bytes, kind: Inputs | None) -> None:
        self._kind, self._name = kind, "the file" if isinstance(file, bytes) else str(file)
        model = flatbuffer_utils.read_model_from_bytearray(bytearray(predictions.bytes_of(file)))
        graph = model.subgraphs[0]
        names = [flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in graph.operators]
        places = [int(operator.outputs[0]) for operator in graph.operators]
        labels = layer_labels.labels(
            (name, graph.tensors[place].shape) for name, place in zip(names, places, strict=True)
        )
        ends = {place: label for place, label in zip(places, labels, strict=True) if label is not None}
        graph.outputs, model.signatureDefs = list(ends), None
        self.layers = list(ends.values())
        content = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
        self._interpreter = Interpreter(model_content=content, num_threads=1)
        self._interpreter.allocate_tensors()
        self._sources = self._interpreter.get_input_details()
        tensors = {tensor["index"]: tensor for tensor in self._interpreter.get_output_details()}
        self._ends = [tensors[place] for place in ends]
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
