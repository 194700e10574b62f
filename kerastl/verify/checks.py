"""The proof that a file is its model: what it holds, what it answers, and what each of its layers makes of pictures."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import types
from kerastl.verify import chance, kernel_stats
from kerastl.verify.answers import Outputs, row_of
from kerastl.verify.layers import layer_errors
from kerastl.verify.predictions import computed_by_delegate, predict_tflite

SPARSITY_SLACK = 0.005
"""Half a point: how far the share of zeros may be from the claim."""
LOST_SHARE = 0.25
"""Share of the examples of a class that its model finds which a file may lose, where chance does not explain more."""
PRUNED_SHARE = 0.5
"""Share of all weights that has to lie in pruned kernels; first and last layers usually stay dense."""

PLAIN_EXAMPLES = 32
"""Examples that LiteRT's plain kernels are asked as well, beside those of XNNPACK that are asked them all."""

_TYPES = schema.TensorType
_LARGEST_INTEGERS = {_TYPES.UINT8: 255, _TYPES.INT8: 127, _TYPES.INT16: 32_767}
_FLOATS = (_TYPES.FLOAT16, _TYPES.BFLOAT16, _TYPES.FLOAT32, _TYPES.FLOAT64, _TYPES.COMPLEX64, _TYPES.COMPLEX128)


