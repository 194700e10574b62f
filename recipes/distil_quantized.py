"""Integers under a teacher: quantization-aware training with its answers, and without, file against file, seed by seed.

A student learns from wider networks' answers to the very views that it sees itself, as in `distil_logits`, and then
learns to live with integers: once from the same stored answers, once from the labels, for as many steps from the same
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
from kerastl.types import Dataset, Schedule, Workspace


@dataclasses.dataclass(frozen=True)
class Views:
    """How far training pictures are moved; see `kerastl.inputs.augmentation.image_augmentation`."""

    horizontal_flip: bool = True
    """Clothes have no left and right."""
    translation: float = 0.04
    """Share of height and width: a pixel to every side, as in `fashion_mobile`."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_quantized`."""

    seed: int = 0
    """Of the first teacher, the split, and the first of the students."""
    seeds: int = 3
    """Students, each of which becomes two files."""
    validation: int = 5000
    """Pictures held out of train; every choice is made on them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    views: Views = Views()
    """Of teachers, students and control alike."""
    teachers: int = 5
    """Networks that answer together, as in `distil_logits`."""
    erasing: float = 0.125
    """Share of the teachers' pictures in which a rectangle is blanked, as there."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of each, `resnet.medium` of 309,000 parameters."""
    widths: tuple[int, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters, an eighth of one teacher's."""
    student: Schedule = Schedule(epochs=90, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of the float student, as there: what it owes to patience under a teacher is to be kept."""
    quantize: Schedule = Schedule(epochs=12, batch_size=128, peak_learning_rate=1e-3)
    """Longer than fine-tuning needs, for there is something to learn; the control gets the same."""
    answered: int = 8
    """Views of each picture that the teachers answer beforehand; the ninth epoch is the first again, for the control
    too."""
    temperature: float = 2.0
    """Softens both sides' answers, as in `fashion_mobile`."""
    teacher_weight: float = 0.7
    """Share of the teachers in both losses; the labels have the rest."""
    budget: float = 0.003
    """Validation accuracy that the file may lose against the float student: 0.3 points."""
    score_drop: float = 0.003
    """The same on test."""
    agreement: float = 0.94
    """Least share of pictures on which the file answers like the float student: it has learnt more than that one."""

    def __post_init__(self) -> None:
        if self.quantize.batch_size != self.student.batch_size:
            raise ValueError(
                "Stored answers are of the very batches that the float student learns from: its integers have as many "
                f"pictures in one. Received: student {self.student.batch_size}, quantize {self.quantize.batch_size}."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"teachers": 2, "validation": 200, "limit": 640, "teacher": tiny, "student": tiny, "quantize": tiny}
        return cls(**sizes, seeds=1, budget=0.3, score_drop=0.3, agreement=0.3)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teachers, for every seed a student and its integers, under them and without, report."""
    with kerastl.runs.Run(folder, recipe="distil_quantized", tag=folder.name, config=config) as run:
        data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        files = {"save": kerastl.export.tflite.save, "load": kerastl.export.tflite.load}
        seeds = range(config.seed, config.seed + config.seeds)
        basis = [config.views, data.digest]

        members = run.stage_per_seed(
            "teacher",
            lambda seed, at: train_teacher(config, data, seed, at),
            seeds=range(config.seed, config.seed + config.teachers),
            key=[basis, config.erasing, config.teacher],
            **models,
        )
        teachers, trained = kerastl.distil.teachers, [one.model for one in members]
        answers = answered(config, data, folder / "answers", teacher=teachers.Ensemble(trained))
        lesson = [config.temperature, config.teacher_weight, answers.facts]
        students = run.stage_per_seed(
            "student",
            lambda seed, at: learn(config, data, seed, at, answers=answers),
            seeds=seeds,
            key=[basis, config.widths, config.student, lesson],
            **models,
        )
        floats = dict(zip(seeds, [one.model for one in students], strict=True))
        start = [basis, config.quantize, config.answered, [run.stage_key(f"student-{seed}") for seed in seeds]]
        distilled = run.stage_per_seed(
            "distilled",
            lambda seed, at: quantize(config, data, floats[seed], seed, at, answers=answers),
            seeds=seeds,
            key=[start, lesson],
            **files,
        )
        alone = run.stage_per_seed(
            "alone", lambda seed, at: quantize(config, data, floats[seed], seed, at), seeds=seeds, key=start, **files
        )
        scores = [validated(data, one.content) for one in distilled]
        best = scores.index(max(scores))
        model, teacher, ptq = students[best].model, teachers.ensemble_model(trained), kerastl.compress.ptq
        float32 = kerastl.export.tflite.convert(model, data.task)
        teacher_float32 = kerastl.export.tflite.convert(teacher, data.task)
        static_int8 = ptq.static_int8(float32, calibration=data.train.take(500).inputs)
        candidate = functools.partial(kerastl.runs.Candidate, model=model, eligible=False)
        return kerastl.runs.publish(
            run,
            data,
            model=model,
            candidates=[
                candidate("teacher_float32", "float32", teacher_float32, model=teacher),
                candidate("float32", "float32", float32),
                candidate("static_int8", "static_int8", static_int8),
                candidate("alone_qat_int8", "qat_int8", alone[best].content),
                candidate("qat_int8", "qat_int8", distilled[best].content, eligible=True),
            ],
            curves=[members[0].curves, students[best].curves, distilled[best].curves, alone[best].curves],
            accept=kerastl.runs.Acceptance(
                max_score_drop=config.budget, max_quantization_drop=config.score_drop, min_agreement=config.agreement
            ),
            control=kerastl.runs.Baseline(
                teacher,
                distilled=[one.content for one in distilled],
                trained_alone=[one.content for one in alone],
                seeds=seeds,
                steps=config.quantize.epochs * (len(data.train) // config.quantize.batch_size),
            ),
        )


def train_teacher(config: Config, data: Dataset, seed: int, workspace: Workspace):
    """A wider residual CNN on the labels."""
    medium, size = functools.partial(kerastl.models.resnet.medium, data.task), config.teacher.batch_size
    teacher = kerastl.training.precision.build_in_fastest_dtype(
        medium, data.train.take(size), seed=seed, workspace=workspace
    )
    curves = kerastl.training.fit(
        teacher,
        moved(config, data, config.teacher, seed=seed, erasing=config.erasing),
        schedule=config.teacher,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(kerastl.training.precision.as_float32(teacher), curves)


def answered(config: Config, data: Dataset, folder: Path, *, teacher):
    """What the teachers say of every view that the students will see, computed once for all of them."""
    views = moved(config, data, config.student, seed=config.seed, views=config.answered)
    return kerastl.distil.logit_cache.write(folder, views, teacher=teacher, temperature=config.temperature)


def learn(config: Config, data: Dataset, seed: int, workspace: Workspace, *, answers):
    """The float student, from the teachers' answers and the labels."""
    kerastl.training.set_seed(seed + 1)
    student = kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2)
    soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=config.temperature)
    curves = kerastl.training.fit(
        kerastl.distil.distiller.Distiller(student=student, teacher=None, loss=soft, weight=config.teacher_weight),
        moved(config, data, config.student, seed=config.seed, answers=answers),
        schedule=config.student,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(student, curves)


def quantize(config: Config, data: Dataset, student, seed: int, workspace: Workspace, *, answers=None):
    """The student's integer file: from the labels, and the teachers' answers where they are given."""
    kerastl.training.set_seed(seed + 2)
    twin = kerastl.compress.tf_keras.bridge.to_tf_keras(student, probe=data.train.take(16).inputs)
    views = config.answered if answers is None else None
    aware = kerastl.compress.qat.train(
        twin,
        moved(config, data, config.quantize, seed=config.seed, answers=answers, views=views),
        epochs=config.quantize.epochs,
        learning_rate=config.quantize.peak_learning_rate,
        loss=None if answers is None else lesson(config),
        validation=held_out(data),
        workspace=workspace,
        callbacks=[kerastl.training.callbacks.ProgressBar(workspace.stage)],
    )
    content = kerastl.export.tflite.convert(aware, data.task, integer=True)
    return kerastl.export.tflite.Converted(content, kerastl.compress.qat.curves(aware, stage=workspace.stage))


def lesson(config: Config):
    """The teachers' answers and the labels, weighed."""
    losses, share = kerastl.distil.losses, config.teacher_weight

    def loss(labels, logits, answers):
        soft = losses.kl_divergence(answers, logits, temperature=config.temperature)
        return share * soft + (1 - share) * losses.cross_entropy(labels, logits)

    return loss


def validated(data: Dataset, file: bytes) -> float:
    """What a file scores on validation pictures."""
    answers = kerastl.verify.predict_tflite(file, data.validation.inputs, kind=data.task.inputs)
    return data.task.target.score(answers, data.validation.labels).value


def moved(config: Config, data: Dataset, schedule: Schedule, *, seed: int, answers=None, views=None, **more: float):
    """Training batches, every picture moved anew in every epoch, or in as many as a teacher answers beforehand."""
    return kerastl.data.pipeline.batches(
        data.train,
        batch_size=schedule.batch_size,
        shuffle=True,
        seed=seed,
        augment=kerastl.inputs.augmentation.image_augmentation(**dataclasses.asdict(config.views), **more, seed=seed),
        drop_remainder=True,
        answers=answers,
        views=views,
    )


def held_out(data: Dataset):
    """Validation batches, as they are."""
    return kerastl.data.pipeline.batches(data.validation, batch_size=500)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
