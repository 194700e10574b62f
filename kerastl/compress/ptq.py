"""Post-training quantization of a float TFLite file with litert-quantizer: bytes in, bytes out.

Every function takes a float32 file as the converter wrote it. Quantizing a file that is quantized already would stack
one error on another without a word, so it is refused. `quantize` knows them by litert-quantizer's own names, which say
how many bits weights (``w``) and activations (``a``) have, integers (``i``) or floats (``f``).
"""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from ai_edge_litert.tools import flatbuffer_utils
from litert_quantizer import algorithm_manager, qtyping

from kerastl.compress import float_file, rounding
from kerastl.types import Inputs

_ALL, _CONV, _DENSE = (
    qtyping.TFLOperationName.ALL_SUPPORTED,
    qtyping.TFLOperationName.CONV_2D,
    qtyping.TFLOperationName.FULLY_CONNECTED,
)
_BLOCKS = {
    int(name.rpartition("_")[2]): each for name, each in qtyping.QuantGranularity.__members__.items() if "_" in name
}
_BYTES = qtyping.OpQuantizationConfig(
    activation_tensor_config=qtyping.TensorQuantizationConfig(
        num_bits=8, symmetric=False, dtype=qtyping.TensorDataType.UINT
    ),
    weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=8),
    compute_precision=qtyping.ComputePrecision.INTEGER,
)


def dynamic_int8(model: bytes, *, per_channel: bool = True) -> bytes:
    """8-bit kernels, a scale a channel; activations stay float32 and are quantized while the file runs.

    Args:
        model: a float32 TFLite file.
        per_channel: as in `static_int8`.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already.
    """
    work = float_file.opened(model)
    work.add_dynamic_config(".*", _ALL, num_bits=8, granularity=_granularity(per_channel))
    return float_file.quantized(work)


def weight_only_int8(model: bytes) -> bytes:
    """8-bit kernels, a scale a channel, that are made float32 before they are computed with: no activation is rounded.

    The size of `dynamic_int8` and nearer to the float file's answers; it computes in float32 and is no faster.

    Args:
        model: a float32 TFLite file.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already.
    """
    work = float_file.opened(model)
    work.add_weight_only_config(".*", _ALL, num_bits=8)
    return float_file.quantized(work)


def int4_weights(
    model: bytes,
    *,
    block_size: int | None = None,
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
    per_channel: bool = True,
) -> bytes:
    """4-bit kernels of convolutions and dense layers, 8-bit depthwise kernels (4 bits have no operator), float32 else.

    Args:
        model: a float32 TFLite file.
        block_size: weights of a row of a dense kernel that share a scale; ``None``: all of them. Smaller blocks are
            nearer to the float file and take more bytes. Convolutions, and dense layers whose rows are no multiple of
            it, have no operator for blocks and keep a scale a channel.
        calibration: some hundred examples, as for `rounding.output_aware_rounding`, by whose answers the integers are
            then chosen, which loses far less. ``None``: the integer that is nearest to each weight.
        inputs: the kind of the examples, as there; wanted where there are some.
        per_channel: ``False`` gives a 4-bit kernel one scale, but not in convolutions of groups: four bytes a channel
            less, and more. With calibration small networks bear it; rounded to the nearest, kernels of differing
            channels do not.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already; if no operator has blocks of that size; if
            ``calibration`` is not what `rounding.output_aware_rounding` takes.
    """
    if block_size is not None and block_size not in _BLOCKS:
        raise ValueError(f"block_size is one of {', '.join(map(str, _BLOCKS))}. Received: {block_size}.")
    float_file.check_kind(calibration, inputs)
    work = float_file.opened(model)
    work.add_dynamic_config(".*", _ALL, num_bits=8)
    for operation in (_CONV, _DENSE):
        work.add_dynamic_config(".*", operation, num_bits=4)
    for operator in float_file.operators(model) if block_size or not per_channel else ():
        if block_size and operator.kind == _DENSE.value and operator.shape[-1] % block_size == 0:
            work.add_dynamic_config(operator.pattern, _DENSE, num_bits=4, granularity=_BLOCKS[block_size])
        elif not per_channel and operator.may_have_one_scale:
            kind = qtyping.TFLOperationName(operator.kind)
            work.add_dynamic_config(operator.pattern, kind, num_bits=4, granularity=_granularity(per_channel=False))
    result = float_file.quantized(work)
    if calibration is None or inputs is None:
        return result
    return rounding.output_aware_rounding(model, result, calibration=calibration, inputs=inputs)


def float16(model: bytes) -> bytes:
    """Kernels stored as float16 and computed with in float32: half the size, and almost the same numbers.

    Args:
        model: a float32 TFLite file.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already.
    """
    work = float_file.opened(model)
    work.add_weight_only_config(".*", _ALL, num_bits=16, algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING)
    return float_file.quantized(work)


