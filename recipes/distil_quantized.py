"""Integers under a teacher: quantization-aware training with its answers, and without, file against file, seed by seed.

A student learns from a wider network's answers to the very views that it sees itself, and then learns to live with
integers: once from the same answers, once from the labels, for as many steps from the same weights (Mishra & Marr 2018,
"Apprentice", https://arxiv.org/abs/1711.05852, there called scheme C). Scores are those of the integer files.

Minutes: 40
Data: fashion_mnist
Command: kerastl run distil_quantized
Expect: to be measured
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
    """How far training pictures are moved; see `kerastl.augment.build`."""

    horizontal_flip: bool = True
    """Clothes have no left and right."""
    translation: float = 0.04
    """Share of height and width: a pixel to every side, as in `fashion_mobile`."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_quantized`."""

    seed: int = 0
    """Of the teacher, the split, and the first of the students."""
    seeds: int = 3
    """Students, each of which becomes two files."""
    validation: int = 5000
    """Pictures held out of train; every choice is made on them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    views: Views = Views()
    """Of teacher, students and control alike."""
    erasing: float = 0.25
    """Share of the teacher's pictures in which a rectangle is blanked, as in `distil_logits`."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of `residual_cnn.medium`, 309,000 parameters."""
    widths: tuple[int, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters, an eighth of the teacher's."""
    student: Schedule = Schedule(epochs=12, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of the float student."""
    quantize: Schedule = Schedule(epochs=8, batch_size=128, peak_learning_rate=1e-3)
    """Longer than fine-tuning needs, for there is something to learn; the control gets the same."""
    temperature: float = 2.0
    """Softens the teacher's answers, as in `fashion_mobile`."""
    teacher_weight: float = 0.7
    """Share of the teacher in both losses; the labels have the rest."""
    budget: float = 0.003
    """Validation accuracy that the file may lose against the float student: 0.3 points."""
    score_drop: float = 0.003
    """The same on test."""
    agreement: float = 0.94
    """Least share of pictures on which the file answers like the float student: it has learnt more than that one."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"validation": 200, "limit": 640, "teacher": tiny, "student": tiny, "quantize": tiny}
        return cls(**sizes, seeds=1, budget=0.3, score_drop=0.3, agreement=0.3)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teacher, for every seed a student and its integers, with the teacher and without, report."""
    with kerastl.store.Run(folder, recipe="distil_quantized", tag=folder.name, config=config) as run:
        data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.record(data)
        models = {"save": kerastl.train.save, "load": kerastl.train.load}
        files = {"save": kerastl.export.tflite.save, "load": kerastl.export.tflite.load}
        seeds = range(config.seed, config.seed + config.seeds)
        basis = [config.views, data.digest]

        teacher = run.stage(
            "teacher",
            lambda at: train_teacher(config, data, at),
            key=[config.seed, basis, config.erasing, config.teacher],
            **models,
        )
        lesson = [config.temperature, config.teacher_weight, run.key("teacher")]
        students = run.each(
            "student",
            lambda seed, at: learn(config, data, seed, at, teacher=teacher.model),
            seeds=seeds,
            key=[basis, config.widths, config.student, lesson],
            **models,
        )
        floats = dict(zip(seeds, [one.model for one in students], strict=True))
        start = [basis, config.quantize, [run.key(f"student-{seed}") for seed in seeds]]
        distilled = run.each(
            "distilled",
            lambda seed, at: quantize(config, data, floats[seed], seed, at, teacher=teacher.model),
            seeds=seeds,
            key=[start, lesson],
            **files,
        )
        alone = run.each(
            "alone", lambda seed, at: quantize(config, data, floats[seed], seed, at), seeds=seeds, key=start, **files
        )
        scores = [validated(data, one.content) for one in distilled]
        best = scores.index(max(scores))
        model, ptq = students[best].model, kerastl.compress.ptq
        float32 = kerastl.export.tflite.convert(model)
        teacher_float32 = kerastl.export.tflite.convert(teacher.model)
        static_int8 = ptq.static_int8(float32, calibration=data.train.inputs[:500])
        candidate = functools.partial(kerastl.ship.Candidate, model=model, eligible=False)
        return kerastl.ship.ship(
            run,
            data,
            model=model,
            candidates=[
                candidate("teacher_float32", "float32", teacher_float32, model=teacher.model),
                candidate("float32", "float32", float32),
                candidate("static_int8", "static_int8", static_int8),
                candidate("alone_qat_int8", "qat_int8", alone[best].content),
                candidate("qat_int8", "qat_int8", distilled[best].content, eligible=True),
            ],
            curves=[teacher.curves, students[best].curves, distilled[best].curves, alone[best].curves],
            budget=config.budget,
            score_drop=config.score_drop,
            agreement=config.agreement,
            control=kerastl.ship.Control(
                teacher.model,
                distilled=[one.content for one in distilled],
                alone=[one.content for one in alone],
                seeds=seeds,
                steps=config.quantize.epochs * (len(data.train) // config.quantize.batch_size),
            ),
        )


def train_teacher(config: Config, data: Dataset, workspace: Workspace):
    """A wider residual CNN on the labels."""
    medium, size = functools.partial(kerastl.build.residual_cnn.medium, data.task), config.teacher.batch_size
    teacher = kerastl.precision.build_fastest(medium, data.train.head(size), seed=config.seed, workspace=workspace)
    curves = kerastl.train.fit(
        teacher,
        moved(config, data, config.teacher, seed=config.seed, erasing=config.erasing),
        schedule=config.teacher,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.train.Trained(kerastl.precision.as_float32(teacher), curves)


def learn(config: Config, data: Dataset, seed: int, workspace: Workspace, *, teacher):
    """The float student, from the teacher's answers and the labels."""
    kerastl.train.set_seed(seed + 1)
    student = kerastl.build.residual_cnn.build(data.task, widths=config.widths, stem_pool=2)
    soft = functools.partial(kerastl.distil.losses.temperature_kullback_leibler, temperature=config.temperature)
    curves = kerastl.train.fit(
        kerastl.distil.distiller.Distiller(student=student, teacher=teacher, loss=soft, weight=config.teacher_weight),
        moved(config, data, config.student, seed=seed),
        schedule=config.student,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.train.Trained(student, curves)


def quantize(config: Config, data: Dataset, student, seed: int, workspace: Workspace, *, teacher=None):
    """The student's integer file: from the labels, and the teacher's answers where there is one."""
    kerastl.train.set_seed(seed + 2)
    twin = kerastl.bridge.to_tf_keras(student, probe=data.train.inputs[:16].astype("float32"))
    aware = kerastl.compress.qat.train(
        twin,
        moved(config, data, config.quantize, seed=seed),
        epochs=config.quantize.epochs,
        learning_rate=config.quantize.peak_learning_rate,
        teacher=None if teacher is None else functools.partial(teacher, training=False),
        loss=None if teacher is None else lesson(config),
        validation=held_out(data),
        workspace=workspace,
        callbacks=[kerastl.callbacks.ProgressBar(workspace.stage)],
    )
    content = kerastl.export.tflite.convert(aware, integer=True)
    return kerastl.export.tflite.Converted(content, kerastl.compress.qat.curves(aware, stage=workspace.stage))


def lesson(config: Config):
    """The teacher's answers and the labels, weighed."""
    losses, share = kerastl.distil.losses, config.teacher_weight

    def loss(labels, logits, answers):
        soft = losses.temperature_kullback_leibler(answers, logits, temperature=config.temperature)
        return share * soft + (1 - share) * losses.label_cross_entropy(labels, logits)

    return loss


def validated(data: Dataset, file: bytes) -> float:
    """What a file scores on validation pictures."""
    answers = kerastl.verify.run_file(file, data.validation.inputs)
    return kerastl.verify.score(answers, data.validation.labels).value


def moved(config: Config, data: Dataset, schedule: Schedule, *, seed: int, erasing: float = 0.0):
    """Training batches, every picture moved anew in every epoch."""
    views = kerastl.augment.build(**dataclasses.asdict(config.views), erasing=erasing, seed=seed)
    return kerastl.data.pipeline.batches(
        data.train, batch_size=schedule.batch_size, shuffle=True, seed=seed, augment=views, drop_remainder=True
    )


def held_out(data: Dataset):
    """Validation batches, as they are."""
    return kerastl.data.pipeline.batches(data.validation, batch_size=500)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
