"""The last stretch of every recipe's corridor: verify each file, measure it, choose one, report, publish.

Four recipes walked it with the same steps, so it became one function. Like a recipe, it goes through several rooms.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import verify
from kerastl.export import metadata, phone, saved_model, serving
from kerastl.runs import report, store
from kerastl.system import atomic_files
from kerastl.training import fitting
from kerastl.types import Artifact, ClusterClaim, Dataset, History, Score, Split, Variant, Verification
from kerastl.verify import baseline, benchmark, checks


@dataclasses.dataclass(frozen=True)
class Technique:
    """How a file was made: a description, whether it claims to be integer throughout, how far it may be from its model.

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
        technique: a key of ``TECHNIQUES``.
        tflite: the file's bytes, without metadata.
        model: the Keras model it was made from; emits logits or probabilities.
        eligible: whether it may be chosen for the phone; a teacher may not.
        sparsity: share of zeros its pruned kernels have to have, or ``None``.
        clusters: how few distinct values its clustered kernels have to have (`compress.cluster.claim`), or ``None``.
    """

    name: str
    technique: str
    tflite: bytes
    model: Any
    eligible: bool = True
    sparsity: float | None = None
    clusters: ClusterClaim | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Baseline:
    """Students that a teacher taught beside the same students without it, for as many steps.

    Each of them is a Keras model, the bytes of a TFLite file, or answers ``(examples, classes)`` by split,
    ``"validation"`` and ``"test"``: those of a teacher that reads other inputs.

    Attributes:
        teacher: of all students.
        distilled, trained_alone: one a seed each, a pair a place.
        seeds: of the pairs.
        steps: of the optimizer that each student has learnt for.

    Raises:
        ValueError: the numbers of seeds, distilled and alone differ.
    """

    teacher: Any
    distilled: Sequence[Any]
    trained_alone: Sequence[Any]
    seeds: Sequence[int]
    steps: int

    def __post_init__(self) -> None:
        if not len(self.seeds) == len(self.distilled) == len(self.trained_alone) or not self.seeds:
            raise ValueError(
                f"Wanted a student that was taught and one that was not for each seed. Received: {len(self.distilled)} "
                f"and {len(self.trained_alone)} for seeds {list(self.seeds)}."
            )


def publish(
    run: store.Run,
    dataset: Dataset,
    *,
    model: Any,
    candidates: Sequence[Candidate],
    curves: Sequence[History] = (),
    prefer: str = "smallest",
    max_score_drop: float = 0.003,
    max_quantization_drop: float = 0.003,
    min_agreement: float = 0.98,
    max_saturation: float = 0.005,
    control: Baseline | None = None,
    skipped: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Verifies, measures and chooses on validation data, then reports on the test split and publishes ``mobile/``.

    Args:
        run: the run folder.
        dataset: validation chooses; test is looked at once, after the choice.
        model: the float model that ``max_score_drop`` is counted from; saved as ``model.keras`` and as a SavedModel.
        candidates: every file of the run. A file from post-training quantization is also compared layer by layer with
            the float32 candidate of the same model, on validation examples.
        curves: training curves for the page.
        prefer: ``"smallest"`` or ``"fastest"``.
        max_score_drop: score that the chosen file may lose against ``model`` on validation; 0.003 is 0.3 points.
        max_quantization_drop: score that an int8 file may lose against its own model on either split.
        min_agreement: least share of examples on which an int8 file has to answer like its model. A float16 file may
            disagree a quarter as often, and lose half of ``max_quantization_drop``: where classes are hard to tell,
            some examples lie so close to the border that any rounding moves them over it.
        max_saturation: largest share of a layer's numbers on held-out examples that may lie outside the range that its
            calibration found. Few calibration examples know the range less well.
        control: for the report, what a teacher gave over seeds; scored after the choice like everything else.
        skipped: techniques that gave no file, and why, for the report. A file that is not its model within its
            tolerance then joins them, where otherwise it ends the run: of many techniques tried on somebody's model
            some will not do. The float32 file of ``model`` and the chosen one have to hold all the same.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        verify.VerificationError: if a file is not its model within its tolerance, or no file is within
            ``max_score_drop``;
            nothing is published then.
    """
    check = _Check(int8=_asked_of_int8(min_agreement=min_agreement, max_quantization_drop=max_quantization_drop))
    floats = {id(candidate.model): candidate.tflite for candidate in candidates if candidate.technique == "float32"}
    refused = None if skipped is None else dict(skipped)
    measures = [one for one in candidates if one.model is model and one.technique == "float32"]
    measured: list[tuple[Candidate, Variant]] = []
    for candidate in candidates:
        reference = floats.get(id(candidate.model))
        with _leaving_out(candidate, refused, run.folder, needed=candidate in measures):
            variant = _measure(
                candidate, run.folder, dataset, check, reference=reference, max_saturation=max_saturation
            )
            measured.append((candidate, variant))
    choice = verify.select(
        [variant for candidate, variant in measured if candidate.eligible],
        prefer=prefer,
        budget=max_score_drop,
        float_validation_score=verify.score(check.expected(model, dataset.validation), dataset.validation.labels).value,
    )
    # only now, with every choice made, the test split
    variants = []
    for candidate, variant in measured:
        needed = candidate in measures or candidate.name == choice.name
        with _leaving_out(candidate, refused, run.folder, needed=needed):
            tested = check(variant.artifact, candidate, dataset.test)
            variants.append(dataclasses.replace(variant, test=tested))
    chosen = next(variant.artifact for variant in variants if variant.artifact.name == choice.name)
    answers = verify.predict_tflite(chosen.path, dataset.test.inputs)
    result = report.build(
        run.metadata,
        dataset,
        folder=run.folder,
        stages=run.stages,
        variants=variants,
        choice=choice,
        by_class=verify.per_class_metrics(answers, dataset.test.labels, class_names=dataset.task.class_names),
        skipped=refused,
        frontier=verify.pareto_front(variants),
        control=None if control is None else _gained(control, dataset, check),
    )
    task = dataset.task
    mistakes = report.misclassified(dataset.test, answers, class_names=task.class_names, vocabulary=task.vocabulary)
    fitting.save_model(serving.with_probabilities(model, multi_label=task.multi_label), run.folder / "model.keras")
    saved_model.write(model, run.folder / "saved_model", multi_label=task.multi_label)
    report.write(result, run.folder, curves=curves, mistakes=mistakes)
    store.publish(run.folder, phone.files(chosen.path.read_bytes(), report=result))
    report.print_table(result)
    return result


