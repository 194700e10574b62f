"""TFLite files: built-in operators only, raw examples in, what the task asks for out, and no byte that does nothing.

What the phone feeds in is what it has: of a picture 0..255 as the camera gives it, uint8 into an integer file (scale
1.0, zero point 0), the same numbers as float32 into a float file; a text as BERT's three inputs, so that MediaPipe
Tasks feed it as well; plain numbers in their own unit.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import convert_to_constants

from kerastl.export import calibration as ranges
from kerastl.export import (
    converter_errors,
    final_guard,
    keras_graph,
    lookup,
    packing,
    quantizable,
    rescaling,
    serving,
    softplus,
)
from kerastl.export.keras_graph import KerasModel
from kerastl.system import atomic_files, memory
from kerastl.types import History, Task, targets_of

_PROBES = 8  # calibration examples that an integer file is compared with its model on
_INTEGER_ERROR = 0.5  # what integers may lose of a few answers, in the median: another network loses more


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
    model: KerasModel,
    path: Path,
    task: Task | None = None,
    *,
    integer: bool = False,
    calibration: np.ndarray | Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """Converts a model and writes the file atomically; see `convert` for arguments, bytes returned and errors.

    Raises:
        ValueError: also if the folder of ``path`` does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ValueError(f"Wanted a file in a folder that exists. Received: {path}.")
    data = convert(model, task, integer=integer, calibration=calibration)
    atomic_files.write_bytes(path, data)
    return data


def convert(
    model: KerasModel,
    task: Task | None = None,
    *,
    integer: bool = False,
    calibration: np.ndarray | Mapping[str, np.ndarray] | None = None,
) -> bytes:
    """A model as the bytes of a TFLite file.

    Args:
        model: functional Keras 3 or tf_keras model, trained quantization-aware (TF-MOT) or not, or a subclassed one
            that was called once, see `keras_graph.functional`. With a task its one input takes the task's examples,
            ``(batch, *task.inputs.shape)``, and its one output ``(batch, outputs)`` is logits or answers.
            Without a task it may have several inputs and outputs.
        task: what goes in and what is asked. ``None`` exports the model as it is: nothing stands behind it.
        integer: whether input, output (uint8) and every operator are to be integer.
        calibration: examples ``(count, *input_shape)`` that show the converter each activation's range, of several
            inputs a dict by their names; wanted for ``integer=True`` of a model that was not trained quantization-aware
            and for nothing else.

    Returns:
        The bytes of the file. Its batch is fixed to 1. With a task its inputs are ``task.inputs.tensors``, its output
        is ``task.target.output_name``; without one they have the model's own names and order. An integer file's input
        has the scale and zero point that ``task.inputs.calibration_range()`` says (pixels: 1.0 and 0), or those of
        the range that was measured. Of a text's inputs the ids say everything: one that ``mask`` has 0 for is read as
        padding, and ``segment_ids`` are read by nothing: a text is one sentence, and of two the ids say which is which.

    Raises:
        ValueError: if a weight is not finite; if calibration is missing, not wanted, or not what the task's examples
            are; if ``integer`` is asked of a task's token ids, or of a loop; if an operator of an integer file stays
            float; if the model cannot be traced with a batch of one, needs an operator that is not among the built-in
            ones, or computes in another precision than float32; if a mask leaves integers no steps for the scores of a
            softmax; if the file does not answer like the model (NaN, lost weights); or as for `serving.serve`.
        DiskFullError: for want of room among the temporary files.
    """
    model = keras_graph.functional(model)
    keras_graph.refuse_weights_that_are_no_numbers(model)
    signature = _signature(model, task)
    aware = any(type(layer).__name__.startswith("Quantize") for layer in model.layers)
    if integer and task is not None and np.dtype(task.inputs.batch_dtype).kind in "iu":
        raise ValueError(
            f"Integers throughout are for models of pictures and numbers. Received: {model.name!r}, which takes "
            f"{task.inputs.batch_dtype} {task.inputs.kind}, as token ids; compress.ptq.dynamic_int8 makes the small "
            "file of it."
        )
    examples = None if calibration is None else ranges.checked(model, task, calibration)
    if integer and not aware and examples is None:
        raise ValueError(
            "An integer file wants a model trained quantization-aware, or calibration=raw examples to set the "
            f"activations' ranges by. Received: {model.name!r} with neither."
        )
    if examples is not None and (not integer or aware):
        raise ValueError(
            "Calibration is for integer=True of a model that was not trained quantization-aware. "
            f"Received: {len(next(iter(examples.values())))} examples, integer={integer}, model {model.name!r}."
        )
    door = serving.at_the_door(model, task)
    scale, body = (None, door)
    alone = len(door.inputs) == len(door.outputs) == 1 and signature.inputs[0].dtype.is_floating
    if alone and (not integer or ranges.input_range(task) == (1.0, 0)):
        scale, body = rescaling.behind_rescaling(door)
    options: dict[str, Any] = {"task": task, "integer": integer, "examples": examples}
    data = None
    if scale is not None:
        data = rescaling.absorb(_convert(door, body, signature, scale=scale, **options), scale=scale)
    if data is None:  # no Rescaling, or what follows it cannot take the factor over
        data = _convert(door, door, signature, scale=1.0, **options)
    data = lookup.as_lookups(_named(data, signature))
    try:
        final_guard.Runner(data)
    except (RuntimeError, ValueError) as error:
        raise converter_errors.unrunnable(error, model) from error
    if not integer:
        data = softplus.as_stable(quantizable.as_quantizable(data))
    data = packing.shrink(data) if integer else packing.shrink(data, layer_of=keras_graph.layer_of(model))
    _check_answers(model, data, task, integer=integer, examples=examples)
    return data


