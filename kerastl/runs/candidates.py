"""Candidates: the files that a run measures, how each was made, and what it has to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from kerastl.compress import float_file, mixed_precision, ptq
from kerastl.compress.float_file import Examples
from kerastl.export import tflite
from kerastl.system import near_names
from kerastl.types import ClusterClaim, Split, Task
from kerastl.verify import checks, predictions

if TYPE_CHECKING:
    import keras

    from kerastl.training import fitting

Made = TypeVar("Made")
_CALIBRATION = 500
_PROBES = 16  # examples of which a few are run through every finished file
"""Examples of a split that calibrate what is integer throughout, where none are given."""


@dataclasses.dataclass(frozen=True)
class Technique:
    """How a file was made: in words, whether it claims to be integer throughout, how far it may be from its model.

    One made by post-training quantization also says how far its layers may be from the float file's.
    """

    description: str
    tolerance: checks.Tolerance
    integer: bool = False
    layers: checks.LayerTolerance | None = None


TECHNIQUES = {
    "float32": Technique("float32", checks.FLOAT32),
    "float16": Technique("float16 weights", checks.FLOAT16),
    "dynamic_int8": Technique("post-training int8 weights, float activations", checks.INT8, layers=checks.LAYERS_INT8),
    "static_int8": Technique(
        "post-training int8 weights and activations", checks.INT8, integer=True, layers=checks.LAYERS_INT8
    ),
    "qat_int8": Technique("quantization-aware training, int8 weights and activations", checks.INT8, integer=True),
    "static_int16_activations": Technique(
        "post-training int8 weights, int16 activations", checks.INT8, integer=True, layers=checks.LAYERS_INT8
    ),
    "weight_only_int8": Technique(
        "post-training int8 weights, float arithmetic", checks.INT8, layers=checks.LAYERS_INT8
    ),
    "mixed_precision": Technique(
        "post-training int4, int8 and float weights by sensitivity, float activations",
        checks.INT4,
        layers=checks.LAYERS_INT4,
    ),
    "int4_weights": Technique("post-training int4 weights, float activations", checks.INT4, layers=checks.LAYERS_INT4),
}


_BEHIND_FLOAT = {
    name: dataclasses.replace(how, description=f"{how.description}, behind a float front end", integer=False)
    for name, how in TECHNIQUES.items()
    if name in ("dynamic_int8", "static_int8")
}
"""What these are of a model whose first part computes in float32."""

POST_TRAINING = (
    *("float32", "float16", "dynamic_int8", "weight_only_int8", "static_int8", "int4_weights"),
    "mixed_precision",
)
"""Every way of storing a trained model's weights, from all 32 bits to as few as its answers allow, that phones run
fast: those of 16-bit activations they do not."""


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A TFLite file and the float model that it has to be.

    Attributes:
        name: unique in the run.
        technique: a key of ``TECHNIQUES``, or a `Technique` of one's own.
        tflite: the file's bytes, without metadata.
        model: the Keras model it was made from; emits logits or probabilities.
        eligible: whether it may be chosen for the phone; a teacher may not.
        failed: why the technique gave no file of this model; empty where there is one. The run leaves it out, and says
            so.
        baseline: whether the run says it loudly where this file does as well as the chosen one: a linear probe, or a
            student without the teacher.
        model_choice: of a model that was left behind, why validation took another (`model_selection.Selection.why`).
        sparsity: share of zeros its pruned kernels have to have, or ``None``.
        clusters: how few distinct values its clustered kernels have to have (`compress.cluster.claim`), or ``None``.
    """

    name: str
    technique: str | Technique
    tflite: bytes
    model: keras.Model
    eligible: bool = True
    sparsity: float | None = None
    clusters: ClusterClaim | None = None
    baseline: bool = False
    failed: str = ""
    model_choice: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.technique, str) and self.technique not in TECHNIQUES:
            raise ValueError(
                f"There is no technique {self.technique!r}.{near_names.did_you_mean(self.technique, TECHNIQUES)} "
                f"Available: {', '.join(TECHNIQUES)}; or a `runs.Technique` of your own."
            )

    @property
    def how(self) -> Technique:
        """The technique itself."""
        return TECHNIQUES[self.technique] if isinstance(self.technique, str) else self.technique