@contextlib.contextmanager
def _leaving_out(candidate: Candidate, refused: dict[str, str] | None, folder: Path, *, needed: bool) -> Iterator[None]:
    """Takes a file that fails its check out of the run, where that is allowed and it is not needed."""
    try:
        yield
    except verify.VerificationError as error:
        if refused is None or needed:
            raise
        _path(candidate, folder).unlink()
        refused[candidate.name] = f"failed the check of {error.check}: wanted {error.wanted}, got {error.got}"


def _gained(control: Baseline, dataset: Dataset, check: _Check) -> dict[str, Any]:
    def answers(one: Any, split: Split) -> np.ndarray:
        if isinstance(one, Mapping):
            return one[split.name]
        return verify.predict_tflite(one, split.inputs) if isinstance(one, bytes) else check.expected(one, split)

    def scores(one: Any) -> dict[str, float]:
        splits = {"validation_score": dataset.validation, "score": dataset.test}
        return {key: verify.score(answers(one, split), split.labels).value for key, split in splits.items()}

    teacher = scores(control.teacher)
    distilled, alone = ([scores(student) for student in each] for each in (control.distilled, control.trained_alone))
    found = baseline.recovered_gap(
        teacher=teacher["score"],
        distilled=[one["score"] for one in distilled],
        alone=[one["score"] for one in alone],
    )
    rows = {"teacher": teacher, "distilled": distilled, "alone": alone}
    return {**rows, "seeds": list(control.seeds), "steps": control.steps, **dataclasses.asdict(found)}