def static_int8(model: bytes, *, calibration: float_file.Examples, inputs: Inputs, per_channel: bool = True) -> bytes:
    """Integers throughout: 8-bit kernels with a scale a channel, 8-bit activations, 32-bit biases.

    An input of pictures takes raw bytes: uint8 with scale 1 and zero point 0; one of other numbers is uint8 with the
    scale and zero point of their measured range. Outputs are uint8 as well, for MediaPipe Tasks refuse int8; a
    softmax's has scale 1/256 and zero point 0.

    Args:
        model: a float32 TFLite file whose inputs, one or several, are numbers.
        calibration: ``(examples, *input_shape)`` of any dtype: some hundred, like those on the phone; of pictures
            pixels 0..255, else finite numbers of any range; of several inputs a mapping of their names to such arrays.
        inputs: the kind of the examples, for example ``split.task.inputs``.
        per_channel: ``False`` gives a kernel one scale. Kernels of differing channels lose by it; a clustered kernel
            keeps its few values as a whole, unless a batch norm was folded into it, and not only in every channel.

    Raises:
        ValueError: if ``model`` is no TFLite file, is quantized already, or would keep a float operator; if
            ``calibration`` is empty, of another shape or of other inputs, all zeros or not finite; of pictures, if it
            is not within 0..255 or clearly scaled to 0..1.
    """
    return _static(model, calibration, inputs, bits=8, granularity=_granularity(per_channel))


def static_int16_activations(model: bytes, *, calibration: float_file.Examples, inputs: Inputs) -> bytes:
    """Integers throughout: 8-bit kernels with a scale a channel, 16-bit activations, 64-bit biases.

    For chips without floats on which `static_int8` loses too much. LiteRT's own kernels for it are plain ones: on a
    server's processor a small CNN took a hundred times as long as with 8 bits. The input of pictures takes raw bytes,
    as that of `static_int8`, and that of other numbers int16, as all inputs where some are of other numbers; the
    output is int16 and carries its scale, for no operator makes bytes of it.

    Args:
        model, calibration, inputs: as for `static_int8`.

    Raises:
        ValueError: as `static_int8`.
    """
    return _static(model, calibration, inputs, bits=16, granularity=qtyping.QuantGranularity.CHANNELWISE)


BY_NAME: dict[str, Callable[..., bytes]] = {
    "dynamic_wi8_afp32": dynamic_int8,
    "dynamic_wi4_afp32": int4_weights,
    **{f"dynamic_wi4b{size}_afp32": functools.partial(int4_weights, block_size=size) for size in _BLOCKS},
    "weight_only_wi8_afp32": weight_only_int8,
    "float16": float16,
    "static_wi8_ai8": static_int8,
    "static_wi8_ai16": static_int16_activations,
}
"""litert-quantizer's names of its recipes, and what does the same here."""
_CALIBRATED = ("static_wi8_ai8", "static_wi8_ai16")


def quantize(
    model: bytes, name: str, *, calibration: float_file.Examples | None = None, inputs: Inputs | None = None
) -> bytes:
    """A file quantized as litert-quantizer's recipe of that name says, by the function that is named in `BY_NAME`.

    Args:
        model: a float32 TFLite file.
        name: a key of `BY_NAME`.
        calibration, inputs: for static recipes, as for `static_int8`; others use none, and may be given them.

    Raises:
        ValueError: another name, a static recipe without calibration, or what the function itself refuses.
    """
    if name not in BY_NAME:
        raise ValueError(f"Wanted the name of a recipe. Received: {name!r}. Available: {', '.join(BY_NAME)}.")
    float_file.check_kind(calibration, inputs)
    if name not in _CALIBRATED:
        return BY_NAME[name](model)
    if calibration is None:
        raise ValueError(f"{name} needs calibration examples, some hundred of the training split. Received: none.")
    return BY_NAME[name](model, calibration=calibration, inputs=inputs)


def _static(
    model: bytes,
    calibration: float_file.Examples,
    inputs: Inputs,
    *,
    bits: int,
    granularity: qtyping.QuantGranularity,
) -> bytes:
    work = float_file.opened(model)
    _refuse_ids(model)
    _refuse_loops(model)
    _refuse_endless_padding(model)
    if bits == 8:
        _refuse_outputs_that_are_read(model)
    sources = float_file.calibrated(model, calibration, inputs=inputs)
    of_bytes = inputs.calibration_range() is not None
    work.add_static_config(".*", _ALL, activation_num_bits=bits, weight_num_bits=8, weight_granularity=granularity)
    ends = qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT
    for end in ends if bits == 8 else ends[: int(of_bytes)]:
        work.update_quantization_recipe(".*", end, op_config=_BYTES)
    signature = next(iter(Interpreter(model_content=model).get_signature_list()), None)
    first = {source.name: source.values[: source.shape[0]] for source in sources}
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bar cannot be turned off
        statistics = work.calibrate({signature: [first]}, num_threads=1)
    _widen(statistics, model, sources)
    # Whatever the calibration pictures hold, a camera gives every byte: 256 levels, one a byte.
    for source in sources:
        ends_of_range = [np.full((1,) * len(source.shape), end) for end in source.range or ()]
        statistics[source.tensor] = dict(zip(("min", "max"), ends_of_range, strict=True))
    result = float_file.quantized(work, statistics)
    _refuse_float_activations(result)
    return _keep_names(_keep_constants(result, model), model)


