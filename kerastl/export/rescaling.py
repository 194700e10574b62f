"""Scaled pixels without an operator: a scale-only ``Rescaling`` at the head of a model is multiplied into its kernels.

A float file's kernels take the factor over, an integer file's scales do. With no offset that holds under zero padding
as well.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from kerastl.export import keras_graph, packing
from kerastl.export.keras_graph import KerasModel

# Operators that multiply their first input with their second and so can take over a factor.
_ABSORBING = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)


def behind_rescaling(model: KerasModel) -> tuple[float | None, KerasModel]:
    """The factor of a scale-only Rescaling that alone reads the input, and the rest of the model behind it."""
    graph = keras_graph.class_of_models(model)(model.inputs, model.outputs)  # a Sequential shows none of its own
    nodes = [node for some in graph._nodes_by_depth.values() for node in some]
    value, kind = model.inputs[0], "QuantizeLayer"
    while kind == "QuantizeLayer":  # which TF-MOT puts behind the input
        readers = [node for node in nodes if any(one._keras_history == value._keras_history for one in _read_by(node))]
        if len(readers) != 1:
            return None, model
        (node,) = readers
        layer = node.operation if hasattr(node, "operation") else node.layer
        inner = getattr(layer, "layer", layer)  # TF-MOT wraps each layer it quantizes
        kind, value = type(inner).__name__, tf.nest.flatten(node.outputs)[0]
    if kind != "Rescaling" or np.ndim(inner.scale) or np.ndim(inner.offset) or float(inner.offset) != 0.0:
        return None, model
    return float(inner.scale), keras_graph.class_of_models(model)(value, model.outputs[0])


def _read_by(node: Any) -> list[Any]:
    """The symbolic tensors that a node of a graph takes, in whatever argument; of an input there is none."""
    return node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors


def absorb(data: bytes, *, scale: float) -> bytes | None:
    """Makes a file that takes pixels times ``scale`` take raw pixels; ``None`` where it cannot be done exactly.

    A float file's kernels are multiplied by the factor, an integer file's scales are: its integers stay as they are.
    """
    model = packing.unpack(data)
    graph = model.subgraphs[0]
    source = graph.inputs[0]
    renamed = [graph.tensors[source]] if graph.tensors[source].quantization.scale is not None else []
    readers = _readers(graph, source)
    if renamed and [packing.code_of(model, reader) for reader in readers] == [schema.BuiltinOperator.QUANTIZE]:
        source = readers[0].outputs[0]
        renamed.append(graph.tensors[source])
        readers = _readers(graph, source)
    if not readers or not all(packing.code_of(model, r) in _ABSORBING and r.inputs[0] == source for r in readers):
        return None
    kernels = [graph.tensors[reader.inputs[1]] for reader in readers]
    shared = [tensor.buffer for tensor in graph.tensors]
    alone = all(shared.count(kernel.buffer) == 1 for kernel in kernels) and all(
        len(_readers(graph, reader.inputs[1])) == 1 for reader in readers
    )
    constant = all(model.buffers[kernel.buffer].data is not None for kernel in kernels)
    if not (alone and constant and source not in graph.outputs):
        return None
    for tensor in renamed:
        if not np.isclose(float(tensor.quantization.scale[0]), scale, rtol=1e-5) or len(renamed) != 2:
            return None
        tensor.quantization.scale = np.ones(1, np.float32)
    for reader, kernel in zip(readers, kernels, strict=True):
        if not renamed:
            values = model.buffers[kernel.buffer].data.view(np.float32)
            values *= np.float32(scale)
            continue
        kernel.quantization.scale = (np.asarray(kernel.quantization.scale, np.float64) * scale).astype(np.float32)
        if len(reader.inputs) > 2 and reader.inputs[2] >= 0:
            # A bias' scale is the input's times the kernel's, and the input's is 1 now.
            graph.tensors[reader.inputs[2]].quantization.scale = kernel.quantization.scale.copy()
    return packing.pack(model)


def _readers(graph: schema.SubGraphT, index: int) -> list[schema.OperatorT]:
    return [operator for operator in graph.operators if index in operator.inputs]
