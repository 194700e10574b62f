"""Static quantization: a float32 TFLite file as one that computes in integers throughout, and every reason not to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer import algorithm_manager, qtyping, quantizer

from kerastl.compress import attention_masks, calibration_runs, float_file, quantizer_output
from kerastl.types import Inputs

_ALL = qtyping.TFLOperationName.ALL_SUPPORTED
_ENDLESS = 1e6  # a padding that stands for "never the largest", and no pixel or feature
_SHOWN = 10  # operators that an error names
_BYTES = qtyping.OpQuantizationConfig(
    activation_tensor_config=qtyping.TensorQuantizationConfig(
        num_bits=8, symmetric=False, dtype=qtyping.TensorDataType.UINT
    ),
    weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8),
    compute_precision=qtyping.ComputePrecision.INTEGER,
)


def quantized(
    model: bytes,
    calibration: float_file.Examples,
    *,
    inputs: Inputs,
    bits: int,
    granularity: qtyping.QuantGranularity,
    keep_float: Sequence[str] = (),
    weight_only: Sequence[str] = (),
) -> bytes:
    """The integer file of a float32 file, as `ptq.static_int8` and `ptq.static_int16_activations` describe it.

    Args:
        model, calibration, inputs, keep_float, weight_only: as there.
        bits: of activations, 8 or 16.
        granularity: of the kernels' scales.

    Raises:
        ValueError: as there.
    """
    model = float_file.named(model)
    work = float_file.opened(model)  # refuses what is quantized already
    _refuse_ids(model)
    _refuse_loops(model)
    _refuse_endless_padding(model)
    if bits == 8:
        _refuse_outputs_that_are_read(model)
    sources = float_file.calibrated(model, calibration, inputs=inputs)
    left = float_file.left_float(model, [*keep_float, *weight_only])
    bounded = attention_masks.bounded(model, sources, left=left)
    if bounded is not model:
        model, work = bounded, float_file.opened(bounded)
    of_bytes = inputs.calibration_range() is not None
    work.add_static_config(".*", _ALL, activation_num_bits=bits, weight_num_bits=8, weight_granularity=granularity)
    ends = qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT
    if weight_only:  # what begins in float is fed with float numbers: 8 bits of a sound are none
        for end in ends:
            work.update_quantization_recipe(".*", end, algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    else:
        for end in ends if bits == 8 else ends[: int(of_bytes)]:
            work.update_quantization_recipe(".*", end, op_config=_BYTES)
    leave_float(work, model, keep_float=keep_float, weight_only=weight_only)
    statistics = _first_ranges(model, work, sources)
    _widen(statistics, model, sources)
    attention_masks.refuse_lost_scores(model, statistics, left=left)
    # Whatever the calibration pictures hold, a camera gives every byte: 256 levels, one a byte.
    for source in sources:
        ends_of_range = [np.full((1,) * len(source.shape), end) for end in source.range or ()]
        statistics[source.tensor] = dict(zip(("min", "max"), ends_of_range, strict=True))
    # Two readers of what is left float have a scale each, and the quantizer one name for both.
    result = float_file.named(_with_unread_outputs(float_file.quantized(work, statistics)))
    _refuse_float_activations(result, model, left=left)
    return _keep_names(_keep_constants(result, model), model)


def leave_float(
    work: quantizer.Quantizer, model: bytes, *, keep_float: Sequence[str], weight_only: Sequence[str]
) -> None:
    """Has operators compute in float32, with their own kernels or with such as are stored in 8 bits.

    Args:
        work: the quantizer, whose other configurations are added already.
        model: the float32 file that it has.
        keep_float, weight_only: names, as in `ptq.static_int8`.
    """
    stored, none = float_file.left_float(model, weight_only), algorithm_manager.AlgorithmName.NO_QUANTIZE
    kernels = {one.name: one for one in float_file.operators(model) if one.name in stored}
    for name, pattern in (float_file.left_float(model, keep_float) | stored).items():
        if name in kernels:
            kind = qtyping.TFLOperationName(kernels[name].kind)
            work.add_weight_only_config(kernels[name].pattern, kind, num_bits=8)
        else:
            work.update_quantization_recipe(pattern, _ALL, algorithm_key=none)


def _first_ranges(model: bytes, work: quantizer.Quantizer, sources: Sequence[float_file.Source]) -> dict:
    """The quantizer's own statistics of the first example: which tensors it wants a range of.

    It reads every tensor, and the delegate does not write those that nothing reads, as the forget gate of the first
    step of an unrolled LSTM: here they are outputs.
    """
    held = float_file.parsed(model)
    graph = held.subgraphs[0]
    read = {int(place) for operator in graph.operators for place in operator.inputs}
    written = [int(place) for operator in graph.operators for place in operator.outputs]
    unread = [place for place in written if place not in read and place not in graph.outputs]
    if unread:
        graph.outputs = [*graph.outputs, *unread]
        measured = quantizer.Quantizer(float_file.serialized(held))
        measured.load_quantization_recipe(work.get_quantization_recipe())
        work = measured
    signature = next(iter(Interpreter(model_content=model).get_signature_list()), None)
    first = {source.name: source.values[: source.shape[0]] for source in sources}
    with quantizer_output.silenced():
        return work.calibrate({signature: [first]}, num_threads=1)


def _with_unread_outputs(quantized: bytes) -> bytes:
    """Outputs that nothing reads get the type and scale of their operator's others: the quantizer leaves them float."""
    held = float_file.parsed(quantized)
    changed = False
    for graph in held.subgraphs:
        read = {int(place) for operator in graph.operators for place in operator.inputs} | set(map(int, graph.outputs))
        for operator in graph.operators:
            outputs = [int(place) for place in operator.outputs]
            others = [graph.tensors[place] for place in outputs if place in read]
            for place in outputs:
                tensor = graph.tensors[place]
                scaled = (
                    bool(others) and others[0].quantization is not None and others[0].quantization.scale is not None
                )
                if place not in read and scaled and tensor.type != others[0].type:
                    tensor.type, tensor.quantization = others[0].type, others[0].quantization
                    changed = True
    return float_file.serialized(held) if changed else quantized


