"""The last stretch of every recipe's corridor: verify each file, measure it, choose one, report, publish.

Four recipes walked it with the same steps, so it became one function. Like a recipe, it goes through several rooms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import verify
from kerastl.export import keras_graph, metadata, packing, phone, runtimes, saved_model, serving, tflite
from kerastl.runs import acceptance, baselines, board, head_files, report, rows, selective, single_tasks, store
from kerastl.runs.acceptance import Acceptance
from kerastl.runs.candidates import TECHNIQUES, Baseline, Candidate
from kerastl.runs.page import mistakes, overview
from kerastl.system import atomic_files
from kerastl.tasks import single_label
from kerastl.training import fitting
from kerastl.types import (
    Artifact,
    Choice,
    Dataset,
    History,
    Latency,
    Score,
    Split,
    Target,
    Task,
    Variant,
    Verification,
    settings,
)
from kerastl.verify import baseline, benchmark, chance, checks, selection


def publish(
    run: store.Run,
    dataset: Dataset,
    *,
    model: Any,
    candidates: Sequence[Candidate],
    curves: Sequence[History] = (),
    accept: Acceptance | None = None,
    control: Baseline | None = None,
    single: Mapping[str, fitting.Trained] | None = None,
    file_per_task: bool = False,
    skipped: Mapping[str, str] | None = None,
    privacy: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Verifies, measures and chooses on validation data, then reports on the test split and publishes ``mobile/``.

    Args:
        run: the run folder.
        dataset: validation chooses; test is looked at once, after the choice.
        model: the float model that ``max_score_drop`` is counted from; saved as ``model.keras`` and as a SavedModel.
        candidates: every file of the run. A file from post-training quantization is also compared layer by layer with
            the float32 candidate of the same model, on validation examples.
        curves: training curves for the page.
        accept: how far files may be from their models, and which is preferred; by default the setting `accept` of the
            run's config, or `Acceptance()` where it has none. A float16 file may disagree a quarter as often as an int8
            file, and lose half of what that may lose: where classes are hard to tell, some examples lie so close to the
            border that any rounding moves them over it.
        control: for the report, what a teacher gave over seeds; scored after the choice like everything else.
        single: of a target of several tasks a model trained on each task alone, by its name: the report puts its file
            beside the chosen one, see `single_tasks.compare`.
        file_per_task: whether each of several tasks is written into a file of its own as well, see `head_files.write`.
        skipped: techniques that gave no file, and why, for the report. A file that is not its model within its
            tolerance, on validation or on test, joins them, with the flag that would let it pass; where the chosen one
            does, the next takes its place.
        privacy: of a private training what its report says, see `privacy_report.of_training`.
        notes: what else has to be said loudly, a sentence each.

    Returns:
        The report, as written to ``report.json``.

    Raises:
        verify.VerificationError: no file is left, or none within ``max_score_drop``; nothing is published, and what was
            published before stays.
    """
    task, target = dataset.task, dataset.task.target
    accept, control = _of_config(run, accept, control)
    settings.check(accept, prefix="accept.")
    acceptance.check_reject_option(accept, target)
    check = _Check(int8=_asked_of_int8(accept), others=selective.others(accept.other, task.inputs))
    refused = dict(skipped or {})
    measured = _measured(candidates, run.folder, dataset, check, refused=refused, accept=accept)
    own = chance.Answered.of(target, check.expected(model, dataset.validation), dataset.validation.labels)

    def proven(candidate: Candidate, variant: Variant) -> Variant | None:
        with _leaving_out(candidate, refused, run.folder):
            return dataclasses.replace(variant, test=check(variant.artifact, candidate, dataset.test))
        return None

    choice, tested = _proven_on_test(
        measured, proven, choose=lambda found: _chosen(found, target, accept, own, refused)
    )
    rivals = [tested[name] for name, (candidate, _) in measured.items() if candidate.baseline]
    variants = _with_origins([(measured[name][0], tested[name]) for name in measured], kept=model)
    chosen = tested[choice.name].artifact
    answers = verify.predict_tflite(chosen.path, dataset.test.inputs, kind=task.inputs)
    eligible = [variant for variant in variants if variant.eligible]
    result = report.build(
        {**run.metadata, "settings": run.settings},
        dataset,
        folder=run.folder,
        stages=run.stages,
        variants=variants,
        choice=choice,
        details=target.details(answers, dataset.test.labels),
        skipped=refused,
        frontier=verify.pareto_front(eligible, target=target),
        budget=selection.budget(target, own.score, allowed=accept.max_score_drop),
        ties=selection.ties(eligible, choice.name, target=target),
        control=_gained(control, dataset, check) if control and control.trained_alone else None,
        baselines=baselines.measured(dataset, files=rivals),
        mistakes=_mistakes(dataset.test, answers, choice.name, variants=variants, check=check, folder=run.folder),
        accept=dataclasses.asdict(accept),
        model_choice=" ".join(dict.fromkeys(one.model_choice for one in candidates if one.model_choice)),
        notes=notes,
    )
    if single:
        found = {"chosen": measured[choice.name][0], "file": chosen.path, "folder": run.folder}
        result["single_tasks"] = single_tasks.compare(single, dataset, **found)
    if file_per_task:
        options: dict[str, Any] = {"chosen": measured[choice.name][0], "check": check, "folder": run.folder}
        result["heads"] = head_files.write(model, dataset, **options)
    if privacy is not None:
        result["privacy"] = dict(privacy)
    content = chosen.path.read_bytes()
    own_task = selective.task_of(task, metadata.read(content)["target"])
    if own_task != task:
        held = verify.predict_tflite(chosen.path, dataset.validation.inputs, kind=task.inputs)
        other = None
        if check.others is not None:
            other = verify.predict_tflite(chosen.path, check.others.held_out, kind=task.inputs)
        result |= selective.measured(own_task, dataset, {"validation": held, "test": answers}, other=other)
    _save(model, run.folder, task)
    looked_at: dict[str, Any] = {"mistakes": mistakes.misclassified(dataset.test, answers)}
    report.write(result, run.folder, curves=curves, examples=overview.examples(dataset), **looked_at)
    board.write(run.folder / "logs", result, model=model, file=content)
    run.publish(phone.files(content, report=result, task=own_task))
    with contextlib.suppress(OSError, UnicodeError):  # a terminal that takes no more takes nothing back
        report.print_table(result)
    return result