Student: TypeAlias = "keras.Model | fitting.Trained | tflite.Converted | bytes | Mapping[str, np.ndarray]"
"""A Keras model, the bytes of a TFLite file, a stage's result of either, or answers by split, of one that reads other
inputs."""


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline:
    """Students that a teacher taught beside the same students without it, for as many steps.

    Each of them is a Keras model or a TFLite file, by itself or as a stage gives it, or answers ``(examples, classes)``
    by split, ``"validation"`` and ``"test"``: those of a teacher that reads other inputs.

    Attributes:
        teacher: of all students.
        distilled, trained_alone: one a seed each, a pair a place; the latter may be none, and nothing is compared.
        steps: of the optimizer that each student has learnt for.
        seeds: of the pairs; by default those of the run that `publish` is given.

    Raises:
        ValueError: the numbers of seeds, distilled and alone differ.
    """

    teacher: Student
    distilled: Sequence[Student]
    trained_alone: Sequence[Student]
    steps: int
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        seeds = range(len(self.distilled)) if self.seeds is None else self.seeds
        counts = {len(seeds), len(self.distilled), len(self.trained_alone) or len(self.distilled)}
        if len(counts) > 1 or not seeds:
            raise ValueError(
                f"Wanted a student that was taught and one that was not for each seed. Received: {len(self.distilled)} "
                f"and {len(self.trained_alone)} for seeds {'of the run' if self.seeds is None else list(self.seeds)}."
            )


def attempt(name: str, make: Callable[[], Made], *, skipped: dict[str, str]) -> Made | None:
    """What a technique gives; ``None`` where it cannot be done with this model, which is said and kept.

    Args:
        name: of the technique.
        make: does it.
        skipped: gets the reason under the name.
    """
    try:
        return make()
    except (ValueError, RuntimeError) as error:  # an interpreter that cannot run a file says so by the latter
        skipped[name] = " ".join(str(error).split())
        print(f"skipped: {name}: {skipped[name]}")
        return None