def _refuse_outputs_that_are_read(model: bytes) -> None:
    """Raises `ValueError` where an output is also what another operator reads, or stands for two outputs.

    The quantizer makes bytes of the output itself, and who reads it takes them for its own integers: answers were off
    by standard deviations, without a word.
    """
    graph = float_file.parsed(model).subgraphs[0]
    outputs = [int(place) for place in graph.outputs]
    read = {int(place) for operator in graph.operators for place in operator.inputs}
    shared = sorted({place for place in outputs if place in read or outputs.count(place) > 1})
    if shared:
        names = ", ".join(graph.tensors[place].name.decode() for place in shared)
        raise ValueError(
            f"Integers throughout need outputs that nothing else in the file reads. Received: {names}, which the model "
            "computes with as well; compress.ptq.dynamic_int8 takes such a model, or leave that output out."
        )


def _granularity(per_channel: bool) -> qtyping.QuantGranularity:
    return qtyping.QuantGranularity.CHANNELWISE if per_channel else qtyping.QuantGranularity.TENSORWISE


def _widen(statistics: dict, model: bytes, sources: Sequence[float_file.Source]) -> None:
    """Ranges that hold every number of every calibration picture, in place of those of the first one.

    The quantizer's own calibration is a moving average over pictures: it remembers the last few dozen, and cuts off a
    tenth of the logits even then.
    """
    interpreter = Interpreter(
        model_content=model,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    places = {tensor["name"]: tensor["index"] for tensor in interpreter.get_tensor_details()}
    ranges = [(statistics[name], places[name]) for name in statistics if "min" in statistics[name]]
    size = sources[0].shape[0]
    for start in range(0, len(sources[0].values) - size + 1, size):
        for source in sources:
            interpreter.set_tensor(source.place, source.values[start : start + size])
        interpreter.invoke()
        for found, place in ranges:
            values = interpreter.get_tensor(place)
            found["min"] = np.minimum(found["min"], values.min())
            found["max"] = np.maximum(found["max"], values.max())


def _keep_names(quantized: bytes, model: bytes) -> bytes:
    """Gives several outputs the names of the float file's back: the quantizer calls what it makes bytes of anew.

    A file's one output is found without its name.
    """
    result, floats = (float_file.parsed(file) for file in (quantized, model))
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
    result, floats = (float_file.parsed(file) for file in (quantized, model))
    changed = False
    for (axis, source, kernel, bias), (_, _, _, meant) in zip(_kernels(result), _kernels(floats), strict=True):
        wanted = np.frombuffer(floats.buffers[meant.buffer].data, "<f4").astype("float64")
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
    loops = len(float_file.parsed(model).subgraphs) - 1
    if loops:
        raise ValueError(
            "Integers throughout are for files without loops. Received: one whose main graph calls others, "
            f"{loops} of them, as LSTM and GRU layers do: unrolled (unroll=True) they are none; or see dynamic_int8, "
            "which keeps activations float."
        )


def _refuse_endless_padding(model: bytes) -> None:
    """The quantizer would end the process: the scale of such a number is infinite."""
    parsed = float_file.parsed(model)
    for graph in parsed.subgraphs:
        for operator in graph.operators:
            if flatbuffer_utils.opcode_to_name(parsed, operator.opcodeIndex) != "PADV2":
                continue
            held = parsed.buffers[graph.tensors[operator.inputs[2]].buffer].data
            value = np.frombuffer(bytes(held), "<f4")[0] if held is not None else 0.0
            if not abs(value) < np.finfo("float32").max:
                raise ValueError(
                    "Static quantization needs paddings that 8 bits can hold. Received: the operator PADV2 of "
                    f"{graph.tensors[operator.outputs[0]].name.decode()!r}, which pads with {value:g}. Files of "
                    "export.tflite.convert go on with the edge there, where the maxima of a MAX_POOL_2D are the same."
                )


def _refuse_float_activations(model: bytes) -> None:
    parsed = float_file.parsed(model)
    floats = {
        graph.tensors[operator.outputs[0]].name.decode(): flatbuffer_utils.opcode_to_name(parsed, operator.opcodeIndex)
        for graph in parsed.subgraphs
        for operator in graph.operators
        if any(graph.tensors[index].type == schema.TensorType.FLOAT32 for index in operator.outputs)
    }
    kinds = sorted({kind for kind in floats.values() if kind != "DEQUANTIZE"})
    if floats:
        raise ValueError(
            "Static quantization needs operators with an integer version, and a fixed batch axis (a free one makes "
            f"shape arithmetic of Flatten). Received: a model of which {', '.join(kinds)} would stay float, in these "
            f"tensors: {list(floats)}. dynamic_int8 keeps all activations float."
        )
