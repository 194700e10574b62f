"""What the tests of exported files look at: answers of an independent runner, operators, a task that fits."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from kerastl.export import packing
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task


def answers(data: bytes, inputs: np.ndarray) -> np.ndarray:
    """An independent runner: one example at a time, dequantized by hand."""
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for example in inputs:
        interpreter.set_tensor(source["index"], example[None].astype(source["dtype"]))
        interpreter.invoke()
        row = interpreter.get_tensor(target["index"])[0].astype(np.float64)
        scale, zero = target["quantization"]
        rows.append((row - zero) * scale if scale else row)
    return np.array(rows)


def operators(data: bytes) -> list[str]:
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    model = packing.unpack(data)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [names[codes[operator.opcodeIndex]] for operator in model.subgraphs[0].operators]


def task_of(model) -> Task:
    """The classification of pictures that a model's shapes fit."""
    names = tuple(map(str, range(model.outputs[0].shape[-1])))
    return Task("toy", Image(tuple(model.inputs[0].shape[1:])), SingleLabel(names))