class VerificationError(Exception):
    """A file is not what it claims to be.

    Attributes:
        file: the file, or the run's variants, that failed.
        check: which check failed, for example ``"agreement"``.
        wanted, got: what the check asks for and what was found.
        tolerance: the field of `Tolerance` or `LayerTolerance` that says how much may pass; empty where nothing does.
    """

    def __init__(self, file: object, check: str, *, wanted: object, got: object, tolerance: str = "") -> None:
        super().__init__(f"{file} failed the check of {check}: wanted {wanted}, got {got}.")
        self.file, self.check, self.wanted, self.got, self.tolerance = file, check, wanted, got, tolerance


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a file may be from its model on one split, beyond what chance explains (see `verify.chance`).

    Attributes:
        agreement: least share of examples with the same answer (`types.Verification`), 0..1.
        score_drop: most that the score may fall below the model's.
        max_difference: largest absolute difference of a probability, or ``None`` where it is only reported: one
            undecided example moves far under quantization and says little of the file.
        mean_difference: most that the class that moves furthest may move on average over the examples; ``None`` asks
            nothing. A file that has the right answers may still be twice as sure of them as its model.
    """

    agreement: float
    score_drop: float
    max_difference: float | None = None
    mean_difference: float | None = None


@dataclasses.dataclass(frozen=True)
class LayerTolerance:
    """How far any layer of a quantized file may be from the float file's; see `types.LayerError`.

    Attributes:
        error: most that it may be off, as a share of its own root mean square.
        clipped: largest share of its numbers that may lie outside its range.
    """

    error: float
    clipped: float


FLOAT32 = Tolerance(agreement=0.9995, score_drop=0.0005, max_difference=1e-3)
FLOAT16 = Tolerance(agreement=0.998, score_drop=0.001, max_difference=0.1)
INT8 = Tolerance(agreement=0.98, score_drop=0.003, mean_difference=0.1)
INT4 = Tolerance(agreement=0.95, score_drop=0.02, mean_difference=0.2)

# Sound files of the recipes: errors up to 0.02 (8 bits) and 0.15 (4 bits), 0.1 % outside. Calibrated on one digit, on
# noise or on negatives: 0.9 % to 47 % outside, though all of them still agreed on 99 % of the pictures.
LAYERS_INT8 = LayerTolerance(error=0.3, clipped=0.005)
LAYERS_INT4 = LayerTolerance(error=0.6, clipped=0.005)
# A transformer adds one small correction after the other to what it was given, and takes means that are almost zero:
# sound 8-bit files of MiniLM are off by up to 0.25 there, and vision transformers are built alike.
LAYERS_OF_TRANSFORMERS = LayerTolerance(error=0.6, clipped=0.005)


def check(
    artifact: types.Artifact, split: types.Split, *, expected: Outputs, tolerance: Tolerance
) -> types.Verification:
    """Proves on one split that a file is the model it was made from.

    Args:
        artifact: the file and its claims (integer throughout, share of zeros, distinct values).
        split: the examples, all of which are run, and the task by which they are judged.
        expected: the model's answers to the same inputs, as the file is to give them: ``(examples, outputs)``, of
            several outputs such an array by each one's name.
        tolerance: how far the file may be from them.

    Returns:
        The score of the file and of the model, their agreement and largest difference, and the file's answers.

    Raises:
        VerificationError: naming file, check, and both numbers, if the file holds an operator that is not built in, a
            float operator or wrong dtypes though it claims to be integer (or the other way round), fewer zeros or
            more distinct values than it claims; if it answers with numbers that are not finite or not of the task; if
            it answers the same to everything, or no better than that; if agreement, score or differences are outside
            the tolerance; or if LiteRT's plain kernels compute another network, and the file does not say so.
        ValueError: if ``expected`` does not fit the split or is not finite itself.
    """
    task = split.task
    _check_expected(expected, split)
    data = artifact.path.read_bytes()
    if data[4:8] != b"TFL3":
        raise VerificationError(artifact.path, "format", wanted="a TFLite file, b'TFL3' at byte 4", got=data[:8])
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    _check_contents(artifact, model, task=task)
    try:
        answers = predict_tflite(data, split.inputs, kind=task.inputs)
    except ValueError as error:
        wanted = f"answers to raw inputs {getattr(split.inputs, 'shape', '')}"
        raise VerificationError(artifact.path, "running it", wanted=wanted, got=error) from error
    _check_answers(artifact, answers, expected)
    _refused(artifact, task.target.refuse(answers, integer=artifact.integer))
    _check_varied(artifact, answers, expected)
    measured, floating = (task.target.score(table, split.labels) for table in (answers, expected))
    agreement = float(np.mean(task.target.agree(answers, expected)))
    differences = task.target.difference(answers, expected)
    difference, mean = float(differences.max()), float(differences.mean())
    moved = round((1 - agreement) * len(split))
    if chance.too_many(moved, of=len(split), allowed=1 - tolerance.agreement):
        wanted = f">= {tolerance.agreement}"
        raise VerificationError(
            artifact.path, "agreement with its model", wanted=wanted, got=agreement, tolerance="agreement"
        )
    answered = [chance.Answered.of(task.target, table, split.labels) for table in (answers, expected)]
    if chance.worse(task.target, *answered, allowed=tolerance.score_drop):
        sign, least = ("-", ">=") if task.target.higher_is_better else ("+", "<=")
        wanted = f"{least} {floating.value:.4f} {sign} {chance.drop_words(task.target, tolerance.score_drop)}"
        raise VerificationError(
            artifact.path, f"score on {split.name}", wanted=wanted, got=measured.value, tolerance="score_drop"
        )
    _refused(artifact, task.target.lost(answers, expected, split.labels))
    _check_recall(artifact, task.target, split.labels, answers=answers, expected=expected, tolerance=tolerance)
    if tolerance.max_difference is not None and difference > tolerance.max_difference:
        wanted = f"<= {tolerance.max_difference} {task.target.difference_unit}".rstrip()
        raise VerificationError(artifact.path, "largest difference", wanted=wanted, got=difference)
    if tolerance.mean_difference is not None and mean > tolerance.mean_difference:
        wanted = f"<= {tolerance.mean_difference} {task.target.difference_unit}".rstrip()
        raise VerificationError(artifact.path, "mean difference", wanted=wanted, got=mean, tolerance="mean_difference")
    if not any(entry.name == types.KERNELS_ENTRY for entry in model.metadata or []):
        _check_plain_kernels(artifact, data, split, answers=answers, tolerance=tolerance)
    kept = {"errors": answered[0].errors, "answers": answers}
    return types.Verification(measured, floating.value, agreement, difference, **kept)


def _check_recall(
    artifact: types.Artifact,
    target: types.Target,
    labels: Outputs | Mapping[str, np.ndarray],
    *,
    answers: Outputs,
    expected: Outputs,
    tolerance: Tolerance,
) -> None:
    """No class has lost much of what the model finds of it, however few examples it has."""
    if isinstance(target, types.NamedTargets):
        for name, rows in target.labelled(labels).items():
            tables = {"answers": answers[name][rows], "expected": expected[name][rows]}
            part = types.targets_of(target)[name]
            _check_recall(artifact, part, labels[name][rows], **tables, tolerance=tolerance)
        return
    if not isinstance(target, types.ClassTarget):
        return
    given, asked, allowed = target.given(answers), target.given(expected), 1 - tolerance.agreement
    lost = chance.lost_recall(target.having(labels), given, asked, share=LOST_SHARE, allowed=allowed)
    if lost:
        wanted = f"at most {LOST_SHARE:.0%} lost of what the model finds of a class"
        got = ", ".join(f"{count} of {found} of {target.names[index]!r}" for index, (count, found) in lost.items())
        raise VerificationError(artifact.path, "recall of every class", wanted=wanted, got=got, tolerance="agreement")


def _check_plain_kernels(
    artifact: types.Artifact, data: bytes, split: types.Split, *, answers: Outputs, tolerance: Tolerance
) -> None:
    """Raises where LiteRT's plain kernels, which an app without a delegate has, compute another network than XNNPACK.

    For files that do not say that they need XNNPACK. A few examples are enough: plain kernels are slow, and wrong ones
    are wrong everywhere.
    """
    if not computed_by_delegate(data):
        return
    few, target = split.take(PLAIN_EXAMPLES), split.task.target
    rows = np.arange(len(few))
    given, wanted = predict_tflite(data, few.inputs, kind=split.task.inputs, plain=True), row_of(answers, rows)
    _check_answers(artifact, given, wanted)
    agreement = float(np.mean(target.agree(given, wanted)))
    if chance.too_many(round((1 - agreement) * len(few)), of=len(few), allowed=1 - tolerance.agreement):
        least = f">= {tolerance.agreement}, or that the file says that it needs XNNPACK"
        check = "agreement of plain kernels with XNNPACK"
        raise VerificationError(artifact.path, check, wanted=least, got=agreement, tolerance="agreement")


def _refused(artifact: types.Artifact, fault: tuple[str, object, object] | None) -> None:
    """Raises what a target says against a file's answers."""
    if fault is not None:
        check, wanted, got = fault
        raise VerificationError(artifact.path, check, wanted=wanted, got=got)


