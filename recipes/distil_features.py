"""Three lessons about features before the teacher's answers alone, and the same student without any, seed by seed.

A hint in the middle of the network (Romero et al. 2015, "FitNets"), where its last maps look (Zagoruyko & Komodakis
2017, "Paying More Attention to Attention"), and which pictures of a batch are alike (Tung & Mori 2019, "Similarity-
Preserving Knowledge Distillation") are three terms of one loss, and the student runs once a step all the same. They
lead its first steps and fade: a student that had to imitate to the end was no better than alone. Views are those of
`distil_logits`; the student is smaller, and the training shorter, for features cannot be stored as answers can.

Minutes: 80
Data: fashion_mnist
Command: kerastl run distil_features
Expect: 0.922 on test (mean of 3 seeds), 0.920 alone, 0.942 of the teacher; the shipped file has 19,810 bytes
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
    """Settings of the run; every field is a flag of `kerastl run distil_features`."""

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
    erasing: float = 0.125
    """Share of the teacher's pictures in which a rectangle is blanked, as in `distil_logits`."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of `resnet.medium`, 309,000 parameters."""
    widths: tuple[int, ...] = (8, 16, 24)
    """Filters of the student's stages: 15,000 parameters, a twentieth of the teacher's."""
    student: Schedule = Schedule(epochs=40, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience (Beyer et al. 2022, section 3.2); the control gets the same."""
    temperature: float = 2.0
    """Softens both sides' answers, as in `distil_logits`."""
    teacher_weight: float = 0.7
    """Share of the answers, labels have the rest, as there."""
    hint: float = 0.5
    """Weight of the hint at the first step, half a mean squared difference; 0 leaves it out."""
    attention: float = 0.5
    """Weight of the attention transfer at the first step."""
    similarity: float = 3000.0
    """Weight of the similarities in a batch at the first step, the paper's: the term is at most 2 / batch size."""
    fading: float = 0.5
    """Share of the steps in which features fade to nothing. Similarities that kept the paper's weight to the end were
    more than twice the answers in the last epoch, and the student was no better than alone."""
    prefer: str = "smallest"
    """What the phone gets among the files within the budget: "smallest" or "fastest"."""
    budget: float = 0.003
    """Validation accuracy that the chosen file may lose against the float model: 0.3 points."""
    score_drop: float = 0.003
    """Accuracy that an int8 file may lose against its own float model: 0.3 points."""
    agreement: float = 0.97
    """Least share of pictures on which an int8 file answers like its float model."""

    def __post_init__(self) -> None:
        if not 0 < self.fading <= 1:
            raise ValueError(
                f"Features fade within a share of the steps, above 0 and at most 1. Received: {self.fading}."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"seeds": 1, "validation": 200, "limit": 640, "teacher": tiny, "student": tiny}
        return cls(**sizes, budget=0.2, score_drop=0.2, agreement=0.7)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teacher, then for every seed a student under it and one without, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="distil_features", tag=folder.name, config=config) as run:
        data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        seeds = range(config.seed, config.seed + config.seeds)
        basis = [config.views, data.digest]
        lesson = [config.temperature, config.teacher_weight]
        lesson += [config.hint, config.attention, config.similarity, config.fading]
        schooling = [config.seed, basis, config.erasing, config.teacher]

        teacher = run.stage("teacher", lambda at: train_teacher(config, data, at), key=schooling, **models)
        distilled = run.stage_per_seed(
            "distilled",
            lambda seed, at: learn(config, data, seed, at, teacher=teacher.model),
            seeds=seeds,
            key=[basis, config.widths, config.student, lesson, run.stage_key("teacher")],
            **models,
        )
        alone = run.stage_per_seed(
            "alone",
            lambda seed, at: learn(config, data, seed, at),
            seeds=seeds,
            key=[basis, config.widths, config.student],
            **models,
        )
        best = max(distilled, key=lambda one: max(one.curves.values["val_accuracy"]))
        float32 = kerastl.export.tflite.convert(best.model)
        teacher_float32 = kerastl.export.tflite.convert(teacher.model)
        ptq, pictures = kerastl.compress.ptq, data.train.inputs[:500]
        candidate = functools.partial(kerastl.runs.Candidate, model=best.model)
        return kerastl.runs.publish(
            run,
            data,
            model=best.model,
            candidates=[
                candidate("teacher_float32", "float32", teacher_float32, model=teacher.model, eligible=False),
                candidate("float32", "float32", float32),
                candidate("float16", "float16", ptq.float16(float32)),
                candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
                candidate("static_int8", "static_int8", ptq.static_int8(float32, calibration=pictures)),
            ],
            curves=[teacher.curves, best.curves, *(one.curves for one in alone)],
            prefer=config.prefer,
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
            control=kerastl.runs.Baseline(
                teacher.model,
                distilled=[one.model for one in distilled],
                trained_alone=[one.model for one in alone],
                seeds=seeds,
                steps=steps(config, data),
            ),
        )