def _refuse_outputs_that_are_read(model: bytes) -> None:
    """Raises `ValueError` where an output is also what another operator reads, or stands for two outputs.

    The quantizer makes bytes of the output itself, and who reads it takes them for its own integers: answers were off
    by standard deviations, without a word.
    """
    graph = float_file.read(model).subgraphs[0]
    outputs = [int(place) for place in graph.outputs]
    read = {int(place) for operator in graph.operators for place in operator.inputs}
    shared = sorted({place for place in outputs if place in read or outputs.count(place) > 1})
    if shared:
        names = ", ".join(graph.tensors[place].name.decode() for place in shared)
        raise ValueError(
            f"Integers throughout need outputs that nothing else in the file reads. Received: {names}, which the model "
            "computes with as well; compress.ptq.dynamic_int8 takes such a model, or leave that output out."
        )


def _widen(statistics: dict, model: bytes, sources: Sequence[float_file.Source]) -> None:
    """Ranges that hold every number of every calibration picture, in place of those of the first one.

    The quantizer's own calibration is a moving average over pictures: it remembers the last few dozen, and cuts off a
    tenth of the logits even then.
    """
    measured = {name: found for name, found in statistics.items() if "min" in found}
    places: dict[str, int] = {}
    for interpreter in calibration_runs.each(model, sources):
        places = places or {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
        for name, found in measured.items():
            values = interpreter.get_tensor(places[name])
            found["min"] = np.minimum(found["min"], values.min())
            found["max"] = np.maximum(found["max"], values.max())


def _keep_names(quantized: bytes, model: bytes) -> bytes:
    """Gives several outputs the names of the float file's back: the quantizer calls what it makes bytes of anew.

    A file's one output is found without its name.
    """
    result, floats = float_file.parsed(quantized), float_file.read(model)
    ends, meant = result.subgraphs[0], floats.subgraphs[0]
    names = [meant.tensors[place].name for place in meant.outputs]
    if len(names) < 2 or [ends.tensors[place].name for place in ends.outputs] == names:
        return quantized
    for tensor in ends.tensors:
        if tensor.name in names:
            tensor.name += b"_inner"
    for place, name in zip(ends.outputs, names, strict=True):
        ends.tensors[place].name = name
    return float_file.serialized(result)


def _keep_constants(quantized: bytes, model: bytes) -> bytes:
    """Gives channels that answer a constant their constant back: in nets trained long, weight decay leaves such.

    A bias is stored in steps of the input's scale times its kernel's. Where the kernel is all but zero, the bias takes
    more steps than 32 bits count, and comes out as nothing. There the kernel becomes zero, with a scale that serves the
    bias: what the kernel adds is less than a ten-thousandth of it.
    """
    result, floats = float_file.parsed(quantized), float_file.read(model)
    changed = False
    for (axis, source, kernel, bias), (_, _, _, meant) in zip(_kernels(result), _kernels(floats), strict=True):
        wanted = np.frombuffer(floats.buffers[meant.buffer].data, "<f4").astype("float64")
        if bias.type not in _INTEGERS:
            continue  # an operator that is left float
        integers = np.frombuffer(result.buffers[bias.buffer].data, _INTEGERS[bias.type]).copy()
        steps = np.array(bias.quantization.scale, "float64")
        lost = np.abs(integers * steps - wanted) > np.maximum(steps, 1e-3 * np.abs(wanted))
        if not lost.any():
            continue
        changed = True
        scales = np.array(np.broadcast_to(kernel.quantization.scale, lost.shape), "float32")
        scales[lost] = np.abs(wanted[lost]) / (float(source.quantization.scale[0]) * 2**20)
        steps = (np.float64(source.quantization.scale[0]) * scales).astype("float32")
        integers[lost] = np.rint(wanted[lost] / steps[lost])
        weights = np.frombuffer(result.buffers[kernel.buffer].data, "int8").reshape(kernel.shape).copy()
        np.moveaxis(weights, axis, 0)[lost] = 0
        kernel.quantization.scale, bias.quantization.scale = scales, steps
        for tensor, dimension in ((kernel, axis), (bias, 0)):
            tensor.quantization.zeroPoint = np.zeros(len(scales), "int64")
            tensor.quantization.quantizedDimension = dimension
        result.buffers[kernel.buffer].data = np.frombuffer(weights.tobytes(), "uint8")
        result.buffers[bias.buffer].data = np.frombuffer(integers.tobytes(), "uint8")
    return float_file.serialized(result) if changed else quantized


_INTEGERS = {schema.TensorType.INT32: "<i4", schema.TensorType.INT64: "<i8"}
_CHANNELS = {  # the axis of a kernel that its scales lie along
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}


def _kernels(model: schema.ModelT) -> Iterator[tuple[int, Any, Any, Any]]:
    """The axis of channels, and the tensors of input, kernel and bias, of every operator that has the three."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        kind = float_file.builtin_code(model, operator)
        if kind in _CHANNELS and len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            source, kernel, bias = (graph.tensors[place] for place in operator.inputs[:3])
            yield _CHANNELS[kind], source, kernel, bias


def _refuse_ids(model: bytes) -> None:
    sources = float_file.sources(model)
    whole = [name for name, detail in sources.items() if np.issubdtype(detail["dtype"], np.integer)]
    if whole:
        raise ValueError(
            "Integers throughout are for files that take pictures, or other numbers. Received: one that takes "
            f"{sources[whole[0]]['dtype'].__name__} {', '.join(whole)}: a text's file keeps float activations, see "
            "dynamic_int8."
        )


def _refuse_loops(model: bytes) -> None:
    """What a loop holds is nowhere to be measured while the file runs."""
    loops = len(float_file.read(model).subgraphs) - 1
    if loops:
        raise ValueError(
            "Integers throughout are for files without loops: what one computes inside cannot be measured, and so gets "
            f"no scale. Received: a file of {loops + 1} graphs, as LSTM and GRU layers make it. Build them with "
            "unroll=True, which is no loop; or take dynamic_int8, which keeps activations float."
        )


def _refuse_endless_padding(model: bytes) -> None:
    """The quantizer would end the process where the scale of such a number is infinite; one of a large number leaves
    zeros of all others.
    """
    parsed = float_file.read(model)
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            if flatbuffer_utils.opcode_to_name(parsed, operator.opcodeIndex) != "PADV2":
                continue
            held = parsed.buffers[graph.tensors[operator.inputs[2]].buffer].data
            value = np.frombuffer(bytes(held), "<f4")[0] if held is not None else 0.0
            if not abs(value) < _ENDLESS:
                raise ValueError(
                    "Static quantization needs paddings that 8 bits can hold. Received: the operator PADV2 of "
                    f"{graph.tensors[operator.outputs[0]].name.decode()!r}, which pads with {value:g}. Files of "
                    "export.tflite.convert go on with the edge there, where the maxima of a MAX_POOL_2D are the same."
                )


def _refuse_float_activations(quantized: bytes, model: bytes, *, left: Collection[str]) -> None:
    """Raises `ValueError` for float operators but those that are left so, and what brings numbers there and back."""
    parsed = float_file.parsed(quantized)
    floats = []
    for graph in parsed.subgraphs:
        is_float = [tensor.type == schema.TensorType.FLOAT32 for tensor in graph.tensors]
        for operator in graph.operators:
            kind = flatbuffer_utils.opcode_to_name(parsed, operator.opcodeIndex)
            name = graph.tensors[operator.outputs[0]].name.decode()
            ends = [*operator.outputs, *(place for place in operator.inputs if place >= 0)]  # a comparison reads floats
            if kind not in ("QUANTIZE", "DEQUANTIZE") and name not in left and any(is_float[place] for place in ends):
                floats.append((name, kind))
    if floats:
        kinds, labels = sorted({kind for _, kind in floats}), float_file.labels_of(float_file.parsed(model))
        places = [float_file.shown(name, labels.get(name)) for name, _ in floats[:_SHOWN]]
        raise ValueError(
            "Static quantization needs operators with an integer version, and a fixed batch axis (a free one makes "
            f"shape arithmetic of Flatten). Received: a model of which {', '.join(kinds)} would stay float, at "
            f"{', '.join(places)}{' ...' if len(floats) > _SHOWN else ''}. keep_float with these names leaves them so "
            "in a file that is integer else; dynamic_int8 keeps all activations float."
        )