def _tables(answers: Outputs) -> dict[str, np.ndarray]:
    """Answers by the name of their output; one output needs none."""
    return dict(answers) if isinstance(answers, Mapping) else {"": np.asarray(answers)}


def _check_expected(expected: Outputs, split: types.Split) -> None:
    for table in _tables(expected).values():
        if table.ndim < (2 if split.task.target.outputs else 1) or len(table) != len(split) or not len(split):
            raise ValueError(f"Wanted answers ({len(split)}, outputs), not empty. Received: {table.shape}.")
        if not np.isfinite(table).all():
            raise ValueError("Wanted finite answers of the Keras model. Received: some that are not.")


def check_layers(
    artifact: types.Artifact,
    reference: bytes,
    *,
    inputs: np.ndarray | Mapping[str, np.ndarray],
    kind: types.Inputs | None = None,
    tolerance: LayerTolerance,
) -> types.LayerError:
    """Proves that no layer of a file from post-training quantization has lost its numbers.

    Args:
        artifact: the quantized file.
        reference: the float file that it was made from.
        inputs: raw examples like those on the phone, not those of the calibration; see `predict_tflite`.
        kind: what they are.
        tolerance: how far a layer may be off.

    Returns:
        The layer that is furthest off.

    Raises:
        VerificationError: naming the layer, if it is further off than the tolerance, or if its range was set by other
            examples than these, so that its numbers are cut off.
        ValueError: if the two files do not have the same layers.
    """
    rows = layer_errors(artifact.path, reference, inputs=inputs, kind=kind)
    for row in rows:
        if not row.clipped <= tolerance.clipped:  # NaN, too
            wanted = f"<= {tolerance.clipped:.1%} of its numbers outside; calibrate with examples like those of use"
            got, check = f"{row.clipped:.1%}", f"the range of {row.layer}"
            raise VerificationError(artifact.path, check, wanted=wanted, got=got, tolerance="clipped")
        if not row.error <= tolerance.error:
            wanted = f"an error <= {tolerance.error} of its root mean square"
            got, check = f"{row.error:.3f}", f"layer {row.layer}"
            raise VerificationError(artifact.path, check, wanted=wanted, got=got, tolerance="error")
    return max(rows, key=lambda row: row.error)