def train_teacher(config: Config, data: Dataset, workspace: Workspace):
    """A wider residual CNN on the labels."""
    medium, size = functools.partial(kerastl.models.resnet.medium, data.task), config.teacher.batch_size
    teacher = kerastl.training.precision.build_in_fastest_dtype(
        medium, data.train.take(size), seed=config.seed, workspace=workspace
    )
    curves = kerastl.training.fit(
        teacher,
        moved(config, data, config.teacher, seed=config.seed, erasing=config.erasing),
        schedule=config.teacher,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(kerastl.training.precision.as_float32(teacher), curves)


def learn(config: Config, data: Dataset, seed: int, workspace: Workspace, *, teacher=None):
    """A student from the teacher's answers and features where there is one, else from the labels; the rest is equal."""
    kerastl.training.set_seed(seed + 1)
    student = model = kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2)
    if teacher is not None:
        losses = lessons(config, fade=int(config.fading * steps(config, data)))
        model = kerastl.distil.distiller.Distiller(student=student, teacher=teacher, losses=losses)
    curves = kerastl.training.fit(
        model,
        moved(config, data, config.student, seed=seed),
        schedule=config.student,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(student, curves)


def lessons(config: Config, *, fade: int):
    """What the student's loss is the sum of: teacher and student have stages of the same names, of other widths.

    Features fade to nothing within ``fade`` steps.
    """
    losses, schedules, terms = kerastl.distil.feature_losses, kerastl.distil.schedules, kerastl.distil.terms
    soft = functools.partial(terms.LogitLoss, kerastl.distil.losses.kl_divergence)
    middle, last, pool = (
        {"student": name, "teacher": name} for name in ("stage2_block1_relu2", "stage3_block1_relu2", "pool")
    )
    feature = {
        "hint": (losses.hint, config.hint, {**middle, "projection": True}),
        "attention": (losses.attention_transfer, config.attention, last),
        "similarity": (losses.similarity_preserving, config.similarity, pool),
    }
    return {
        "labels": terms.LabelLoss(1 - config.teacher_weight),
        "answers": soft(config.teacher_weight, temperature=config.temperature),
    } | {
        name: terms.FeatureLoss(loss, schedules.cosine(weight, 0.0, steps=fade), **where)
        for name, (loss, weight, where) in feature.items()
        if weight
    }


def steps(config: Config, data: Dataset) -> int:
    """Of every student."""
    return config.student.epochs * (len(data.train) // config.student.batch_size)


def moved(config: Config, data: Dataset, schedule: Schedule, *, seed: int, erasing: float = 0.0):
    """Training batches, every picture moved anew in every epoch."""
    views = kerastl.inputs.augmentation.image_augmentation(
        **dataclasses.asdict(config.views), erasing=erasing, seed=seed
    )
    return kerastl.data.pipeline.batches(
        data.train, batch_size=schedule.batch_size, shuffle=True, seed=seed, augment=views, drop_remainder=True
    )


def held_out(data: Dataset):
    """Validation batches, as they are."""
    return kerastl.data.pipeline.batches(data.validation, batch_size=500)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