def _measured(
    candidates: Sequence[Candidate],
    folder: Path,
    dataset: Dataset,
    check: _Check,
    *,
    refused: dict[str, str],
    accept: Acceptance,
) -> dict[str, tuple[Candidate, Variant]]:
    """Every file that holds on validation, measured and timed, by its name; those that do not join ``refused``."""
    floats = {id(one.model): one.tflite for one in candidates if one.how is TECHNIQUES["float32"]}
    measured: dict[str, tuple[Candidate, Variant]] = {}
    for candidate in candidates:
        if candidate.failed:
            refused[candidate.name] = candidate.failed
            continue
        reference = floats.get(id(candidate.model))
        with _leaving_out(candidate, refused, folder):
            found = _measure(candidate, folder, dataset, check, reference=reference, accept=accept)
            measured[candidate.name] = candidate, found
    return _timed(measured)


def _mistakes(
    test: Split, answers: Any, name: str, *, variants: Sequence[Variant], check: _Check, folder: Path
) -> dict[str, Any]:
    """What the chosen file gets wrong, beside its float file and a teacher's."""
    listed = [rows.of_variant(variant, folder) for variant in variants]
    others = {one: check.of_float_files[one] for one in mistakes.beside(listed, name)}
    return mistakes.described(test, {name: answers, **others}, chosen=name)


def _of_config(
    run: store.Run, accept: Acceptance | None, control: Baseline | None
) -> tuple[Acceptance, Baseline | None]:
    """Bounds and control, completed by the run's config. Raises `ValueError` where pairs are not one a seed of it."""
    own = getattr(run.config, "accept", None)
    if control is not None and control.seeds is None:
        control = dataclasses.replace(control, seeds=run.seeds)
    return accept or (own if isinstance(own, Acceptance) else Acceptance()), control


def _with_origins(found: Sequence[tuple[Candidate, Variant]], *, kept: Any) -> list[Variant]:
    """The variants, each with the model that it was made from; the run keeps one of them."""
    names = {id(kept): "model.keras"}
    return [
        dataclasses.replace(
            variant, eligible=one.eligible, model=names.setdefault(id(one.model), variant.artifact.name)
        )
        for one, variant in found
    ]


def _save(model: Any, folder: Path, task: Task) -> None:
    """The model with the task's answers, for Keras and as a SavedModel."""
    fitting.save_model(_plain(serving.with_answers(model, task)), folder / "model.keras")
    saved_model.write(model, folder / "saved_model", task)


