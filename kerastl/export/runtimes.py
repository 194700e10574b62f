"""The oldest runtimes that a file is right in, as a person asks for them: LiteRT for Python and Android, a pod for iOS.

What a file's operators need is its ``min_runtime_version`` (see `operator_versions`). What no version of an operator
can say was measured, in environments of their own (`benchmarks/export/older_runtimes.py`):

- convolutions of 4-bit weights destroy the memory of LiteRT 1.0.1, and are right since 1.1.2;
- LiteRT 1.1.2 to 1.3.0 refuse a depthwise convolution of float16 weights, which 1.0.1 takes, and 1.4.0 again.
"""

from __future__ import annotations

from collections.abc import Iterator

from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ModelT

from kerastl.export import operator_versions
from kerastl.types import Runtime

LITERT = ((2, 21, "2.1.0"), (2, 20, "2.0.2"), (0, 0, "1.0.1"))
"""TensorFlow's version of a runtime, from which on it is which LiteRT: tried in environments of their own."""
INT4_CONVOLUTIONS, FLOAT16_DEPTHWISE = "1.1.2", "1.4.0"
"""The LiteRT from which on all are right with such weights."""
ANDROID, ANDROID_2 = "1.4.2", "2.1.0"
"""The last LiteRT for Android of the first generation, for API 21 (1.4.0 was for 26), and the first of the second that
has an Interpreter, for API 23 (https://ai.google.dev/edge/litert/android, looked up on 2026-12-01)."""
POD = "2.17.0"
"""The last TensorFlowLiteSwift, which is LiteRT 1.0.1 by another name."""


def needed(model: ModelT) -> Runtime:
    """The oldest runtimes in which a file is right, and stays so in all that are newer."""
    tensorflow = operator_versions.minimum_runtime(model)
    major, minor, _ = map(int, tensorflow.split("."))
    known = next(name for first, second, name in LITERT if (major, minor) >= (first, second))
    kinds = set(_weights(model))
    also = [INT4_CONVOLUTIONS] if {("CONV_2D", "INT4"), ("DEPTHWISE_CONV_2D", "INT4")} & kinds else []
    pod = POD if known == LITERT[-1][-1] and not also else ""
    also += [FLOAT16_DEPTHWISE] if ("DEPTHWISE_CONV_2D", "FLOAT16") in kinds else []
    litert = max(known, *also, key=_numbers) if also else known
    android = max(litert, ANDROID if _numbers(litert) <= _numbers(ANDROID) else ANDROID_2, key=_numbers)
    return Runtime(tensorflow=tensorflow, litert=litert, android=android, pod=pod)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _weights(model: ModelT) -> Iterator[tuple[str, str]]:
    """Each operator with the type of its weights, as they are stored: float16 ones are made float32 by another one."""
    types = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}
    for graph in model.subgraphs:
        stored = {index: tensor.type for index, tensor in enumerate(graph.tensors)}
        for operator in graph.operators:
            name = operator_versions.name_of(model.operatorCodes[operator.opcodeIndex])
            if name == "DEQUANTIZE":
                stored[operator.outputs[0]] = stored[operator.inputs[0]]
            elif operator.inputs is not None and len(operator.inputs) > 1:
                yield name, types.get(stored.get(operator.inputs[1], -1), "")