class _Signature(NamedTuple):
    """What a file takes, a batch of one each, and the names of what it gives."""

    inputs: tuple[tf.TensorSpec, ...]
    outputs: tuple[str, ...]


def _signature(model: KerasModel, task: Task | None) -> _Signature:
    inputs, outputs = serving.ends_of(model, task, batch=1)
    if task is None:
        return _Signature(inputs, outputs)
    own, *others = inputs
    if others:  # each by its own name
        return _Signature(inputs, outputs)
    fed = task.inputs.fed(task.inputs.noise(1))
    specs = [tf.TensorSpec(fed[name].shape, fed[name].dtype, name=name) for name in task.inputs.tensors]
    if len(specs) == 1:  # the example itself, in the type that the model takes
        specs = [tf.TensorSpec(specs[0].shape, own.dtype, name=specs[0].name)]
    return _Signature(tuple(specs), outputs)


def _convert(
    model: KerasModel,
    body: KerasModel,
    signature: _Signature,
    *,
    task: Task | None,
    scale: float,
    integer: bool,
    examples: Mapping[str, np.ndarray] | None,
) -> bytes:
    """The converter's own file of ``body``, which takes inputs times ``scale``."""
    answer, known = serving.answering(model, task, outputs=signature.outputs), ranges.input_range(task)

    def function(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        values = tensors
        if task is not None:
            names = [str(spec.name) for spec in signature.inputs]
            values = list(serving.model_inputs(model, task.inputs.in_graph(dict(zip(names, tensors, strict=True)))))
        if integer and examples is None and known is not None:
            # Fixes the input's scale whatever range training saw. It stands behind the Rescaling: without it the
            # converter multiplies 1/255 into the first kernel but quantizes it by the old scale, to zeros.
            low, high = ((end - known[1]) * known[0] * scale for end in (0, 255))
            values = [tf.quantization.fake_quant_with_min_max_args(values[0], low, high)]
        return dict(zip(signature.outputs, answer(body, values), strict=True))

    traced = tf.function(function, input_signature=signature.inputs, autograph=False)
    try:
        frozen = _frozen(traced)
    except (ValueError, TypeError, AttributeError, NotImplementedError, tf.errors.OpError) as error:
        raise converter_errors.untraceable(error, model) from error
    if examples is not None:
        ranges.refuse_loops(model, frozen.graph)
    with _saved(frozen, signature) as folder:
        data = _converted(folder, model, integer=integer, examples=ranges.one_by_one(task, examples, scale))
    if integer:
        ranges.refuse_floats(model, data)
        ranges.refuse_lost_scores(model, data)
    return data


def _frozen(function: Callable[..., dict[str, tf.Tensor]]) -> Any:
    """The graph of a traced function with its variables as constants, outputs in the order of their names.

    Of variables TensorFlow would trace how each is stored and restored, twice, which takes as long as all the rest of a
    conversion; the file is the same.
    """
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        function.get_concrete_function(), lower_control_flow=False
    )
    return _with_plain_sums(frozen)