def _plain(model: Any) -> Any:
    """The same graph without what it was compiled with: a loss of kerastl's would not be known where kerastl is not."""
    return keras_graph.class_of_models(model)(model.inputs, model.outputs, name=model.name) if model.compiled else model


def _proven_on_test(
    measured: dict[str, tuple[Candidate, Variant]],
    proven: Callable[[Candidate, Variant], Variant | None],
    *,
    choose: Callable[[Sequence[tuple[Candidate, Variant]]], Choice],
) -> tuple[Choice, dict[str, Variant]]:
    """The choice, and every file with what it answers on test, which is looked at only when the choice is made.

    What fails there is taken out of ``measured``, and what is left is chosen from anew: a choice names all files that
    were within its bounds, and says so only of such as there are.
    """
    tested: dict[str, Variant] = {}
    while True:
        choice = choose([one for one in measured.values() if one[0].eligible])
        for name in sorted(measured.keys() - tested.keys(), key=lambda name, first=choice.name: (name != first, name)):
            variant = proven(*measured[name])
            if variant is None:
                del measured[name]
                break
            tested[name] = variant
        else:
            return choice, tested


def _chosen(
    found: Sequence[tuple[Candidate, Variant]],
    target: Target,
    accept: Acceptance,
    own: chance.Answered,
    refused: Mapping[str, str],
) -> Choice:
    """The file for the phone, by validation alone. Raises `VerificationError` where none is left."""
    if not found:
        words = "; ".join(f"{name} {why}" for name, why in refused.items()) or "none was made"
        raise verify.VerificationError("every file", "its proof", wanted="one that holds", got=words)

    return acceptance.choose([variant for _, variant in found], target=target, accept=accept, own=own)


_FLAGS = {
    "agreement": "--accept.min-agreement",
    "mean_difference": "--accept.min-agreement",  # see `_asked_of_int8`
    "score_drop": "--accept.max-quantization-drop",
    "clipped": "--accept.max-saturation",
    "error": "--accept.max-layer-error",
}
"""Field of a tolerance -> the flag that says how much it lets pass."""


@contextlib.contextmanager
def _leaving_out(candidate: Candidate, refused: dict[str, str], folder: Path) -> Iterator[None]:
    """Takes a file that fails its check out of the run, and says why and by which flag it would pass."""
    try:
        yield
    except verify.VerificationError as error:
        _path(candidate, folder).unlink(missing_ok=True)
        settable = error.tolerance in _FLAGS and candidate.how.tolerance != checks.FLOAT32
        hint = f"; {_FLAGS[error.tolerance]} sets this limit" if settable else ""
        refused[candidate.name] = f"failed the check of {error.check}: wanted {error.wanted}, got {error.got}{hint}"


def _gained(control: Baseline, dataset: Dataset, check: _Check) -> dict[str, Any]:
    def answers(one: Any, split: Split) -> np.ndarray:
        if isinstance(one, Mapping):
            return one[split.name]
        if isinstance(one, fitting.Trained | tflite.Converted):
            one = one.model if isinstance(one, fitting.Trained) else one.content
        if isinstance(one, bytes):
            return verify.predict_tflite(one, split.inputs, kind=split.task.inputs)
        return check.expected(one, split)

    def scores(one: Any) -> dict[str, float]:
        splits = {"validation_score": dataset.validation, "score": dataset.test}
        return {key: split.task.target.score(answers(one, split), split.labels).value for key, split in splits.items()}

    teacher = scores(control.teacher)
    distilled, alone = ([scores(student) for student in each] for each in (control.distilled, control.trained_alone))
    found = baseline.recovered_gap(
        teacher=teacher["score"],
        distilled=[one["score"] for one in distilled],
        alone=[one["score"] for one in alone],
        units=dataset.task.target.units,
        higher_is_better=dataset.task.target.higher_is_better,
    )
    rows = {"teacher": teacher, "distilled": distilled, "alone": alone}
    return {**rows, "seeds": list(control.seeds or ()), "steps": control.steps, **dataclasses.asdict(found)}


_UNSEEN = Verification(Score(0.0, 0.0, 1.0, 0), 0.0, 0.0, 0.0)
"""Stands for the test split while it must not be looked at."""
_UNTIMED = Latency(0.0, 0.0, 1, 0)
"""Stands for the latency of a file until all that are left take turns."""


