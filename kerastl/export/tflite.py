"""TFLite files: built-in operators only, raw pixels in, probabilities out, and no byte that does nothing.

What the phone feeds in is 0..255 as the camera gives it: uint8 into an integer file (scale 1.0, zero point 0), the same
numbers as float32 into a float file. A scale-only ``Rescaling`` at the head of the model costs nothing in either file:
it is multiplied into the kernels that read it (a float file) or into their scales (an integer file). With no offset
that holds under zero padding as well. A text goes in as BERT's three inputs, so that MediaPipe Tasks feed it as well.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema

from kerastl import types
from kerastl.export import lookup, packing, quantizable, serving
from kerastl.system import atomic_files, memory
from kerastl.types import History

# Operators that multiply their first input with their second and so can take over a factor.
_ABSORBING = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)


class Converted(NamedTuple):
    """The bytes of a file whose model was trained for it, and the curves of that training."""

    content: bytes
    curves: History


def save(converted: Converted, folder: Path) -> None:
    """Writes ``model.tflite`` and ``curves.json`` into ``folder``, for a stage of a run.

    Raises:
        OSError: if they cannot be written.
    """
    (folder / "model.tflite").write_bytes(converted.content)
    (folder / "curves.json").write_text(converted.curves.to_json())


def load(folder: Path) -> Converted:
    """Reads what ``save`` wrote.

    Raises:
        OSError: if one of the two files cannot be read.
    """
    return Converted((folder / "model.tflite").read_bytes(), History.from_json((folder / "curves.json").read_text()))


def write(
    model: Any,
    path: Path,
    *,
    integer: bool = False,
    calibration: np.ndarray | None = None,
    multi_label: bool = False,
) -> bytes:
    """Converts a model and writes the file atomically; see `convert` for arguments, bytes returned and errors.

    Raises:
        ValueError: also if the folder of ``path`` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"Wanted a file in a folder that exists. Received: {path}.")
    data = convert(model, integer=integer, calibration=calibration, multi_label=multi_label)
    atomic_files.write_bytes(path, data)
    return data


def convert(
    model: Any, *, integer: bool = False, calibration: np.ndarray | None = None, multi_label: bool = False
) -> bytes:
    """A model as the bytes of a TFLite file.

    Args:
        model: functional Keras 3 or tf_keras model with one float32 input 0..255, shape ``(batch, *input_shape)``, or
            int32 token ids ``(batch, sequence_length)``, and one output ``(batch, classes)``, logits or probabilities.
            Trained quantization-aware (TF-MOT) or not.
        integer: whether input (uint8, scale 1.0, zero point 0), output (uint8) and every operator are to be integer.
        calibration: raw pixels ``(examples, *input_shape)`` that show the converter each activation's range; wanted
            for ``integer=True`` of a model that was not trained quantization-aware, and for nothing else.
        multi_label: whether an example may have none or several of the classes, so that each has a probability of its
            own; see `serving.with_probabilities`.

    Returns:
        The bytes of the file. Its batch is fixed to 1; input ``image``, or for token ids `types.TEXT_INPUTS`, all int32
        ``(1, sequence_length)``; output ``probabilities``. Of a text's inputs the ids say everything: one that ``mask``
        has 0 for is read as padding, and ``segment_ids`` are read by nothing, for a text is one sentence.

    Raises:
        ValueError: if calibration is missing, not wanted, or not raw pixels; if ``integer`` is asked of token ids; or
            if the model needs an operator that is not among the built-in ones.
        DiskFullError: for want of room among the temporary files.
        RuntimeError: if the file does not answer like the model (NaN, lost weights).
    """
    if integer and serving.input_of(model)[1] == "int32":
        raise ValueError(
            f"Integers throughout are for models of pictures. Received: {model.name!r}, which takes token ids; "
            "compress.ptq.dynamic_int8 makes the small file of it."
        )
    if calibration is not None:
        calibration = _checked_calibration(calibration, serving.input_of(model)[0])
    if integer and not _is_quantization_aware(model) and calibration is None:
        raise ValueError(
            "An integer file wants a model trained quantization-aware, or calibration=raw pixels to set the "
            f"activations' ranges by. Received: {model.name!r} with neither."
        )
    if calibration is not None and (not integer or _is_quantization_aware(model)):
        raise ValueError(
            "Calibration is for integer=True of a model that was not trained quantization-aware. "
            f"Received: calibration of shape {calibration.shape}, integer={integer}, model {model.name!r}."
        )
    scale, body = _behind_rescaling(model)
    options: dict[str, Any] = {"integer": integer, "calibration": calibration, "multi_label": multi_label}
    data = None
    if scale is not None:
        data = _absorb(_convert(model, body, scale=scale, **options), scale=scale)
    if data is None:  # no Rescaling, or what follows it cannot take the factor over
        data = _convert(model, model, scale=1.0, **options)
    data = lookup.as_lookups(_named(data))
    if not integer:
        data = quantizable.as_quantizable(data)
    data = packing.shrink(data, names=not integer)
    _check_answers(model, data, integer=integer, multi_label=multi_label)
    return data