_UNSEEN = Verification(Score(0.0, 0.0, 1.0, 0), 0.0, 0.0, 0.0)
"""Stands for the test split while it must not be looked at."""


def _asked_of_int8(*, min_agreement: float, max_quantization_drop: float) -> checks.Tolerance:
    """As `checks.INT8`; an example that may be answered otherwise may also move by as much as 1."""
    further = max(checks.INT8.agreement - min_agreement, 0.0)
    return dataclasses.replace(
        checks.INT8,
        agreement=min_agreement,
        score_drop=max_quantization_drop,
        mean_difference=(checks.INT8.mean_difference or 0.0) + further,
    )


class _Check:
    """Files against their models; each model's answers are computed once a split."""

    def __init__(self, *, int8: checks.Tolerance) -> None:
        looser = checks.Tolerance(
            agreement=min(checks.INT4.agreement, int8.agreement),
            score_drop=max(checks.INT4.score_drop, int8.score_drop),
            mean_difference=max(checks.INT4.mean_difference or 0.0, int8.mean_difference or 0.0),
        )
        stricter = dataclasses.replace(
            checks.FLOAT16,
            agreement=min(checks.FLOAT16.agreement, 1 - (1 - int8.agreement) / 4),
            score_drop=max(checks.FLOAT16.score_drop, int8.score_drop / 2),
        )
        self._tolerances = {checks.INT8: int8, checks.INT4: looser, checks.FLOAT16: stricter}
        self._answers: dict[tuple[int, str], np.ndarray] = {}

    def __call__(self, artifact: Artifact, candidate: Candidate, split: Split) -> Verification:
        usual = TECHNIQUES[candidate.technique].tolerance
        return verify.check(
            artifact,
            split,
            expected=self.expected(candidate.model, split),
            tolerance=self._tolerances.get(usual, usual),
        )

    def expected(self, model: Any, split: Split) -> np.ndarray:
        """The probabilities of a float model."""
        key = (id(model), split.name)
        if key not in self._answers:
            served = serving.with_probabilities(model, multi_label=split.multi_label)
            self._answers[key] = fitting.predict(served, split.inputs)
        return self._answers[key]


def _write(candidate: Candidate, folder: Path, dataset: Dataset) -> Artifact:
    """Puts labels, and normalization or vocabulary, into the file and writes it to ``variants/``."""
    technique = TECHNIQUES[candidate.technique]
    content = metadata.add(
        candidate.tflite,
        class_names=dataset.task.class_names,
        vocabulary=dataset.task.vocabulary,
        name=dataset.task.name,
        description=f"{dataset.task.name}, {technique.description}",
        multi_label=dataset.task.multi_label,
    )
    path = _path(candidate, folder)
    atomic_files.write_bytes(path, content)
    return Artifact(
        candidate.name,
        technique.description,
        path,
        integer=technique.integer,
        sparsity=candidate.sparsity,
        clusters=candidate.clusters,
    )


def _path(candidate: Candidate, folder: Path) -> Path:
    return folder / "variants" / f"{candidate.name}.tflite"


def _measure(
    candidate: Candidate,
    folder: Path,
    dataset: Dataset,
    check: _Check,
    *,
    reference: bytes | None,
    max_saturation: float,
) -> Variant:
    artifact, layers = _write(candidate, folder, dataset), TECHNIQUES[candidate.technique].layers
    facts = benchmark.inspect(artifact.path)
    attends = "BATCH_MATMUL" in facts.operators.by_type  # attention is two products of activations
    if layers is not None and (attends or dataset.validation.is_text):
        layers = checks.LAYERS_OF_TRANSFORMERS
    if layers is not None:
        layers = dataclasses.replace(layers, clipped=max(max_saturation, layers.clipped))
    return Variant(
        artifact,
        facts,
        benchmark.latency(artifact.path),
        validation=check(artifact, candidate, dataset.validation),
        test=_UNSEEN,
        worst_layer=None
        if layers is None or reference is None
        else verify.check_layers(artifact, reference, inputs=dataset.validation.inputs[:100], tolerance=layers),
    )
