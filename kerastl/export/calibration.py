"""Full-integer files: the examples that show each activation's range, and no operator that stays float."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from kerastl.export import packing, serving
from kerastl.export.keras_graph import KerasModel
from kerastl.types import Task


def input_range(task: Task | None) -> tuple[float, int] | None:
    """Scale and zero point that an integer file's input has to have, ``None`` where they are measured."""
    return None if task is None else task.inputs.calibration_range()


def checked(
    model: KerasModel, task: Task | None, calibration: np.ndarray | Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Calibration examples for each of the model's inputs by its name, checked.

    Raises:
        ValueError: if an input has none, or they are of another shape, not finite, or out of the task's range.
    """
    specs, _ = serving.ends_of(model, task)
    names = [str(spec.name) for spec in specs]
    given = calibration if isinstance(calibration, Mapping) else {names[0]: calibration}
    if sorted(given) != sorted(names):
        raise ValueError(
            f"Calibration wants examples for each of {', '.join(names)}. Received: {', '.join(map(str, given))}."
        )
    found = {}
    for name, spec in zip(names, specs, strict=True):
        values, shape = np.asarray(given[name]), tuple(spec.shape)[1:]
        if values.shape[1:] != shape or not len(values):
            raise ValueError(
                f"Calibration wants raw inputs (examples, {', '.join(map(str, shape))}). Received: {values.shape} for "
                f"{name!r}."
            )
        if not np.isfinite(values).all():
            raise ValueError(f"Calibration wants finite numbers. Received: others for {name!r}.")
        found[name] = values.astype(spec.dtype.name)
    if len({len(values) for values in found.values()}) > 1:
        counts = ", ".join(f"{len(values)} for {name!r}" for name, values in found.items())
        raise ValueError(f"Calibration wants as many examples for every input. Received: {counts}.")
    known = input_range(task)
    if task is not None and known is not None:
        found[names[0]] = _over_the_range(found[names[0]], known, kind=task.inputs.kind)
    return found


def _over_the_range(values: np.ndarray, known: tuple[float, int], *, kind: str) -> np.ndarray:
    """Calibration examples, the first of which shows both ends of the range: the input's scale must come out exactly.

    Raises:
        ValueError: if values lie outside of the range, or all within one step of it.
    """
    (step, zero), low, high = known, float(values.min()), float(values.max())
    least, most = (0 - zero) * step, (255 - zero) * step
    if not (low >= least and step < high <= most):
        raise ValueError(
            f"Calibration wants raw {kind} inputs {least:g}..{most:g}, not all zero and not scaled: the ranges of "
            f"every activation are set by it. Received: values from {low} to {high}."
        )
    values = values.copy()
    values[0].flat[0], values[0].flat[-1] = least, most
    return values


def one_by_one(
    task: Task | None, examples: Mapping[str, np.ndarray] | None, scale: float
) -> Callable[[], Iterator[object]] | None:
    """What the converter measures ranges on: a tensor for each of the file's inputs, example by example."""
    if examples is None:
        return None

    def rows() -> Iterator[object]:
        for row in range(len(next(iter(examples.values())))):
            values = {name: array[row : row + 1] for name, array in examples.items()}
            fed = values if task is None else task.inputs.fed(next(iter(values.values())))
            if len(fed) == 1:
                own = np.asarray(next(iter(fed.values())))
                yield [own if scale == 1.0 else (own * scale).astype(own.dtype)]
            else:
                yield fed

    return rows


def refuse_loops(model: KerasModel, graph: tf.Graph) -> None:
    """Raises `ValueError` for a graph with a loop, as LSTM and GRU layers make it: TensorFlow's calibrator ends the
    process where it meets one, without a word.
    """
    held = graph.as_graph_def()
    every = [held.node, *(function.node_def for function in held.library.function)]
    loops = [node.name for nodes in every for node in nodes if node.op in ("While", "StatelessWhile")]
    if loops:
        raise ValueError(
            "Integers throughout are for models without loops: what one computes inside cannot be measured, and so "
            f"gets no scale. Received: {model.name!r} with a loop in {loops[0]}, as LSTM and GRU layers make it. Build "
            "these with unroll=True, which is no loop; or take compress.ptq.dynamic_int8, which keeps activations "
            "float."
        )


_COARSE = 1e3  # no softmax tells scores apart that lie in steps of a thousand
_CODES = schema.BuiltinOperator


def refuse_lost_scores(model: KerasModel, data: bytes) -> None:
    """Raises `ValueError` for a masked softmax whose scores are all in one step: the number that masks, -1e9 or less,
    has set their scale, and the attention would be uniform without a word.
    """
    parsed = packing.unpack(data)
    masks = (_CODES.SELECT, _CODES.SELECT_V2, _CODES.ADD, _CODES.SUB)
    for graph in parsed.subgraphs:
        masked = {int(one.outputs[0]) for one in graph.operators if packing.code_of(parsed, one) in masks}
        for operator in graph.operators:
            if packing.code_of(parsed, operator) != _CODES.SOFTMAX or operator.inputs[0] not in masked:
                continue
            (step,) = graph.tensors[operator.inputs[0]].quantization.scale
            if step > _COARSE:
                raise ValueError(
                    f"Wanted scores that integers tell apart. Received: {model.name!r}, in which a mask of very large "
                    f"numbers leaves 8 bits steps of {step:.2g} for what a softmax reads. compress.ptq.static_int8 "
                    "makes integers of its float file, and bounds masks."
                )


def refuse_floats(model: KerasModel, data: bytes) -> None:
    """Raises `ValueError` for an operator that still computes with float numbers, naming it and its layer, and for a
    float input that is handed on as it came.
    """
    parsed = packing.unpack(data)
    main = parsed.subgraphs[0]
    handed_on = [
        entry.name.decode()
        for entry in parsed.signatureDefs[0].inputs
        if entry.tensorIndex in main.outputs and main.tensors[entry.tensorIndex].type == schema.TensorType.FLOAT32
    ]
    if handed_on:
        raise ValueError(
            f"Wanted integers throughout. Received: {model.name!r}, which hands on its input {handed_on[0]} as it "
            "came: no operator reads it, and so nothing gives it a scale. Leave that output out of the model."
        )
    codes = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    found = []
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            ends = [graph.tensors[index] for index in [*operator.inputs, *operator.outputs] if index >= 0]
            if any(tensor.type == schema.TensorType.FLOAT32 for tensor in ends):
                place = graph.tensors[operator.outputs[0]].name.decode().split(";")[0]
                found.append(f"{codes[packing.code_of(parsed, operator)]} ({place})")
    if found:
        raise ValueError(
            "Wanted integers throughout. Received: operators that stay float, "
            f"{', '.join(found[:5])}{' ...' if len(found) > 5 else ''} in {model.name!r}. Ranges come from "
            "calibration, or from quantization-aware training of every layer; compress.ptq.dynamic_int8 keeps "
            "activations float."
        )