def _asked_of_int8(accept: Acceptance) -> checks.Tolerance:
    """As `proof.INT8`; an example that may be answered otherwise may also move by as much as 1."""
    further = max(checks.INT8.agreement - accept.min_agreement, 0.0)
    return dataclasses.replace(
        checks.INT8,
        agreement=accept.min_agreement,
        score_drop=accept.max_quantization_drop,
        mean_difference=(checks.INT8.mean_difference or 0.0) + further,
    )


class _Check:
    """Files against their models; each model's answers are computed once a split.

    Attributes:
        of_float_files: answers of the float32 files to the test split, by the file's name.
        others: examples of no class, where there are some to fit a threshold by.
    """

    def __init__(self, *, int8: checks.Tolerance, others: selective.Others | None = None) -> None:
        self.others = others
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
        self.of_float_files: dict[str, Any] = {}
        self._answers: dict[tuple[int, str], np.ndarray] = {}
        self._served: dict[int, Any] = {}  # traced once for both splits

    def __call__(self, artifact: Artifact, candidate: Candidate, split: Split) -> Verification:
        usual = candidate.how.tolerance
        found = verify.check(
            artifact,
            split,
            expected=self.expected(candidate.model, split),
            tolerance=self._tolerances.get(usual, usual),
        )
        if candidate.how is TECHNIQUES["float32"] and split.name == "test":
            self.of_float_files[artifact.name] = found.answers
        return dataclasses.replace(found, answers=None)

    def expected(self, model: Any, split: Split) -> np.ndarray:
        """The probabilities of a float model."""
        key = (id(model), split.name)
        if key not in self._answers:
            if id(model) not in self._served:
                self._served[id(model)] = serving.with_answers(model, split.task)
            self._answers[key] = fitting.predict(self._served[id(model)], split.inputs, task=split.task)
        return self._answers[key]


def _with_reject_option(
    candidate: Candidate, dataset: Dataset, accept: Acceptance, others: selective.Others | None
) -> Task:
    """The task, with a reject option for the file's own answers where one is asked for."""
    if not accept.may_reject:
        return dataset.task
    held = dataset.validation
    predict = functools.partial(verify.predict_tflite, candidate.tflite, kind=dataset.task.inputs)
    answers, other = predict(held.inputs), None if others is None else predict(others.fitted)
    target = single_label.with_reject_option(dataset.task.target, answers, held.labels, others=other, **accept.rejects)
    return dataclasses.replace(dataset.task, target=target)


def _write(
    candidate: Candidate, folder: Path, dataset: Dataset, accept: Acceptance, others: selective.Others | None
) -> Artifact:
    """Puts labels, and normalization or vocabulary, into the file and writes it to ``variants/``."""
    technique = candidate.how
    content = metadata.add(
        candidate.tflite,
        _with_reject_option(candidate, dataset, accept, others),
        description=f"{dataset.task.name}, {technique.description}",
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
    accept: Acceptance,
) -> Variant:
    artifact, layers = _write(candidate, folder, dataset, accept, check.others), candidate.how.layers
    facts, model = benchmark.inspect(artifact.path), packing.unpack(artifact.path.read_bytes())
    attends = "BATCH_MATMUL" in facts.operators.by_type  # attention is two products of activations
    if layers is not None and (attends or dataset.task.inputs.batch_dtype == "int32"):  # or sums of embeddings
        layers = checks.LAYERS_OF_TRANSFORMERS
    if layers is not None:
        clipped = max(accept.max_saturation, layers.clipped)
        layers = dataclasses.replace(layers, clipped=clipped, error=accept.max_layer_error or layers.error)
    return Variant(
        artifact,
        facts,
        _UNTIMED,
        validation=check(artifact, candidate, dataset.validation),
        test=_UNSEEN,
        worst_layer=None
        if layers is None or reference is None
        else verify.check_layers(
            artifact,
            reference,
            inputs=dataset.validation.take(100).inputs,
            kind=dataset.task.inputs,
            tolerance=layers,
        ),
        runtime=runtimes.needed(model),
    )


def _timed(measured: Mapping[str, tuple[Candidate, Variant]]) -> dict[str, tuple[Candidate, Variant]]:
    """The same with latencies, for which the files take turns."""
    found = benchmark.latencies({name: variant.artifact.path for name, (_, variant) in measured.items()})
    return {
        name: (candidate, dataclasses.replace(variant, latency=found[name]))
        for name, (candidate, variant) in measured.items()
    }
