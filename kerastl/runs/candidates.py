"""Candidates: the files that a run measures, how each was made, and what it has to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from kerastl.compress import ptq
from kerastl.export import tflite
from kerastl.system import near_names
from kerastl.types import ClusterClaim, Split, Task
from kerastl.verify import checks

if TYPE_CHECKING:
    import keras

    from kerastl.training import fitting

_CALIBRATION = 500
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


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A TFLite file and the float model that it has to be.

    Attributes:
        name: unique in the run.
        technique: a key of ``TECHNIQUES``, or a `Technique` of one's own.
        tflite: the file's bytes, without metadata.
        model: the Keras model it was made from; emits logits or probabilities.
        eligible: whether it may be chosen for the phone; a teacher may not.
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
        distilled, trained_alone: one a seed each, a pair a place.
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
        if not len(seeds) == len(self.distilled) == len(self.trained_alone) or not seeds:
            raise ValueError(
                f"Wanted a student that was taught and one that was not for each seed. Received: {len(self.distilled)} "
                f"and {len(self.trained_alone)} for seeds {'of the run' if self.seeds is None else list(self.seeds)}."
            )


def post_training(
    model: keras.Model,
    data: Task | Split,
    *,
    techniques: Sequence[str],
    calibration: np.ndarray | None = None,
    sparsity: float | None = None,
    prefix: str = "",
    eligible: bool = True,
) -> list[Candidate]:
    """The float32 file of a model and what post-training quantization makes of it, a candidate each.

    Args:
        model: a float model.
        data: what it is for: a task, or the split that it learned from, which knows its task.
        techniques: of ``"float32"``, ``"float16"``, ``"dynamic_int8"``, ``"weight_only_int8"``, ``"static_int8"``,
            ``"static_int16_activations"`` and ``"int4_weights"``, in the order wanted.
        calibration: some hundred training examples, for the static ones; by default the first 500 of the split.
        sparsity: share of zeros that all of them claim.
        prefix: stands before each candidate's name.
        eligible: whether one of them may be chosen for the phone; those of a teacher may not.

    Raises:
        ValueError: if there is no such technique, or a static one has no calibration.
    """
    task = data.task if isinstance(data, Split) else data
    static = [name for name in techniques if name.startswith("static")]
    if static and calibration is None and isinstance(data, Split) and not isinstance(data.inputs, Mapping):
        calibration = data.inputs[:_CALIBRATION]
    float32, inputs = tflite.convert(model, task), task.inputs
    shown = np.empty(0) if calibration is None else calibration
    makes = {
        "float32": lambda: float32,
        "float16": lambda: ptq.float16(float32),
        "dynamic_int8": lambda: ptq.dynamic_int8(float32),
        "weight_only_int8": lambda: ptq.weight_only_int8(float32),
        "static_int8": lambda: ptq.static_int8(float32, calibration=shown, inputs=inputs),
        "static_int16_activations": lambda: ptq.static_int16_activations(float32, calibration=shown, inputs=inputs),
        "int4_weights": lambda: ptq.int4_weights(float32),
    }
    unknown = [name for name in techniques if name not in makes]
    if unknown or (static and calibration is None):
        raise ValueError(
            f"Wanted techniques of {', '.join(makes)}, and calibration examples for the static ones. Received: "
            f"{', '.join(techniques)}{'' if calibration is not None else ', no calibration'}."
        )
    return [
        Candidate(f"{prefix}{name}", name, makes[name](), model, eligible=eligible, sparsity=sparsity)
        for name in techniques
    ]
