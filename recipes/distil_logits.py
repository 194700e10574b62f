"""A small student under a patient and consistent teacher, beside the same student without it, seed by seed.

Teacher and student see the very same view of a picture, for many epochs (Beyer et al. 2022, "Knowledge distillation: a
good teacher is patient and consistent", https://arxiv.org/abs/2106.05237). The teacher is several networks that answer
together (You et al. 2017, "Learning from Multiple Teacher Networks"); what they say of a few views of every picture is
computed once, for all students. The control learns from the labels, for as many steps of the same schedule, on the
same views. The report holds both over seeds, and the share of the gap that was recovered.

Minutes: 210
Data: fashion_mnist
Command: kerastl run distil_logits
Expect: 0.938 on test under the teachers, which have 0.948 together; 0.932 alone; the shipped file has 45,122 bytes
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
    """Settings of the run; every field is a flag of `kerastl run distil_logits`."""

    seed: int = 0
    """Of the teacher, the split, and the first of the students."""
    seeds: int = 3
    """Students with a teacher, and as many without: three are the fewest whose interval says much."""
    validation: int = 5000
    """Pictures held out of train; every choice is made on them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    views: Views = Views()
    """Of teacher, students and control alike."""
    teachers: int = 5
    """Networks that answer together, each of a seed of its own: surer of what is right, and softer where it is not.
    Under five a student gained twice of what it gained under one or two."""
    erasing: float = 0.125
    """Share of the teachers' pictures in which a rectangle is blanked (Zhong et al. 2020): what they answer to pictures
    that they have learnt from has to be worth hearing."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of each, `resnet.medium` of 309,000 parameters."""
    widths: tuple[int, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters, an eighth of one teacher's."""
    student: Schedule = Schedule(epochs=90, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience (Beyer et al. 2022, section 3.2); the control gets the same."""
    answered: int = 8
    """Views of each picture that the teacher answers beforehand; the ninth epoch is the first again, for the control
    too."""
    mixup: float = 0.0
    """Of the students' pictures, not of the control's, see `kerastl.inputs.augmentation.Mixup`. The paper draws shares
    evenly (1), for networks that could learn the pictures by heart; one this small has enough to do without."""
    temperature: float = 2.0
    """Softens both sides' answers, as in `fashion_mobile`."""
    teacher_weight: float = 0.7
    """Share of the teacher in the loss; labels have the rest. With mixup it has to be 1."""
    prefer: str = "smallest"
    """What the phone gets among the files within the budget: "smallest" or "fastest"."""
    budget: float = 0.003
    """Validation accuracy that the chosen file may lose against the float model: 0.3 points."""
    score_drop: float = 0.003
    """Accuracy that an int8 file may lose against its own float model: 0.3 points."""
    agreement: float = 0.97
    """Least share of pictures on which an int8 file answers like its float model."""

    def __post_init__(self) -> None:
        if self.mixup and self.teacher_weight < 1:
            raise ValueError(
                "A label says nothing of mixed pictures: with mixup the teacher's share is 1. Received: "
                f"mixup={self.mixup}, teacher_weight={self.teacher_weight}."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"seeds": 1, "teachers": 2, "validation": 200, "limit": 640, "teacher": tiny, "student": tiny}
        return cls(**sizes, budget=0.2, score_drop=0.2, agreement=0.7)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teachers, then for every seed a student under them and one alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="distil_logits", tag=folder.name, config=config) as run:
        data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
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
        teacher, together = teachers.ensemble_model(trained), teachers.Ensemble(trained)
        answers = answered(config, data, folder / "answers", teacher=together)
        lesson = [config.mixup, config.temperature, config.teacher_weight, answers.facts]
        distilled = run.stage_per_seed(
            "distilled",
            lambda seed, at: learn(config, data, seed, at, answers=answers),
            seeds=seeds,
            key=[basis, config.widths, config.student, lesson],
            **models,
        )
        alone = run.stage_per_seed(
            "alone",
            lambda seed, at: learn(config, data, seed, at),
            seeds=seeds,
            key=[basis, config.widths, config.student, config.answered],
            **models,
        )
        best = max(distilled, key=lambda one: max(one.curves.values["val_accuracy"]))
        float32 = kerastl.export.tflite.convert(best.model)
        teacher_float32 = kerastl.export.tflite.convert(teacher)
        ptq, pictures = kerastl.compress.ptq, data.train.inputs[:500]
        candidate = functools.partial(kerastl.runs.Candidate, model=best.model)
        return kerastl.runs.publish(
            run,
            data,
            model=best.model,
            candidates=[
                candidate("teacher_float32", "float32", teacher_float32, model=teacher, eligible=False),
                candidate("float32", "float32", float32),
                candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
                candidate("static_int8", "static_int8", ptq.static_int8(float32, calibration=pictures)),
            ],
            curves=[members[0].curves, best.curves, *(one.curves for one in alone)],
            prefer=config.prefer,
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
            control=kerastl.runs.Baseline(
                teacher,
                distilled=[one.model for one in distilled],
                trained_alone=[one.model for one in alone],
                seeds=seeds,
                steps=config.student.epochs * (len(data.train) // config.student.batch_size),
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
    views = moved(config, data, config.student, seed=config.seed, mixup=config.mixup, views=config.answered)
    return kerastl.distil.logit_cache.write(folder, views, teacher=teacher, temperature=config.temperature)


def learn(config: Config, data: Dataset, seed: int, workspace: Workspace, *, answers=None):
    """A student from the teacher's answers where there are any, else from the labels; all else is the same."""
    kerastl.training.set_seed(seed + 1)
    student = model = kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2)
    if answers is None:
        batches = moved(config, data, config.student, seed=config.seed, views=config.answered)
    else:
        batches = moved(config, data, config.student, seed=config.seed, mixup=config.mixup, answers=answers)
        soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=config.temperature)
        model = kerastl.distil.distiller.Distiller(
            student=student, teacher=None, loss=soft, weight=config.teacher_weight
        )
    curves = kerastl.training.fit(
        model,
        batches,
        schedule=config.student,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(student, curves)


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
