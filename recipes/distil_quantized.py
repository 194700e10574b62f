"""Quantization-aware training under a teacher and without it, integer file against integer file, seed by seed.

A student learns from an ensemble's logits for the very views that it sees itself, as in `distil_logits`, and then
learns to live with integers: once from the same cached logits, once from the labels, for as many steps from the same
weights (Mishra & Marr 2018, "Apprentice", https://arxiv.org/abs/1711.05852, there called scheme C). Scores are those of
the integer files.

Minutes: 180
Data: fashion_mnist
Command: kerastl run distil_quantized
Expect: integer files of 47,186 bytes with 0.939 on test under the teachers, 0.938 without (means of 3 seeds)
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_quantized`."""

    seed: int = 0
    """Of the first teacher, the split, and the first of the students."""
    seeds: int = 3
    """Students, each of which becomes two files."""
    validation: int = 5000
    """Pictures held out of train; every choice is made on them."""
    max_train_examples: int | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04)
    """Of teachers, students and control alike: clothes have no left and right; a pixel to every side."""
    teachers: int = 5
    """Networks of the ensemble, as in `distil_logits`."""
    teacher_augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04, erasing=0.125)
    """The same, and in every eighth picture a rectangle is blanked, as there."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of each, `resnet.medium` of 309,000 parameters."""
    widths: tuple[int, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters, an eighth of one teacher's."""
    student: Schedule = Schedule(epochs=90, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of the float student, as there: what it owes to patience under a teacher is to be kept."""
    quantize: Schedule = Schedule(epochs=12, batch_size=128, peak_learning_rate=1e-3)
    """Longer than fine-tuning needs, for there is something to learn; the control gets the same."""
    cached_views: int = 8
    """Views of each picture whose logits are computed beforehand; the ninth epoch is the first again, for the control
    too."""
    temperature: float = 2.0
    """Softens both sides' answers, as in `fashion_mobile`."""
    teacher_weight: float = 0.7
    """Share of the teachers in both losses; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.94)
    """0.3 points of accuracy against the float student on either split; the file agrees with it less often than usual,
    for it has learnt more."""

    def __post_init__(self) -> None:
        if self.quantize.batch_size != self.student.batch_size:
            raise ValueError(
                "Cached logits are of the very batches that the float student learns from: its integers have as many "
                f"pictures in one. Received: student {self.student.batch_size}, quantize {self.quantize.batch_size}."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes: dict[str, Any] = {"seeds": 1, "teachers": 2, "validation": 200, "max_train_examples": 640}
        accept = Acceptance(max_score_drop=0.3, max_quantization_drop=0.3, min_agreement=0.3)
        return cls(**sizes, teacher=tiny, student=tiny, quantize=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teachers, for every seed a student and its integers, under them and without, report."""
    with kerastl.runs.Run(folder, recipe="distil_quantized", tag=folder.name, config=config) as run:
        sizes: dict[str, Any] = {"validation": config.validation, "limit": config.max_train_examples}
        data = kerastl.data.fashion_mnist.load(seed=config.seed, **sizes)
        run.use_dataset(data)
        seeds = range(config.seed, config.seed + config.seeds)
        per_seed = functools.partial(run.stage_per_seed, seeds=seeds)
        basis = [config.augmentation, data.digest]

        members = run.stage_per_seed(
            "teacher",
            lambda seed, at: train_teacher(config, data, seed, at),
            seeds=range(config.seed, config.seed + config.teachers),
            key=[basis, config.teacher_augmentation, config.teacher],
        )
        networks = [member.model for member in members]
        ensemble = kerastl.distil.teachers.Ensemble(networks)
        logits = cache_teacher_logits(config, data, folder / "logits", teacher=ensemble)
        distillation = [config.temperature, config.teacher_weight, logits.facts]
        students = per_seed(
            "student",
            lambda seed, at: train_student(config, data, seed, at, logits=logits),
            key=[basis, config.widths, config.student, distillation],
        )
        floats = dict(zip(seeds, [student.model for student in students], strict=True))
        start = [basis, config.quantize, config.cached_views, [run.stage_key(f"student-{seed}") for seed in seeds]]
        distilled = per_seed(
            "distilled",
            lambda seed, at: quantize(config, data, floats[seed], seed, at, logits=logits),
            key=[start, distillation],
        )
        controls = per_seed(
            "student_without_teacher", lambda seed, at: quantize(config, data, floats[seed], seed, at), key=start
        )
        teacher = kerastl.distil.teachers.ensemble_model(networks)
        scores = [validation_score(data, one.content) for one in distilled]
        best = [arm[scores.index(max(scores))] for arm in (students, distilled, controls)]
        steps = config.quantize.steps(len(data.train))
        made = candidates(data, teacher, *best)
        curves = [stage.curves for stage in (members[0], *best)]
        control = kerastl.runs.Baseline(teacher, distilled=distilled, trained_alone=controls, seeds=seeds, steps=steps)
        return kerastl.runs.publish(
            run, data, model=best[0].model, candidates=made, curves=curves, accept=config.accept, control=control
        )


def train_teacher(config: Config, data: Dataset, seed: int, at: Workspace):
    """A wider residual CNN on the labels."""
    views, options = config.teacher_augmentation, {"schedule": config.teacher, "seed": seed}
    return kerastl.training.train(
        lambda: kerastl.models.resnet.medium(data.task),
        kerastl.data.pipeline.training_batches(data.train, augmentation=views, **options),
        **options,
        workspace=at,
        validation=data.validation,
        timed_on=data.train,
    )


def cache_teacher_logits(config: Config, data: Dataset, folder: Path, *, teacher):
    """What the teachers say of every view that the students will see, computed once for all of them."""
    batches = student_batches(config, data, config.student, views=config.cached_views)
    return kerastl.distil.logit_cache.write(folder, batches, teacher=teacher, temperature=config.temperature)


def train_student(config: Config, data: Dataset, seed: int, at: Workspace, *, logits):
    """The float student, from the teachers' logits and the labels."""
    under = kerastl.distil.distiller.under_logits(None, temperature=config.temperature, weight=config.teacher_weight)
    options: dict[str, Any] = {"schedule": config.student, "validation": data.validation, "under": under}
    return kerastl.training.train(
        lambda: kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2),
        student_batches(config, data, config.student, answers=logits),
        seed=seed + 1,
        workspace=at,
        **options,
    )


def quantize(config: Config, data: Dataset, student, seed: int, at: Workspace, *, logits=None):
    """The student's integer file: from the labels, and the teachers' logits where they are given."""
    views: dict[str, Any] = {"views": config.cached_views} if logits is None else {"answers": logits}
    loss = kerastl.distil.losses.distillation_loss(temperature=config.temperature, weight=config.teacher_weight)
    return kerastl.runs.quantization_aware(
        student,
        student_batches(config, data, config.quantize, **views),
        data.task,
        schedule=config.quantize,
        seed=seed + 2,
        workspace=at,
        probe=data.train.take(16).inputs,
        validation=data.validation,
        loss=None if logits is None else loss,
    )


def candidates(data: Dataset, teacher, student, distilled, control):
    """The one that may be chosen, and those it is compared with."""
    task, some, post_training = data.task, data.train.take(500).inputs, kerastl.runs.post_training
    candidate, techniques = kerastl.runs.Candidate, ("float32", "static_int8")
    return [
        *post_training(teacher, task, techniques=["float32"], prefix="teacher_", eligible=False),
        *post_training(student.model, task, techniques=techniques, calibration=some, eligible=False),
        candidate("student_without_teacher_qat_int8", "qat_int8", control.content, student.model, eligible=False),
        candidate("qat_int8", "qat_int8", distilled.content, student.model),
    ]


def validation_score(data: Dataset, file: bytes) -> float:
    """What a file scores on validation pictures."""
    answers = kerastl.verify.predict_tflite(file, data.validation.inputs, kind=data.task.inputs)
    return data.task.target.score(answers, data.validation.labels).value


def student_batches(config: Config, data: Dataset, schedule: Schedule, **views):
    """Training batches of a student, every picture changed anew in as many epochs as its logits are cached of."""
    return kerastl.data.pipeline.training_batches(
        data.train, schedule=schedule, seed=config.seed, augmentation=config.augmentation, **views
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