def _check_contents(artifact: types.Artifact, model: Any, *, task: types.Task) -> None:
    """What the file says of itself before it is run: operators, dtypes, zeros."""
    foreign, floating = [], []
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.CUSTOM:
                foreign.append((code.customCode or b"?").decode())
            touched = [index for index in (*operator.inputs, *operator.outputs) if index >= 0]
            if any(graph.tensors[index].type in _FLOATS for index in touched):
                floating.append(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex))
    if foreign:
        raise VerificationError(
            artifact.path, "built-in operators only", wanted="no Flex or custom operator", got=foreign
        )
    graph = model.subgraphs[0]
    for index in graph.inputs:
        tensor = graph.tensors[index]
        _check_input(artifact, tensor, types.kind_of(task.inputs, (tensor.name or b"").decode()))
    for index in graph.outputs:
        tensor = graph.tensors[index]
        asked = types.targets_of(task.target).get((tensor.name or b"").decode(), task.target)
        _check_output(artifact, tensor, asked)
    if artifact.integer and floating:
        raise VerificationError(artifact.path, "integer operators", wanted="no float operator", got=floating)
    if artifact.sparsity is not None:
        _check_sparsity(artifact, model, claim=artifact.sparsity)
    if artifact.clusters is not None:
        _check_clusters(artifact, model, claim=artifact.clusters)


def _check_input(artifact: types.Artifact, tensor: Any, kind: types.Inputs) -> None:
    """A float file takes what batches hold; an integer file raw bytes, ids, or numbers of a measured scale."""
    ids, measured = kind.batch_dtype == "int32", kind.calibration_range() is None
    if not artifact.integer:
        allowed = (_TYPES.INT32 if ids else _TYPES.FLOAT32,)
    elif measured:
        allowed = tuple(_LARGEST_INTEGERS)
    else:
        allowed = (_TYPES.INT32, _TYPES.INT64) if ids else (_TYPES.UINT8,)
    _check_type(artifact, "input", tensor, allowed)
    if artifact.integer and not measured and not ids:
        wanted, got = kind.calibration_range(), _scale_of(tensor)
        if got != wanted:
            raise VerificationError(artifact.path, "input scale and zero point", wanted=wanted, got=got)


def _check_output(artifact: types.Artifact, tensor: Any, target: types.Target) -> None:
    """A float file answers in floats; an integer file in one scale, which ends where the target's numbers do."""
    _check_type(artifact, "output", tensor, tuple(_LARGEST_INTEGERS) if artifact.integer else (_TYPES.FLOAT32,))
    if not artifact.integer:
        return
    got, limits = _scale_of(tensor), target.output_range
    highest = None if got is None else got[0] * (_LARGEST_INTEGERS[tensor.type] - got[1])
    if highest is None:
        raise VerificationError(artifact.path, "output scale", wanted="one scale and zero point", got=got)
    if limits is not None and highest > limits[1] + 0.01:
        wanted = f"one scale and zero point, whose largest number is at most {limits[1]:g}, a probability"
        raise VerificationError(artifact.path, "output scale", wanted=wanted, got=got)