def _with_plain_sums(frozen: Any) -> Any:
    """The same graph, in which a sum of two sequences of one channel is a sum.

    Of a batch of one Keras takes the second for a bias on the axis of time, and TensorFlow's converter knows no
    ``BiasAdd`` of three axes by their second: the shortcut of a transformer of time series.
    """
    biases = {
        operation.name: operation.inputs[1].op.inputs[0].name
        for operation in frozen.graph.get_operations()
        if operation.type == "BiasAdd"
        and operation.get_attr("data_format") == b"NCHW"
        and operation.outputs[0].shape.rank == 3
        and operation.inputs[1].op.type == "Squeeze"
    }
    if not biases:
        return frozen
    graph = frozen.graph.as_graph_def()
    for node in graph.node:
        if node.name in biases:
            node.op, node.input[1] = "AddV2", biases[node.name]
            del node.attr["data_format"]
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    ends = ([wrapped.graph.get_tensor_by_name(one.name) for one in some] for some in (frozen.inputs, frozen.outputs))
    return wrapped.prune(*ends)


@contextlib.contextmanager
def _saved(frozen: Callable[..., Any], signature: _Signature) -> Iterator[Path]:
    """A SavedModel of what `_frozen` made, among the temporary files.

    The converter writes one itself where it gets a function, and if the disk is full goes a way without signatures and
    says nothing.
    """
    names = sorted(signature.outputs)  # in the order that a dict of tensors is flattened in

    @tf.function(input_signature=signature.inputs, autograph=False)
    def named(*tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(names, tf.nest.flatten(frozen(*tensors)), strict=True))

    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "saved_model")
        with atomic_files.explain_disk_full(folder):
            # A custom gradient (swish has one) may hold what is no constant, and nobody differentiates the file.
            options = tf.saved_model.SaveOptions(experimental_skip_saver=True, experimental_custom_gradients=False)
            tf.saved_model.save(tf.Module(), str(folder), signatures=named.get_concrete_function(), options=options)
        yield folder


def _converted(
    folder: Path, model: KerasModel, *, integer: bool, examples: Callable[[], Iterator[object]] | None
) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if integer:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    if examples is not None:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = examples
    try:
        with memory.release_graphs():
            return converter.convert()
    except Exception as error:
        refused = converter_errors.refusal(error, model)
        if refused is None:
            raise
        raise refused from error


def _named(data: bytes, signature: _Signature) -> bytes:
    """Gives the file's input and output tensors the names that the signature has, and their order."""
    model = packing.unpack(data)
    graph, defined = model.subgraphs[0], model.signatureDefs[0]
    for entry in defined.inputs:
        if entry.tensorIndex not in graph.inputs:  # the converter tells tensors apart by name, and integers have two
            own = graph.tensors[entry.tensorIndex].name
            entry.tensorIndex = next(place for place in graph.inputs if graph.tensors[place].name == own)
    names = {entry.tensorIndex: entry.name for entry in defined.inputs}
    for entry in defined.outputs:
        if entry.tensorIndex in names:  # an input that is passed on, or an output that is there twice
            entry.tensorIndex = lookup.copied(model, graph, entry.tensorIndex)
        names[entry.tensorIndex] = entry.name
    for index, tensor in enumerate(graph.tensors):
        if index in names:
            tensor.name = names[index]
        elif tensor.name in names.values():
            tensor.name += b"_inner"
    places = {entry.name.decode(): entry.tensorIndex for entry in defined.inputs}
    graph.inputs = [places[spec.name] for spec in signature.inputs]
    places = {entry.name.decode(): entry.tensorIndex for entry in defined.outputs}
    graph.outputs = [places[name] for name in signature.outputs]
    return packing.pack(model)


