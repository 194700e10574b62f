"""The exported file against the model it came from, on real data. Every disagreement raises; nothing is only logged.

The file is read and run here by other means than it was written with: operators and weights are counted anew, and
the whole split goes through the interpreter one example at a time, as it will on the phone.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from kerastl import types

# A kernel counts as pruned where its share of zeros comes this near to the claim, and this share of all kernel
# elements has to lie in pruned kernels: first and last layers usually stay dense.
SPARSITY_SLACK = 0.02
PRUNED_SHARE = 0.5

_TYPES = schema.TensorType
_FLOATS = (_TYPES.FLOAT16, _TYPES.BFLOAT16, _TYPES.FLOAT32, _TYPES.FLOAT64, _TYPES.COMPLEX64, _TYPES.COMPLEX128)


class VerificationError(Exception):
    """A file is not what it claims to be.

    Attributes:
        file: the file, or the run's variants, that failed.
        check: which check failed, for example ``"agreement"``.
        wanted, got: what the check asks for and what was found.
    """

    def __init__(self, file: object, check: str, *, wanted: object, got: object) -> None:
        super().__init__(f"{file} failed the check of {check}: wanted {wanted}, got {got}.")
        self.file, self.check, self.wanted, self.got = file, check, wanted, got


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How far a file may be from its model on one split. One example is always allowed, for a split may be tiny.

    Attributes:
        agreement: least share of examples with the same arg-max, 0..1.
        score_drop: most that the score may fall below the model's.
        max_difference: largest absolute difference of a probability, or ``None`` where it is only reported: one
            undecided example moves far under quantization and says little of the file.
    """

    agreement: float
    score_drop: float
    max_difference: float | None = None


FLOAT32 = Tolerance(agreement=0.9995, score_drop=0.0005, max_difference=1e-3)
FLOAT16 = Tolerance(agreement=0.998, score_drop=0.001, max_difference=0.1)
INT8 = Tolerance(agreement=0.98, score_drop=0.003)
INT4 = Tolerance(agreement=0.95, score_drop=0.02)


