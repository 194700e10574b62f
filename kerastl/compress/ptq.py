"""Post-training quantization of a float TFLite file with litert-quantizer: bytes in, bytes out.

Every function takes a float32 file. Quantizing a file that is quantized already would stack one error on another
without a word, so it is refused. `quantize` knows them by litert-quantizer's own names, which say how many bits weights
(``w``) and activations (``a``) have, integers (``i``) or floats (``f``). A finished file is looked at once more before
it is handed out (`export.final_guard`).

Operators that lose too much stay float by exception: ``keep_float`` takes the names of layers, as a front end of DFT
and mel kernels, of single operators (`float_file.operators`), or what a report calls them, ``"3. CONV_2D"``, which goes
for the packed files of a run too; `exceptions.search` finds them by measuring.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from litert_quantizer import algorithm_manager, qtyping, quantizer

from kerastl.compress import finished_file, float_file, four_bits, full_integer, rounding
from kerastl.export import final_guard
from kerastl.types import Inputs

_ALL, _CONV, _DENSE = (
    qtyping.TFLOperationName.ALL_SUPPORTED,
    qtyping.TFLOperationName.CONV_2D,
    qtyping.TFLOperationName.FULLY_CONNECTED,
)
_BLOCKS = {
    int(name.rpartition("_")[2]): each for name, each in qtyping.QuantGranularity.__members__.items() if "_" in name
}
_TYPES = schema.TensorType
# What rounding may cost a few answers in the median; another network is further off, see `export.final_guard`.
_EIGHT_BITS = final_guard.Claim(error=0.5, weights=(_TYPES.INT8,))
_FOUR_BITS = final_guard.Claim(error=0.8, weights=(_TYPES.INT4, _TYPES.INT8))
_HALF = final_guard.Claim(error=0.02, weights=(_TYPES.FLOAT16,))
_INTEGER = final_guard.Claim(error=0.5, weights=(_TYPES.INT8,), integer=True)
_LOST_BY_HALF = 2.0**-9
"""Share of its norm that a kernel may lose by half precision, four times what rounding costs."""


def dynamic_int8(
    model: bytes,
    *,
    per_channel: bool = True,
    keep_float: Sequence[str] = (),
    weight_only: Sequence[str] = (),
    examples: float_file.Examples | None = None,
    inputs: Inputs | None = None,
) -> bytes:
    """8-bit kernels, a scale a channel; activations stay float32 and are quantized while the file runs.

    Args:
        model: a float32 TFLite file.
        per_channel: as in `static_int8`; kernels of depthwise and grouped convolutions always have a scale a channel.
        keep_float: layers, or operators, that are left as they are, by name.
        weight_only: those that compute in float32 with kernels that are stored in 8 bits, as in `weight_only_int8`.
        examples: real ones, of which a few show that the file answers like the float file; ``None``: noise.
        inputs: their kind, for example ``split.task.inputs``; alone it says of which range the noise is.

    Raises:
        ValueError: if ``model`` is no TFLite file, or is quantized already, or no operator of it takes 8-bit kernels;
            if a name to keep is that of no layer; if the file answers with NaN, or like another network.
    """
    work = float_file.opened(model)
    work.add_dynamic_config(".*", _ALL, num_bits=8, granularity=_granularity(per_channel))
    stored = float_file.left_float(model, weight_only)
    for operator in float_file.operators(model):
        # behind one scale LiteRT reads what is no scale
        if (operator.kind == "DEPTHWISE_CONV_2D" or operator.groups > 1) and operator.name not in stored:
            work.add_dynamic_config(operator.pattern, qtyping.TFLOperationName(operator.kind), num_bits=8)
    result = _quantized(work, model, keep_float, weight_only)
    return finished_file.handed_out(result, model, _EIGHT_BITS, examples=examples, inputs=inputs)


def weight_only_int8(
    model: bytes,
    *,
    keep_float: Sequence[str] = (),
    examples: float_file.Examples | None = None,
    inputs: Inputs | None = None,
) -> bytes:
    """8-bit kernels, a scale a channel, that are made float32 before they are computed with: no activation is rounded.

    The size of `dynamic_int8` and nearer to the float file's answers; it computes in float32 and is no faster.

    Args:
        model, keep_float, examples, inputs: as in `dynamic_int8`.

    Raises:
        ValueError: as `dynamic_int8`.
    """
    work = float_file.opened(model)
    work.add_weight_only_config(".*", _ALL, num_bits=8)
    result = _quantized(work, model, keep_float)
    return finished_file.handed_out(result, model, _EIGHT_BITS, examples=examples, inputs=inputs)


def int4_weights(
    model: bytes,
    *,
    block_size: int | None = None,
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
    per_channel: bool = True,
    keep_float: Sequence[str] = (),
) -> bytes:
    """4-bit kernels of convolutions and dense layers, 8-bit depthwise kernels (4 bits have no operator), float32 else.

    Args:
        model: a float32 TFLite file.
        block_size: weights of a row of a dense kernel that share a scale; ``None``: all of them. Smaller blocks are
            nearer to the float file and take more bytes. Convolutions, and dense layers whose rows are no multiple of
            it, have no operator for blocks and keep a scale a channel, and so do kernels whose weights are beyond what
            the scale of a block, a half float, can hold. Such a file needs XNNPACK, LiteRT's default: the plain kernels
            of LiteRT compute blocks wrongly, and the file says so in its metadata entry ``kernels``.
        calibration: some hundred examples, as for `rounding.output_aware_rounding`, by whose answers the integers are
            then chosen, which loses far less. ``None``: the integer that is nearest to each weight; in blocks some go
            the other way, so that the errors of a block sum to nothing.
        inputs: the kind of the examples, as there; wanted where there are some.
        per_channel: ``False`` gives a 4-bit kernel one scale, but not in convolutions of groups: four bytes a channel
            less, and more. With calibration small networks bear it; rounded to the nearest, kernels of differing
            channels do not.
        keep_float: as in `dynamic_int8`.

    Raises:
        ValueError: as `dynamic_int8`; if no operator has blocks of that size; if ``calibration`` is not what
            `rounding.output_aware_rounding` takes, or no kernel is one whose integers it chooses.
    """
    if block_size is not None and block_size not in _BLOCKS:
        raise ValueError(f"block_size is one of {', '.join(map(str, _BLOCKS))}. Received: {block_size}.")
    float_file.check_kind(calibration, inputs)
    float_file.opened(model)  # refuses what is quantized already
    weights = float_file.kernels(model)
    in_blocks = {
        one.name
        for one in float_file.operators(model)
        if block_size and one.kind == _DENSE.value and one.shape[-1] % block_size == 0
        if four_bits.hold(weights[one.name], block_size)
    }
    work = _four_bit_recipe(model, in_blocks, block_size=block_size, per_channel=per_channel)
    result = four_bits.with_sound_blocks(_quantized(work, model, keep_float), weights)
    if calibration is not None and inputs is not None:
        result = rounding.rounded(model, result, calibration=calibration, inputs=inputs)
    return finished_file.handed_out(result, model, _FOUR_BITS, examples=calibration, inputs=inputs)


def _four_bit_recipe(
    model: bytes, in_blocks: Collection[str], *, block_size: int | None, per_channel: bool
) -> quantizer.Quantizer:
    work = float_file.opened(model)
    work.add_dynamic_config(".*", _ALL, num_bits=8)
    for operation in (_CONV, _DENSE):
        work.add_dynamic_config(".*", operation, num_bits=4)
    for operator in float_file.operators(model):
        if block_size and operator.name in in_blocks:
            work.add_dynamic_config(operator.pattern, _DENSE, num_bits=4, granularity=_BLOCKS[block_size])
        elif not per_channel and operator.may_have_one_scale:
            kind = qtyping.TFLOperationName(operator.kind)
            work.add_dynamic_config(operator.pattern, kind, num_bits=4, granularity=_granularity(per_channel=False))
    return work


def float16(
    model: bytes,
    *,
    keep_float: Sequence[str] = (),
    examples: float_file.Examples | None = None,
    inputs: Inputs | None = None,
) -> bytes:
    """Kernels stored as float16 and computed with in float32: half the size, and almost the same numbers.

    A kernel that half precision cannot hold stays float32: one with weights beyond 65,504, or so small that they lose
    their digits or become zeros.

    Args:
        model, keep_float, examples, inputs: as in `dynamic_int8`.

    Raises:
        ValueError: as `dynamic_int8`; if half precision holds no kernel, naming the first and its numbers.
    """
    float_file.opened(model)  # refuses what is quantized already
    weights = float_file.kernels(model)
    found, result = None, b""
    for lossy in (_loses_much, _loses_in_a_channel):  # a dead channel loses all that it has, and mostly does no harm
        beyond = {name for name, kernel in weights.items() if lossy(kernel)}
        if weights and len(beyond) == len(weights):
            name = next(iter(weights))
            sizes = np.abs(weights[name][weights[name] != 0])
            raise ValueError(
                "Half precision holds numbers from 6e-05 to 65,504. Received: a file of which it holds no kernel, "
                f"first that of {name!r}, whose numbers are of sizes {sizes.min():.3g} to {sizes.max():.3g}; "
                "compress.ptq.weight_only_int8 has scales of its own for each channel."
            )
        work = float_file.opened(model)
        work.add_weight_only_config(".*", _ALL, num_bits=16, algorithm_key=_Algorithms.FLOAT_CASTING)
        for operator in float_file.operators(model):
            if operator.name in beyond:
                work.update_quantization_recipe(operator.pattern, _ALL, algorithm_key=_Algorithms.NO_QUANTIZE)
        result = _quantized(work, model, keep_float)
        found = finished_file.fault(result, model, _HALF, examples=examples, inputs=inputs)
        if found is None:
            return result
    raise finished_file.refusal(found)


_Algorithms = algorithm_manager.AlgorithmName


def _loses_much(kernel: np.ndarray) -> bool:
    """Whether half precision takes more from a kernel than rounding does, or makes it infinite."""
    with np.errstate(over="ignore"):
        difference = kernel.astype(np.float16).astype(np.float64) - kernel
    return not float(np.linalg.norm(difference)) <= _LOST_BY_HALF * float(np.linalg.norm(kernel.astype(np.float64)))


def _loses_in_a_channel(kernel: np.ndarray) -> bool:
    """The same of any slice along any axis: of what comes out, and of what goes in."""
    return any(_loses_much(part) for axis in range(kernel.ndim) for part in np.moveaxis(kernel, axis, 0))


def static_int8(
    model: bytes,
    *,
    calibration: float_file.Examples,
    inputs: Inputs,
    per_channel: bool = True,
    keep_float: Sequence[str] = (),
    weight_only: Sequence[str] = (),
) -> bytes:
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
        keep_float: layers, or operators, that go on computing in float32, by name; the file is then no longer one of
            integers throughout, and needs a processor that has floats.
        weight_only: the same of a front end, with kernels that are stored in 8 bits; the file then takes and gives
            float32 numbers.

    Raises:
        ValueError: as `dynamic_int8`; if ``model`` would keep a float operator that is not named in ``keep_float``; if
            ``calibration`` is empty, of another shape or of other inputs, all zeros or not finite; of pictures, if it
            is not within 0..255 or clearly scaled to 0..1.
    """
    granularity = _granularity(per_channel)
    left: dict[str, Any] = {"keep_float": keep_float, "weight_only": weight_only}
    return _static(model, calibration, bits=8, granularity=granularity, inputs=inputs, **left)