def _is_quantization_aware(model: Any) -> bool:
    return any(type(layer).__name__.startswith("Quantize") for layer in model.layers)


def _checked_calibration(calibration: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    calibration = np.asarray(calibration)
    if calibration.shape[1:] != shape or not len(calibration):
        raise ValueError(
            f"Calibration wants raw pixels (examples, {', '.join(map(str, shape))}). Received: {calibration.shape}."
        )
    low, high = float(calibration.min()), float(calibration.max())
    if not (low >= 0 and 1 < high <= 255):
        raise ValueError(
            "Calibration wants raw pixels 0..255, not all zero and not scaled: the ranges of every activation are set "
            f"by it. Received: values from {low} to {high}."
        )
    # The input's scale must come out as exactly 1.0, so both ends of the range have to be seen once.
    calibration = calibration.astype(np.float32)
    calibration[0].flat[0], calibration[0].flat[-1] = 0.0, 255.0
    return calibration


def _behind_rescaling(model: Any) -> tuple[float | None, Any]:
    """The factor of a scale-only Rescaling that alone reads the input, and the rest of the model behind it."""
    graph = serving.class_of_models(model)(model.inputs, model.outputs)  # a Sequential shows none of its own
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
    return float(inner.scale), serving.class_of_models(model)(value, model.outputs[0])


def _read_by(node: Any) -> list[Any]:
    """The symbolic tensors that a node of a graph takes, in whatever argument; of an input there is none."""
    return node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors


def _convert(
    model: Any, body: Any, *, scale: float, integer: bool, calibration: np.ndarray | None, multi_label: bool
) -> bytes:
    """The converter's own file of ``body``, which takes pixels times ``scale``."""
    probabilities = serving.ends_in_probabilities(model, multi_label=multi_label)
    shape, dtype, name = serving.input_of(model)
    fake_quantized = integer and calibration is None

    def answer(value: tf.Tensor) -> dict[str, tf.Tensor]:
        answers = body(value, training=False)
        if not probabilities:
            answers = serving.probabilities_of(answers, multi_label=multi_label)
        return {serving.OUTPUT_NAME: answers}

    def of_picture(value: tf.Tensor) -> dict[str, tf.Tensor]:
        if fake_quantized:
            # Fixes the input's scale whatever range training saw. It stands behind the Rescaling: without it the
            # converter multiplies 1/255 into the first kernel but quantizes it by the old scale, to zeros.
            value = tf.quantization.fake_quant_with_min_max_args(value, 0.0, 255.0 * scale)
        return answer(value)

    def of_text(ids: tf.Tensor, mask: tf.Tensor, segment_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        return answer(tf.where(mask != 0, ids, types.PADDING))

    text = serving.reads_text(model)
    signature = [tf.TensorSpec((1, *shape), dtype, name=end) for end in (types.TEXT_INPUTS if text else (name,))]
    function = tf.function(of_text if text else of_picture, input_signature=signature, autograph=False)
    with _saved(function, model) as folder:
        return _converted(folder, model, scale=scale, integer=integer, calibration=calibration)


@contextlib.contextmanager
def _saved(function: Any, model: Any) -> Iterator[Path]:
    """A SavedModel among the temporary files.

    The converter writes one itself where it gets a function, and if the disk is full goes a way without signatures and
    says nothing.
    """
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "saved_model")
        with atomic_files.explain_disk_full(folder):
            tf.saved_model.save(serving.Held(model), str(folder), signatures=function.get_concrete_function())
        yield folder


def _converted(folder: Path, model: Any, *, scale: float, integer: bool, calibration: np.ndarray | None) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if integer:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if calibration is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = _examples(calibration, scale)
    try:
        with memory.release_graphs():
            return converter.convert()
    except Exception as error:
        if "TF Select" in str(error) or "neither a custom op nor a flex op" in str(error):
            raise ValueError(
                f"Wanted a model of operators that TFLite has built in. Received: {model.name!r}, of which the "
                f"converter says: {error}"
            ) from error
        raise


def _examples(calibration: np.ndarray, scale: float) -> Callable[[], Iterator[list[np.ndarray]]]:
    def examples() -> Iterator[list[np.ndarray]]:
        for example in calibration:
            yield [np.asarray(example[None] * scale, np.float32)]

    return examples


def _absorb(data: bytes, *, scale: float) -> bytes | None:
    """Makes a file that takes pixels times ``scale`` take raw pixels; ``None`` where it cannot be done exactly.

    A float file's kernels are multiplied by the factor, an integer file's scales are: its integers stay as they are.
    """
    model = packing.unpack(data)
    graph = model.subgraphs[0]
    source = graph.inputs[0]
    renamed = [graph.tensors[source]] if graph.tensors[source].quantization.scale is not None else []
    readers = _readers(graph, source)
    if renamed and [_code(model, reader) for reader in readers] == [schema.BuiltinOperator.QUANTIZE]:
        source = readers[0].outputs[0]
        renamed.append(graph.tensors[source])
        readers = _readers(graph, source)
    if not readers or not all(_code(model, r) in _ABSORBING and r.inputs[0] == source for r in readers):
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


def _readers(graph: Any, index: int) -> list[Any]:
    return [operator for operator in graph.operators if index in operator.inputs]


def _code(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _named(data: bytes) -> bytes:
    """Gives the file's input and output tensors the names that the signature has, and inputs the order of names."""
    model = packing.unpack(data)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    names = {entry.tensorIndex: entry.name for entry in [*signature.inputs, *signature.outputs]}
    for index, tensor in enumerate(graph.tensors):
        if index in names:
            tensor.name = names[index]
        elif tensor.name in names.values():
            tensor.name += b"_inner"
    graph.inputs = [entry.tensorIndex for entry in sorted(signature.inputs, key=lambda entry: entry.name)]
    return packing.pack(model)


def _check_answers(model: Any, data: bytes, *, integer: bool, multi_label: bool = False) -> None:
    """Catches the converter's silent failures at the point where they happen; the full proof is `kerastl.verify`."""
    parsed = packing.unpack(data)
    for tensor in parsed.subgraphs[0].tensors:
        values = parsed.buffers[tensor.buffer].data
        if values is not None and tensor.shape is not None and len(tensor.shape) == 4 and not values.any():
            raise RuntimeError(
                f"The converter lost the weights of {model.name!r}: a kernel of shape {list(tensor.shape)} is all "
                "zeros. A layer before it was likely folded into it after quantization."
            )
    if integer:
        return
    (_, _, name), text = serving.input_of(model), serving.reads_text(model)
    probe = serving.noise(model)
    wanted = serving.serve(model, multi_label=multi_label).function(tf.constant(probe))[serving.OUTPUT_NAME].numpy()
    interpreter = packing.Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    for example, answer in zip(probe, wanted, strict=True):
        fed = types.text_inputs(example[None]) if text else {name: example[None]}
        for source in interpreter.get_input_details():
            interpreter.set_tensor(source["index"], fed[source["name"]])
        interpreter.invoke()
        got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
        if not np.allclose(got, answer, rtol=0, atol=1e-3, equal_nan=False):
            raise RuntimeError(
                f"The converted file does not answer like {model.name!r}: wanted probabilities within 0.001 of "
                f"{answer}. Received: {got}."
            )
