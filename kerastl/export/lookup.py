"""Tables of embeddings that can be made small: GATHER becomes EMBEDDING_LOOKUP, the same rows of the same table.

Quantizers know the second operator, with a scale a row, and leave the first one's table in float: of a small text
model that is more than half of all bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ModelT, OperatorT, SubGraphT

from kerastl.export import packing

_CODES, _TYPES = schema.BuiltinOperator, schema.TensorType
Others = Callable[[ModelT, SubGraphT, OperatorT], list[OperatorT] | None]


def as_lookups(data: bytes) -> bytes:
    """A file whose constant float tables are read by EMBEDDING_LOOKUP; answers stay bit for bit the same.

    Args:
        data: bytes of a TFLite file of fixed shapes.

    Returns:
        The changed file, or ``data`` itself where there is no such table.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    return replaced(data, _others)


def replaced(data: bytes, others: Others) -> bytes:
    """A file in which operators are others, or ``data`` itself where none is.

    Args:
        data: bytes of a TFLite file.
        others: what takes the place of an operator, of model, graph and operator; ``None`` where it stays.

    Raises:
        ValueError: if the bytes are not a TFLite file.
    """
    model = packing.unpack(data)
    found = False
    for graph in model.subgraphs:
        operators = []
        for operator in graph.operators:
            instead = others(model, graph, operator)
            found |= instead is not None
            operators += [operator] if instead is None else instead
        graph.operators = operators
    return packing.pack(model) if found else data


def _others(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT] | None:
    return _lookup(model, graph, operator) if _reads_a_table(model, graph, operator) else None


def _reads_a_table(model: ModelT, graph: SubGraphT, operator: OperatorT) -> bool:
    """Whether it is a GATHER of whole rows, by int32 ids, out of a constant float matrix."""
    if packing.code_of(model, operator) != _CODES.GATHER:
        return False
    table, ids = (graph.tensors[index] for index in operator.inputs)
    options = operator.builtinOptions
    rows = options is None or (options.axis == 0 and not options.batchDims)
    constant = model.buffers[table.buffer].data is not None
    return rows and constant and table.type == _TYPES.FLOAT32 and len(table.shape) == 2 and ids.type == _TYPES.INT32


def _lookup(model: ModelT, graph: SubGraphT, operator: OperatorT) -> list[OperatorT]:
    """Ids in a row, their rows of the table, and these in the shape that is wanted."""
    table, ids = (int(index) for index in operator.inputs)
    count, width = int(np.prod(graph.tensors[ids].shape)), int(graph.tensors[table].shape[1])
    row = tensor_of(model, graph, [count], _TYPES.INT32, name=b"ids_in_a_row")
    rows = tensor_of(model, graph, [count, width], _TYPES.FLOAT32, name=b"rows")
    wanted = [int(size) for size in graph.tensors[operator.outputs[0]].shape]
    return [
        _reshape(model, graph, ids, row, [count]),
        operator_of(model, _CODES.EMBEDDING_LOOKUP, [row, table], rows),
        _reshape(model, graph, rows, int(operator.outputs[0]), wanted),
    ]


def copied(model: ModelT, graph: SubGraphT, source: int) -> int:
    """The index of a new tensor of a graph that an operator, also new, gives the values of another."""
    old = graph.tensors[source]
    shape = [int(size) for size in old.shape]
    target = tensor_of(model, graph, shape, old.type, name=b"copy")
    graph.tensors[target].quantization = old.quantization
    graph.operators.append(_reshape(model, graph, source, target, shape))
    return target


def _reshape(model: ModelT, graph: SubGraphT, source: int, target: int, shape: list[int]) -> OperatorT:
    sizes = tensor_of(model, graph, [len(shape)], _TYPES.INT32, name=b"shape", values=np.asarray(shape, np.int32))
    operator = operator_of(model, _CODES.RESHAPE, [source, sizes], target)
    operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    operator.builtinOptions = schema.ReshapeOptionsT()
    operator.builtinOptions.newShape = shape
    return operator


def operator_of(model: ModelT, code: int, inputs: list[int], output: int) -> OperatorT:
    """A new operator of a parsed model, which is not in its graph yet."""
    known = [max(one.builtinCode, one.deprecatedBuiltinCode) for one in model.operatorCodes]
    if code not in known:
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = code
        entry.version = 1
        model.operatorCodes.append(entry)
        known.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = known.index(code), inputs, [output]
    return operator


def tensor_of(
    model: ModelT, graph: SubGraphT, shape: list[int], kind: int, *, name: bytes, values: np.ndarray | None = None
) -> int:
    """The index of a new tensor of a graph, constant if it has values."""
    tensor = schema.TensorT()
    tensor.shape, tensor.type, tensor.buffer = shape, kind, 0
    tensor.name = name + f"_{len(graph.tensors)}".encode()
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = values.view(np.uint8)
        tensor.buffer = len(model.buffers)
        model.buffers.append(buffer)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