def static_int16_activations(
    model: bytes, *, calibration: float_file.Examples, inputs: Inputs, keep_float: Sequence[str] = ()
) -> bytes:
    """Integers throughout: 8-bit kernels with a scale a channel, 16-bit activations, 64-bit biases.

    For chips without floats on which `static_int8` loses too much. LiteRT's own kernels for it are plain ones: on a
    server's processor a small CNN took a hundred times as long as with 8 bits. The input of pictures takes raw bytes,
    as that of `static_int8`, and that of other numbers int16, as all inputs where some are of other numbers; the
    output is int16 and carries its scale, for no operator makes bytes of it.

    Args:
        model, calibration, inputs, keep_float: as for `static_int8`.

    Raises:
        ValueError: as `static_int8`.
    """
    granularity = _granularity(per_channel=True)
    return _static(model, calibration, bits=16, granularity=granularity, inputs=inputs, keep_float=keep_float)


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
_STATIC = ("static_wi8_ai8", "static_wi8_ai16")


def quantize(
    model: bytes,
    name: str,
    *,
    calibration: float_file.Examples | None = None,
    inputs: Inputs | None = None,
    keep_float: Sequence[str] = (),
) -> bytes:
    """A file quantized as litert-quantizer's recipe of that name says, by the function that is named in `BY_NAME`.

    Args:
        model: a float32 TFLite file.
        name: a key of `BY_NAME`.
        calibration: examples, wanted for static recipes, as for `static_int8`, and taken for those of 4-bit weights, as
            for `int4_weights`; the others use none.
        inputs: the kind of what goes in, as for those.
        keep_float: as for `dynamic_int8`.

    Raises:
        ValueError: another name, a static recipe without calibration, a recipe that uses none with some, or what the
            function itself refuses.
    """
    if name not in BY_NAME:
        raise ValueError(f"Wanted the name of a recipe. Received: {name!r}. Available: {', '.join(BY_NAME)}.")
    float_file.check_kind(calibration, inputs)
    if name in _STATIC and calibration is None:
        raise ValueError(f"{name} needs calibration examples, some hundred of the training split. Received: none.")
    calibrated = [one for one in BY_NAME if one in _STATIC or one.startswith("dynamic_wi4")]
    if calibration is not None and name not in calibrated:
        raise ValueError(
            f"{name} has nothing that calibration could set: its kernels are rounded by themselves, its activations "
            f"stay float. Received: calibration={type(calibration).__name__}. Those that use it: "
            f"{', '.join(calibrated)}."
        )
    options = {"calibration": calibration} if name in calibrated else {}
    return BY_NAME[name](model, inputs=inputs, keep_float=keep_float, **options)