def _has_zero_kernels(model: KerasModel) -> bool:
    """Whether a kernel is all zeros in the model itself, pruned away."""
    return any(weight.ndim > 2 and not weight.any() for weight in map(np.asarray, model.weights))


def _check_answers(
    model: KerasModel,
    data: bytes,
    task: Task | None = None,
    *,
    integer: bool,
    examples: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Catches the converter's silent failures at the point where they happen; the full proof is `kerastl.verify`."""
    lost = final_guard.lost_kernel(data) if integer else None
    if lost is not None and not _has_zero_kernels(model):
        raise ValueError(
            f"The converter lost the weights of {model.name!r}: {lost}. A layer before it was likely folded into it "
            "after quantization."
        )
    served = serving.serve(model, task)
    values = serving.noise(model, task)
    if examples is not None:  # ranges were set by them, and noise may lie outside
        values = tuple(examples[str(spec.name)][:_PROBES] for spec in served.inputs)
    runner = final_guard.Runner(data)
    names = [spec.name for spec in served.inputs]
    probes, wanted = [], []
    for row in range(len(values[0])):
        example = [one[row : row + 1] for one in values]
        # not as a graph: tracing one takes as long as a tenth of a conversion, to run it for four examples
        answer = served.function.python_function(*map(tf.constant, example))
        wanted.append([answer[target["name"]].numpy() for target in runner.targets])
        fed = dict(zip(names, example, strict=True))
        if task is not None and len(names) == 1:
            fed = task.inputs.fed(example[0])
        probes.append([np.asarray(fed[source["name"]]) for source in runner.sources])
    claim = final_guard.Claim(error=_INTEGER_ERROR, integer=integer)
    outputs = [target["name"] for target in runner.targets]
    asked = targets_of(task.target) if task is not None else {}
    shares = [name in asked and asked[name].served_activation() in ("softmax", "sigmoid") for name in outputs]
    compare = None if integer else functools.partial(_differences, names=outputs, shares=shares)
    found = final_guard.fault(data, claim, probes=probes, wanted=wanted, compare=compare)
    if found is not None:
        raise ValueError(
            f"The converted file does not answer like {model.name!r}: {found}. The converter is wrong about one of its "
            "operations: build the model of others."
        )


def _differences(
    given: Sequence[final_guard.Values],
    wanted: Sequence[final_guard.Values],
    *,
    names: Sequence[str],
    shares: Sequence[bool],
) -> str | None:
    for got, asked in zip(given, wanted, strict=True):
        for name, share, one, other in zip(names, shares, got, asked, strict=True):
            if not _alike(one, other, shares=share):
                return f"wanted {name} within 0.001 of {other[0]}. Received: {one[0]}"
    return None


def _alike(got: np.ndarray, wanted: np.ndarray, *, shares: bool) -> bool:
    """Whether answers are the same within a thousandth: of one for shares, else of the largest number in them.

    Where the model itself answers with no finite number, as a logarithm of noise may, nothing can be compared; a file
    of NaN beside numbers is found.
    """
    if got.shape != wanted.shape:
        return False
    finite = np.isfinite(wanted)
    got, wanted = got[finite].astype(np.float64), wanted[finite].astype(np.float64)
    peak = 1.0 if shares or not wanted.size else max(float(np.abs(wanted).max()), 1e-3)
    return bool((finite.all() or not shares) and np.allclose(got, wanted, rtol=0, atol=1e-3 * peak, equal_nan=False))
