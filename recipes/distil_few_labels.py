"""A few hundred labels and tens of thousands of pictures without: a teacher learns from them, a student from it.

The teacher has six hundred labels and all the regularisation there is: dropout, weight decay, pictures changed a lot,
and of the pictures without labels those that its own moving average is sure of (Sohn et al. 2020, "FixMatch",
https://arxiv.org/abs/2001.07685; Tarvainen & Valpola 2017, "Mean teachers", https://arxiv.org/abs/1703.01780). Its
answers, and in the end its last biases, are brought to what is known beforehand, that no class is more frequent than
another (Berthelot et al. 2020, "ReMixMatch", section 3.1, https://arxiv.org/abs/1911.09785). The small student sees no
label: of each picture it hears the mean of what the teacher says of a few views of it and of the pictures that look
most alike to the teacher (Iscen et al. 2019, "Label Propagation", https://arxiv.org/abs/1904.04717), which is more
often right than the teacher. The control, the same student, has the six hundred labels, for as many steps. With so few
labels there are none to choose by: every training keeps its last epoch, the first seed is shipped, and validation
pictures only compare the exported files with the model.

Minutes: 90
Data: fashion_mnist
Command: kerastl run distil_few_labels
Expect: 0.879 on test from 600 labels in 45 kB, 0.877 of the teacher; the same student alone 0.82
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

import kerastl
from kerastl.types import Dataset, Schedule, Split, Workspace

NO_LABEL = -1


@dataclasses.dataclass(frozen=True)
class Views:
    """How far training pictures are moved; see `kerastl.inputs.augmentation.image_augmentation`."""

    horizontal_flip: bool = True
    """Clothes have no left and right."""
    translation: float = 0.04
    """Share of height and width: a pixel to every side."""


@dataclasses.dataclass(frozen=True)
class Noise:
    """How much more pictures are changed that the teacher in training sees, and its moving average does not."""

    contrast: float = 0.7
    """Largest change of a pixel's distance from the picture's mean, as a share."""
    exposure: float = 0.7
    """Largest change of the light, as a share."""
    cutout: float = 0.5
    """Side of a blank square, a share of the picture's. Turned, scaled and shifted far, clothes were learnt worse."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_few_labels`."""

    seed: int = 0
    """Of the teacher, the split, which pictures have labels, and the first of the students."""
    seeds: int = 3
    """Students with a teacher, and as many without; they differ in their first weights, their views are the same."""
    validation: int = 1000
    """Pictures held out of train; nothing in training is chosen by them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    labels: int = 60
    """Labelled pictures of each class: 600 of Fashion-MNIST's. The others' labels are not looked at."""
    views: Views = Views()
    """Of teacher, students and control alike."""
    noise: Noise = Noise()
    """Of the teacher alone."""
    teacher: Schedule = Schedule(epochs=20, batch_size=128, peak_learning_rate=4e-3, weight_decay=5e-3)
    """Of `resnet.medium`, 309,000 parameters, over all pictures and the labelled ones again and again."""
    labelled_share: float = 0.2
    """Of the teacher's batches, the labelled pictures; the paper takes an eighth."""
    threshold: float = 0.9
    """Probability from which on the moving average names a picture's class; 0.95 in the paper, for easier pictures."""
    unlabelled_weight: float = 2.0
    """Of what is sure, a mean over all pictures of a batch; 1.25 here is the paper's 1, over those without labels.
    Reached after a tenth of all steps."""
    decay: float = 0.998
    """Of the moving average: it remembers five hundred steps, an epoch."""
    align: float = 0.99
    """How slowly the average's answers are brought to where it names all classes equally often."""
    answered: int = 8
    """Views of each picture that the teacher's mean goes over."""
    neighbours: int = 20
    """Other pictures of the mean; the picture itself counts as one of them."""
    widths: tuple[int, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters. Half as many, in half the time, learnt no more from the means
    than from the answers themselves."""
    student: Schedule = Schedule(epochs=40, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """The control gets the same, and as many pictures an epoch: each of its own comes a hundred times."""
    temperature: float = 1.0
    """Of both sides' answers: none."""
    budget: float = 0.005
    """Validation accuracy that the chosen file may lose against the float model: 5 of a thousand pictures."""
    score_drop: float = 0.005
    """Accuracy that an int8 file may lose against its own float model."""
    agreement: float = 0.96
    """Least share of pictures on which an int8 file answers like its float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"seeds": 1, "validation": 200, "limit": 640, "labels": 6, "teacher": tiny, "student": tiny}
        return cls(**sizes, answered=2, budget=0.3, score_drop=0.3, agreement=0.6)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, hide labels, train the teacher, for every seed a student under it and one alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="distil_few_labels", tag=folder.name, config=config) as run:
        data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)
        few, rest = hidden(config, data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        seeds = range(config.seed, config.seed + config.seeds)
        basis = [config.seed, config.labels, config.views, data.digest]
        regularised = [config.noise, config.labelled_share, config.threshold, config.unlabelled_weight, config.decay]

        teacher = run.stage(
            "teacher",
            lambda at: train_teacher(config, data, few, rest, at),
            key=[basis, config.teacher, regularised, config.align],
            **models,
        )
        even = run.stage(
            "even",
            lambda at: kerastl.training.Trained(
                kerastl.distil.distribution_alignment.prior_correction(teacher.model, rest.inputs), teacher.curves
            ),
            key=[run.stage_key("teacher")],
            **models,
        )
        answers = answered(config, rest, folder / "answers", teacher=even.model)
        means = run.stage(
            "means",
            lambda at: smoothed(config, rest, answers, teacher=even.model),
            key=[config.neighbours, answers.facts],
            save=lambda array, at: np.save(at / "means.npy", array),
            load=lambda at: np.load(at / "means.npy"),
        )
        distilled = run.stage_per_seed(
            "distilled",
            lambda seed, at: learn(config, data, rest, seed, at, answers=means),
            seeds=seeds,
            key=[basis, config.widths, config.student, config.temperature, run.stage_key("means")],
            **models,
        )
        alone = run.stage_per_seed(
            "alone",
            lambda seed, at: learn(config, data, again(few, len(rest)), seed, at),
            seeds=seeds,
            key=[basis, config.widths, config.student],
            **models,
        )
        model, ptq = distilled[0].model, kerastl.compress.ptq
        float32 = kerastl.export.tflite.convert(model)
        teacher_float32 = kerastl.export.tflite.convert(even.model)
        candidate = functools.partial(kerastl.runs.Candidate, model=model)
        return kerastl.runs.publish(
            run,
            data,
            model=model,
            candidates=[
                candidate("teacher_float32", "float32", teacher_float32, model=even.model, eligible=False),
                candidate("float32", "float32", float32),
                candidate("float16", "float16", ptq.float16(float32)),
                candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
                candidate("static_int8", "static_int8", ptq.static_int8(float32, calibration=rest.inputs[:500])),
            ],
            curves=[teacher.curves, distilled[0].curves, alone[0].curves],
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
            control=kerastl.runs.Baseline(
                even.model,
                distilled=[one.model for one in distilled],
                trained_alone=[one.model for one in alone],
                seeds=seeds,
                steps=config.student.epochs * (len(rest) // config.student.batch_size),
            ),
        )


def hidden(config: Config, data: Dataset) -> tuple[Split, Split]:
    """So many labelled pictures of each class, and all the others with nothing where their labels were."""
    rows = kerastl.data.splits.per_class(data.train.labels, count=config.labels, seed=config.seed)
    others = data.train.subset(np.setdiff1d(np.arange(len(data.train)), rows))
    return data.train.subset(rows), dataclasses.replace(others, labels=np.full_like(others.labels, NO_LABEL))


def again(few: Split, count: int) -> Split:
    """The same pictures again and again, until they are so many."""
    return few.subset(np.resize(np.arange(len(few)), count))


def train_teacher(config: Config, data: Dataset, few: Split, rest: Split, workspace: Workspace):
    """The moving average of a wider network: of labels, and of what the average itself is sure of in other pictures."""
    medium, size = functools.partial(kerastl.models.resnet.medium, data.task), config.teacher.batch_size
    network = kerastl.training.precision.build_in_fastest_dtype(
        medium, few.take(size), seed=config.seed, workspace=workspace
    )
    noise = kerastl.inputs.augmentation.image_augmentation(**dataclasses.asdict(config.noise), seed=config.seed + 100)
    share = config.labelled_share
    labelled = again(few, round(len(rest) * share / (1 - share)))
    pictures = np.concatenate([np.asarray(rest.inputs), np.asarray(labelled.inputs)])
    train = Split("train", pictures, np.concatenate([rest.labels, labelled.labels]))
    batches = moved(config, train, config.teacher, seed=config.seed)
    steps = config.teacher.epochs * int(batches.cardinality())
    distil = kerastl.distil
    sure = functools.partial(distil.losses.pseudo_label_cross_entropy, threshold=config.threshold)
    growing = distil.schedules.linear(0.0, config.unlabelled_weight, steps=max(steps // 10, 1))
    model = distil.distiller.Distiller(
        student=kerastl.inputs.augmentation.with_augmentation(network, noise),
        teacher=distil.teachers.EMATeacher(config.decay, align=config.align),
        losses={
            # rows without a label count as zeros in the mean
            "labels": distil.terms.LabelLoss(1 / share, ignore_label=NO_LABEL),
            "sure": distil.terms.LogitLoss(sure, growing),
        },
    )
    curves = kerastl.training.fit(model, batches, schedule=config.teacher, workspace=workspace, keep="last")
    return kerastl.training.Trained(
        kerastl.training.precision.as_float32(model.average.get_layer(network.name)), curves
    )


def answered(config: Config, rest: Split, folder: Path, *, teacher):
    """What the teacher says of a few views of every picture, computed once."""
    views = moved(config, rest, config.student, seed=config.seed, views=config.answered, drop_remainder=False)
    return kerastl.distil.logit_cache.write(folder, views, teacher=teacher)


def smoothed(config: Config, rest: Split, answers, *, teacher) -> np.ndarray:
    """The mean of the answers to a picture's views, and to those of the pictures whose features are most like its."""
    seen = kerastl.distil.features.intermediate_outputs(teacher, layers=["pool"]).predict(
        rest.inputs, batch_size=500, verbose=0
    )
    neighbours = kerastl.distil.label_propagation.nearest(seen["pool"], count=config.neighbours)
    return kerastl.distil.label_propagation.propagated(answers, neighbours=neighbours)


def learn(config: Config, data: Dataset, pictures: Split, seed: int, workspace: Workspace, *, answers=None):
    """A student from what the teacher says of the pictures, else from their labels; all else is the same."""
    kerastl.training.set_seed(seed + 1)
    student = model = kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2)
    batches = moved(config, pictures, config.student, seed=config.seed, answers=answers)
    if answers is not None:
        soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=config.temperature)
        model = kerastl.distil.distiller.Distiller(student=student, teacher=None, loss=soft, weight=1.0)
    curves = kerastl.training.fit(
        model,
        batches,
        schedule=config.student,
        workspace=workspace,
        keep="last",
        metrics=None if answers is None else [],  # of pictures without labels there is no accuracy
    )
    return kerastl.training.Trained(student, curves)


def moved(config: Config, pictures: Split, schedule: Schedule, *, seed: int, drop_remainder: bool = True, **more):
    """Batches, every picture moved anew in every epoch; ``more`` are the pipeline's `answers` and `views`."""
    return kerastl.data.pipeline.batches(
        pictures,
        batch_size=schedule.batch_size,
        shuffle=True,
        seed=seed,
        augment=kerastl.inputs.augmentation.image_augmentation(**dataclasses.asdict(config.views), seed=seed),
        drop_remainder=drop_remainder,
        **more,
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