def _check_type(artifact: types.Artifact, side: str, tensor: Any, allowed: Sequence[int]) -> None:
    if tensor.type not in allowed:
        wanted = " or ".join(flatbuffer_utils.type_to_name(kind) for kind in allowed)
        got = flatbuffer_utils.type_to_name(tensor.type)
        raise VerificationError(artifact.path, f"{side} dtype", wanted=wanted, got=got)


def _scale_of(tensor: Any) -> tuple[float, int] | None:
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None or len(quantization.scale) != 1:
        return None
    return float(quantization.scale[0]), int(quantization.zeroPoint[0])


def _check_sparsity(artifact: types.Artifact, model: Any, *, claim: float) -> None:
    """Pruned kernels have the zeros that were asked for: exactly in float, no fewer where small weights round to 0."""
    held = kernel_stats.of(model)
    # a mask cannot cut between two elements of a small kernel
    pruned = [one for one in held if one.zeros / one.size >= claim - max(SPARSITY_SLACK, 1 / one.size)]
    size, total = sum(one.size for one in pruned), sum(one.size for one in held)
    got = ", ".join(f"{one.zeros / one.size:.3f} of {one.size}" for one in held)
    if not total or size < PRUNED_SHARE * total:
        wanted = f"{claim:.3f} zeros in kernels that hold half of the weights"
        raise VerificationError(artifact.path, "claimed sparsity", wanted=wanted, got=got)
    achieved = sum(one.zeros for one in pruned) / size
    rounded = any(one.rounded for one in pruned)
    if achieved < claim - SPARSITY_SLACK or (achieved > claim + SPARSITY_SLACK and not rounded):
        wanted = f"{claim:.3f} zeros, to {SPARSITY_SLACK}, in the pruned kernels"
        raise VerificationError(artifact.path, "claimed sparsity", wanted=wanted, got=f"{achieved:.4f} ({got})")


def _check_clusters(artifact: types.Artifact, model: Any, *, claim: types.ClusterClaim) -> None:
    """Clustered kernels have no more values than was claimed: in a channel, or in a kernel as it is stored."""
    held, where = kernel_stats.of(model), "kernel" if claim.per_kernel else "channel"
    for size, wanted in Counter(claim.kernel_sizes).items():
        counts = sorted(
            one.distinct if claim.per_kernel else one.distinct_in_channel for one in held if one.size == size
        )
        if sum(count <= claim.num_clusters for count in counts) < wanted:
            wish = f"at most {claim.num_clusters} distinct values a {where} in {wanted} kernels of {size:,} weights"
            got = f"{len(counts)} such kernels, with {counts}"
            raise VerificationError(artifact.path, "claimed clusters", wanted=wish, got=got)


def _check_answers(artifact: types.Artifact, answers: Outputs, expected: Outputs) -> None:
    given, asked = _tables(answers), _tables(expected)
    if sorted(given) != sorted(asked):
        raise VerificationError(artifact.path, "outputs", wanted=sorted(asked), got=sorted(given))
    for name, table in given.items():
        if table.shape != asked[name].shape:
            raise VerificationError(artifact.path, "output shape", wanted=asked[name].shape, got=table.shape)
        finite = int(np.isfinite(table).reshape(len(table), -1).all(-1).sum())
        if finite < len(table):
            raise VerificationError(artifact.path, "finite answers", wanted=f"{len(table)} rows", got=f"{finite} rows")


def _check_varied(artifact: types.Artifact, answers: Outputs, expected: Outputs) -> None:
    """A file whose model tells examples apart does so, too."""
    asked = _tables(expected)
    for name, table in _tables(answers).items():
        if len(table) > 1 and (table == table[0]).all() and not (asked[name] == asked[name][0]).all():
            got = f"{table[0].tolist()} to all {len(table)} examples"
            raise VerificationError(artifact.path, "answers that depend on the input", wanted="more than one", got=got)