def _static(
    model: bytes,
    calibration: float_file.Examples,
    *,
    bits: int,
    granularity: qtyping.QuantGranularity,
    inputs: Inputs,
    keep_float: Sequence[str],
    weight_only: Sequence[str] = (),
) -> bytes:
    """Integers throughout but for what is left float; both were run on some of the calibration."""
    measured: dict[str, Any] = {"calibration": calibration, "inputs": inputs}
    measured |= {"keep_float": keep_float, "weight_only": weight_only}
    result = full_integer.quantized(model, bits=bits, granularity=granularity, **measured)
    claim = _INTEGER._replace(integer=not keep_float and not weight_only)
    return finished_file.handed_out(result, model, claim, examples=calibration, inputs=inputs)


def _quantized(
    work: quantizer.Quantizer, model: bytes, keep_float: Sequence[str], weight_only: Sequence[str] = ()
) -> bytes:
    """The file that was configured, but for the operators that compute in float32, with 8-bit kernels or their own."""
    full_integer.leave_float(work, model, keep_float=keep_float, weight_only=weight_only)
    return float_file.quantized(work)


def _granularity(per_channel: bool) -> qtyping.QuantGranularity:
    return qtyping.QuantGranularity.CHANNELWISE if per_channel else qtyping.QuantGranularity.TENSORWISE