def run_file(file: Path | str | bytes, inputs: np.ndarray, *, workers: int | None = None) -> np.ndarray:
    """A TFLite file's answers, one example at a time, as the phone asks.

    Args:
        file: path of a file, or its bytes.
        inputs: ``(examples, *input_shape)``. Pictures are raw pixels 0..255 of any dtype: a uint8 file takes them as
            the bytes they are, a float file as the same numbers in float32.
        workers: interpreters that share the examples, each with one thread; ``None`` takes one a core that this process
            may use, eight at most. The answers do not depend on it. (Threads inside one interpreter wait for one
            another after every operator, and on a single core forever.)

    Returns:
        float32 array ``(examples, classes)``, dequantized by the output's scale.

    Raises:
        ValueError: if the inputs have another shape than the file's, are not whole numbers in the range of an integer
            input, or the file needs operators that are not built in.
    """
    name = "the file" if isinstance(file, (bytes, bytearray)) else str(file)
    data = _bytes_of(file)
    interpreter = _interpreter(data, name)
    sources, targets = interpreter.get_input_details(), interpreter.get_output_details()
    if len(sources) != 1 or len(targets) != 1:
        raise ValueError(f"Wanted one input and one output. Received: {len(sources)} and {len(targets)} in {name}.")
    source, target = sources[0], targets[0]
    inputs = np.asarray(inputs)
    if tuple(source["shape"]) != (1, *inputs.shape[1:]) or inputs.ndim != len(source["shape"]):
        wanted = ", ".join(str(size) for size in source["shape"][1:])
        raise ValueError(f"{name} wants inputs of shape (examples, {wanted}). Received: {inputs.shape}.")
    inputs = _as_fed(inputs, source, name)
    answers = np.empty((len(inputs), *target["shape"][1:]), target["dtype"])
    start, end = source["index"], target["index"]

    def run(interpreter: Interpreter, part: range) -> None:
        feed, invoke, fetch = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
        for index in part:
            feed(start, inputs[index : index + 1])
            invoke()
            answers[index] = fetch(end)[0]

    workers = max(1, min(workers or _cores(), len(inputs) // 100))  # an interpreter more has to pay for itself
    bounds = [len(inputs) * worker // workers for worker in range(workers + 1)]
    parts = [range(first, last) for first, last in itertools.pairwise(bounds)]
    interpreters = [interpreter, *(_interpreter(data, name) for _ in parts[1:])]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, interpreters, parts))
    scale, zero_point = target["quantization"]
    if np.issubdtype(answers.dtype, np.integer) and scale:
        return (answers.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return answers.astype(np.float32)


def _interpreter(data: bytes, name: str) -> Interpreter:
    interpreter = Interpreter(model_content=data, num_threads=1)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        raise ValueError(f"Wanted a file of built-in operators. Received: {name}, which cannot run: {error}") from error
    return interpreter


def _cores() -> int:
    """Cores that this process may use, eight at most."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, 8)


def score(probabilities: np.ndarray, labels: np.ndarray) -> types.Score:
    """Share of correct arg-maxes with its 95 % interval (Wilson 1927).

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``.

    Raises:
        ValueError: if there is no example, or the two differ in length.
    """
    if not len(labels) or len(probabilities) != len(labels):
        raise ValueError(f"Wanted one label a row. Received: {len(probabilities)} rows and {len(labels)} labels.")
    count, share = len(labels), float(np.mean(np.argmax(probabilities, -1) == labels))
    z = 1.959963984540054  # the normal distribution's 97.5 % point
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return types.Score(value=share, low=max(0.0, centre - half), high=min(1.0, centre + half), count=count)


def by_class(probabilities: np.ndarray, labels: np.ndarray, *, class_names: Sequence[str]) -> types.ByClass:
    """Recall of each class, their mean, and the baseline of always answering the most frequent class.

    Args:
        probabilities: ``(examples, classes)``.
        labels: class indices ``(examples,)``.
        class_names: one name a class.

    Raises:
        ValueError: if there is no example, or the shapes do not fit.
    """
    if not len(labels) or probabilities.shape != (len(labels), len(class_names)):
        raise ValueError(
            f"Wanted probabilities of shape (examples, {len(class_names)}) and one label a row. Received: "
            f"{probabilities.shape} and {len(labels)} labels."
        )
    examples = np.bincount(labels, minlength=len(class_names))
    right = np.bincount(labels[probabilities.argmax(-1) == labels], minlength=len(class_names))
    recall = [float(hits / count) if count else None for hits, count in zip(right, examples, strict=True)]
    return types.ByClass(
        examples={name: int(count) for name, count in zip(class_names, examples, strict=True)},
        recall=dict(zip(class_names, recall, strict=True)),
        balanced_accuracy=float(np.mean([value for value in recall if value is not None])),
        majority_baseline=float(examples.max() / len(labels)),
    )


def check(
    artifact: types.Artifact, split: types.Split, *, expected: np.ndarray, tolerance: Tolerance
) -> types.Verification:
    """Proves on one split that a file is the model it was made from.

    Args:
        artifact: the file and its claims (integer throughout, share of zeros).
        split: the examples, all of which are run.
        expected: the model's probabilities on the same inputs, ``(examples, classes)``.
        tolerance: how far the file may be from them.

    Returns:
        The score of the file and of the model, their agreement and largest difference.

    Raises:
        VerificationError: naming file, check, and both numbers, if the file holds an operator that is not built in, a
            float operator or wrong dtypes though it claims to be integer (or the other way round), fewer zeros than
            it claims; if it answers with numbers that are not finite or not probabilities; if it answers the same to
            everything; or if agreement, score or largest difference are outside the tolerance.
        ValueError: if ``expected`` does not fit the split or is not finite itself.
    """
    expected = np.asarray(expected)
    if expected.ndim != 2 or len(expected) != len(split) or not len(split):
        raise ValueError(f"Wanted probabilities ({len(split)}, classes), not empty. Received: {expected.shape}.")
    if not np.isfinite(expected).all():
        raise ValueError("Wanted finite probabilities of the Keras model. Received: some that are not.")
    data = artifact.path.read_bytes()
    if data[4:8] != b"TFL3":
        raise VerificationError(artifact.path, "format", wanted="a TFLite file, b'TFL3' at byte 4", got=data[:8])
    _check_contents(artifact, flatbuffer_utils.read_model_from_bytearray(bytearray(data)))
    try:
        answers = run_file(data, split.inputs)
    except ValueError as error:
        wanted = f"answers to raw inputs {split.inputs.shape}"
        raise VerificationError(artifact.path, "running it", wanted=wanted, got=error) from error
    _check_answers(artifact, answers, expected)
    measured, floating = score(answers, split.labels), score(expected, split.labels)
    agreement = float(np.mean(answers.argmax(-1) == expected.argmax(-1)))
    difference = float(np.abs(answers - expected).max())
    one = 1 / len(split)
    if (1 - agreement) > max(1 - tolerance.agreement, one) + 1e-12:
        raise VerificationError(
            artifact.path, "agreement with its model", wanted=f">= {tolerance.agreement}", got=agreement
        )
    if floating.value - measured.value > max(tolerance.score_drop, one) + 1e-12:
        wanted = f">= {floating.value:.4f} - {tolerance.score_drop}"
        raise VerificationError(artifact.path, f"score on {split.name}", wanted=wanted, got=measured.value)
    chance = 1 / expected.shape[1]
    if floating.low > chance >= measured.value:
        raise VerificationError(artifact.path, "score above chance", wanted=f"> {chance:.4f}", got=measured.value)
    if tolerance.max_difference is not None and difference > tolerance.max_difference:
        raise VerificationError(
            artifact.path, "largest difference", wanted=f"<= {tolerance.max_difference}", got=difference
        )
    return types.Verification(measured, floating.value, agreement, difference)


def choose(
    variants: Sequence[types.Variant],
    *,
    float_validation_score: float,
    prefer: str = "smallest",
    budget: float = 0.003,
) -> types.Choice:
    """The variant that goes to the phone, by validation scores only.

    Args:
        variants: the files with everything measured about them.
        float_validation_score: the float model's score on the validation split.
        prefer: ``"smallest"`` (bytes, then median latency) or ``"fastest"`` (median latency, then bytes).
        budget: how far below the float model's a validation score may be.

    Raises:
        ValueError: if ``prefer`` is another word, or there are no variants.
        VerificationError: if no variant is within the budget.
    """
    orders = {
        "smallest": lambda variant: (variant.facts.bytes, variant.latency.median),
        "fastest": lambda variant: (variant.latency.median, variant.facts.bytes),
    }
    if prefer not in orders or not variants:
        raise ValueError(
            f"Wanted variants, and prefer to be one of {', '.join(orders)}. "
            f"Received: {len(variants)} variants, prefer={prefer!r}."
        )
    least = float_validation_score - budget
    within = [variant for variant in variants if variant.validation.score.value >= least - 1e-12]
    names = ", ".join(f"{variant.artifact.name} {variant.validation.score.value:.4f}" for variant in variants)
    if not within:
        raise VerificationError("every variant", "the budget of the choice", wanted=f">= {least:.4f}", got=names)
    best = min(within, key=orders[prefer])
    ahead = [v for v in variants if orders[prefer](v) < orders[prefer](best)]
    why = (
        f"{best.artifact.name} ({best.artifact.technique}) is the {prefer} of the {len(within)} of {len(variants)} "
        f"variants whose validation score is within {budget:g} of the float model's {float_validation_score:.4f}: "
        f"{best.facts.bytes:,} bytes, {best.latency.median:.3f} ms, validation score "
        f"{best.validation.score.value:.4f}."
    )
    if ahead:
        listed = ", ".join(f"{v.artifact.name} ({v.validation.score.value:.4f})" for v in ahead)
        why += f" {'Smaller' if prefer == 'smallest' else 'Faster'} but outside the budget: {listed}."
    return types.Choice(best.artifact.name, why)


def _bytes_of(file: Path | str | bytes) -> bytes:
    data = bytes(file) if isinstance(file, (bytes, bytearray)) else Path(file).read_bytes()
    if data[4:8] != b"TFL3":
        raise ValueError(
            f"Wanted a TFLite file (identifier b'TFL3' at byte 4). Received: bytes that begin {data[:8]!r}."
        )
    return data


def _as_fed(inputs: np.ndarray, source: dict[str, Any], name: str) -> np.ndarray:
    """The inputs in the file's own dtype; integers are never rounded or wrapped into place."""
    wanted = np.dtype(source["dtype"])
    if not np.issubdtype(wanted, np.integer):
        return inputs.astype(wanted)
    scale, zero_point = source["quantization"]
    shift = zero_point if wanted == np.int8 and scale else 0  # the camera's bytes, moved into int8's range
    values = inputs.astype(np.float64) + shift
    limits = np.iinfo(wanted)
    fits = values.size == 0 or (values.min() >= limits.min and values.max() <= limits.max)
    if not fits or not (values == np.rint(values)).all():
        raise ValueError(
            f"{name} takes {wanted} inputs: whole numbers {limits.min - shift}..{limits.max - shift}, for pictures the "
            f"raw pixels. Received: {inputs.dtype} values from {inputs.min()} to {inputs.max()}."
        )
    return values.astype(wanted)


def _check_contents(artifact: types.Artifact, model: Any) -> None:
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
    ends = {"input": graph.tensors[graph.inputs[0]], "output": graph.tensors[graph.outputs[0]]}
    if not artifact.integer:
        for side, tensor in ends.items():
            if tensor.type != _TYPES.FLOAT32:
                got = flatbuffer_utils.type_to_name(tensor.type)
                raise VerificationError(artifact.path, f"{side} dtype", wanted="FLOAT32", got=got)
    else:
        for side, tensor in ends.items():
            _check_integer_end(artifact, side, tensor)
        if floating:
            raise VerificationError(artifact.path, "integer operators", wanted="no float operator", got=floating)
    if artifact.sparsity is not None:
        _check_sparsity(artifact, model)


def _check_integer_end(artifact: types.Artifact, side: str, tensor: Any) -> None:
    """Raw bytes in, whatever the side of the house they were made on; probabilities out with their scale."""
    allowed = (_TYPES.UINT8, _TYPES.INT32, _TYPES.INT64) if side == "input" else (_TYPES.UINT8, _TYPES.INT8)
    if tensor.type not in allowed:
        wanted = " or ".join(flatbuffer_utils.type_to_name(kind) for kind in allowed)
        got = flatbuffer_utils.type_to_name(tensor.type)
        raise VerificationError(artifact.path, f"{side} dtype", wanted=wanted, got=got)
    quantization, got = tensor.quantization, None
    if quantization is not None and quantization.scale is not None and len(quantization.scale) == 1:
        got = (float(quantization.scale[0]), int(quantization.zeroPoint[0]))
    if side == "input" and tensor.type == _TYPES.UINT8 and got != (1.0, 0):
        raise VerificationError(artifact.path, "input scale and zero point", wanted=(1.0, 0), got=got)
    if side == "output" and got is None:
        raise VerificationError(artifact.path, "output scale", wanted="one scale and zero point", got=got)


def _check_sparsity(artifact: types.Artifact, model: Any) -> None:
    claim = artifact.sparsity or 0.0
    shares = _zero_shares(model)
    pruned = sum(size for size, zeros in shares if zeros / size >= claim - SPARSITY_SLACK)
    total = sum(size for size, _ in shares)
    if pruned < PRUNED_SHARE * total or not total:
        got = ", ".join(f"{zeros / size:.3f} of {size}" for size, zeros in shares)
        wanted = f"at least {claim:.3f} zeros in kernels that hold half of the weights"
        raise VerificationError(artifact.path, "claimed sparsity", wanted=wanted, got=got)


def _zero_shares(model: Any) -> list[tuple[int, int]]:
    """Elements and zeros of each constant tensor of two or more axes that is a weight."""
    shares = []
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is None or not len(data) or tensor.shape is None or len(tensor.shape) < 2:
                continue
            data, size = np.asarray(data, np.uint8), int(np.prod(tensor.shape))
            if tensor.type in (_TYPES.INT4,):
                values = np.stack([data & 15, data >> 4], -1).reshape(-1)[:size]  # zero is the same in either sign
            elif tensor.type in (_TYPES.INT8, _TYPES.UINT8):
                values = data.view(np.int8 if tensor.type == _TYPES.INT8 else np.uint8)
            elif tensor.type in (_TYPES.FLOAT32, _TYPES.FLOAT16):
                values = data.view(np.float32 if tensor.type == _TYPES.FLOAT32 else np.float16)
            else:
                continue
            points = getattr(tensor.quantization, "zeroPoint", None)
            if points is not None and len(set(points)) > 1:
                shape = [1] * len(tensor.shape)
                shape[tensor.quantization.quantizedDimension] = len(points)
                zeros = values.reshape(tensor.shape) == np.reshape(points, shape)
            else:
                zeros = values == (points[0] if points is not None and len(points) else 0)
            shares.append((size, int(zeros.sum())))
    return shares


def _check_answers(artifact: types.Artifact, answers: np.ndarray, expected: np.ndarray) -> None:
    if answers.shape != expected.shape:
        raise VerificationError(artifact.path, "output shape", wanted=expected.shape, got=answers.shape)
    finite = int(np.isfinite(answers).all(-1).sum())
    if finite < len(answers):
        raise VerificationError(artifact.path, "finite answers", wanted=f"{len(answers)} rows", got=f"{finite} rows")
    # An 8-bit probability is off by up to half a step of 1/256, each of them.
    slack = 0.01 + answers.shape[1] / 512
    sums = answers.sum(-1)
    worst = float(sums[np.abs(sums - 1).argmax()])
    if abs(worst - 1) > slack or answers.min() < -1e-6:
        got = f"a row that sums to {worst:.4f}, least value {answers.min():.4f}"
        raise VerificationError(artifact.path, "probabilities", wanted="rows >= 0 that sum to 1", got=got)
    if len(answers) > 1 and (answers == answers[0]).all() and not (expected == expected[0]).all():
        got = f"{answers[0].tolist()} to all {len(answers)} examples"
        raise VerificationError(artifact.path, "answers that depend on the input", wanted="more than one", got=got)