def post_training(
    model: keras.Model,
    data: Task | Split,
    *,
    techniques: Sequence[str],
    calibration: Examples | None = None,
    rounding: Examples | None = None,
    validation: Split | None = None,
    max_score_drop: float = 0.0,
    front_end: str = "",
    sparsity: float | None = None,
    clusters: ClusterClaim | None = None,
    prefix: str = "",
    eligible: bool = True,
    baseline: bool = False,
    skipped: dict[str, str] | None = None,
) -> list[Candidate]:
    """The float32 file of a model and what post-training quantization makes of it, a candidate each.

    Args:
        model: a float model.
        data: what it is for: a task, or the split that it learned from, which knows its task.
        techniques: of ``"float32"``, ``"float16"``, ``"dynamic_int8"``, ``"weight_only_int8"``, ``"static_int8"``,
            ``"static_int16_activations"``, ``"int4_weights"`` and ``"mixed_precision"``, in the order wanted.
        calibration: some hundred training examples, for the static ones; by default the first 500 of the split.
        rounding: some hundred training examples by whose answers the integers of 4-bit weights are chosen, minutes for
            a large net; ``None`` takes the integer nearest to each weight. Clustered kernels keep the nearest: the
            integers of a cluster would be several.
        validation: the split that mixed precision is searched on, a thousand examples of it.
        max_score_drop: score that the file of mixed precision may lose there against the float32 file.
        front_end: name of the layer up to which ``"dynamic_int8"`` and ``"static_int8"`` compute in float32, with
            kernels that are stored in 8 bits: of a spectrogram whose quiet bands would be lost beside the loud ones.
            They are called ``..._float_front_end``, and none is one of integers throughout.
        sparsity: share of zeros that all of them claim.
        clusters: how few distinct values all of them claim.
        prefix: stands before each candidate's name.
        eligible: whether one of them may be chosen for the phone; those of a teacher may not.
        baseline: whether they are what the chosen file has to beat, see `Candidate`.
        skipped: gets the techniques that cannot be done with this model, and why; without it each comes as a candidate
            that has failed.

    Raises:
        ValueError: if there is no such technique, a static one has no calibration, or mixed precision no validation
            split; or the model has no float32 file.
    """
    task = data.task if isinstance(data, Split) else data
    static = [name for name in techniques if name.startswith("static")]
    if static and calibration is None and isinstance(data, Split):
        calibration = data.take(_CALIBRATION).inputs
    float32, inputs = tflite.convert(model, task), task.inputs
    shown = np.empty(0) if calibration is None else calibration
    some = data.take(_PROBES).inputs if isinstance(data, Split) else None
    looked_at: dict[str, Any] = {"examples": some, "inputs": inputs}
    rounding = None if clusters is not None else rounding
    before: dict[str, Any] = {"weight_only": float_file.up_to(float32, front_end)} if front_end else {}
    makes: dict[str, Callable[[], bytes]] = {
        "float32": lambda: float32,
        "float16": lambda: ptq.float16(float32, **looked_at),
        "dynamic_int8": lambda: ptq.dynamic_int8(float32, **before, **looked_at),
        "weight_only_int8": lambda: ptq.weight_only_int8(float32, **looked_at),
        "static_int8": lambda: ptq.static_int8(float32, calibration=shown, inputs=inputs, **before),
        "static_int16_activations": lambda: ptq.static_int16_activations(float32, calibration=shown, inputs=inputs),
        "int4_weights": lambda: ptq.int4_weights(float32, calibration=rounding, inputs=inputs),
    }
    if validation is not None:
        makes["mixed_precision"] = lambda: _mixed(float32, validation, drop=max_score_drop, calibration=rounding)
    unknown = [name for name in techniques if name not in makes]
    if unknown or (static and calibration is None):
        raise ValueError(
            f"Wanted techniques of {', '.join(makes)}, and calibration examples for the static ones; mixed_precision "
            f"needs validation=. Received: {', '.join(techniques)}"
            f"{'' if calibration is not None else ', no calibration'}{'' if validation is not None else ', no split'}."
        )
    claims: dict[str, Any] = {"eligible": eligible, "baseline": baseline, "sparsity": sparsity, "clusters": clusters}
    made: list[Candidate] = []
    for name in techniques:
        reasons: dict[str, str] = {} if skipped is None else skipped
        content = attempt(prefix + name, makes[name], skipped=reasons)
        if content or skipped is None:
            why = reasons.get(prefix + name, "")
            how = _BEHIND_FLOAT.get(name, name) if front_end else name
            called = prefix + name + ("_float_front_end" if how is not name else "")
            made.append(Candidate(called, how, content or b"", model, failed=why, **claims))
    return made


def _mixed(float32: bytes, validation: Split, *, drop: float, calibration: Examples | None) -> bytes:
    """The smallest file of 4-bit, 8-bit and float kernels that loses no more score than is accepted."""
    held, task = validation.take(1000), validation.task

    def score(file: bytes) -> float:
        answers = predictions.predict_tflite(file, held.inputs, kind=task.inputs)
        return task.target.score(answers, held.labels).value

    options: dict[str, Any] = {"calibration": calibration, "inputs": task.inputs}
    measured = mixed_precision.sensitivities(
        float32,
        answers=lambda file: predictions.predict_tflite(file, held.take(200).inputs, kind=task.inputs),
        target=task.target,
        **options,
    )
    whole = score(float32)
    if task.target.higher_is_better:
        return mixed_precision.search(float32, measured, score=score, least=whole - drop, **options).content

    def gained(file: bytes) -> float:
        return -task.target.drop(score(file), whole)

    return mixed_precision.search(float32, measured, score=gained, least=-drop, **options).content
