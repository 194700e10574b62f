"""Feature distillation: three losses of features ahead of the teacher's logits, beside the same student without it.

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
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, Positive, Seed, Share, Some, Weight


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_features`."""

    seed: Seed = 0
    """Of the teacher, the split, and the first of the students."""
    seeds: Count = 3
    """Students with a teacher, and as many without: three are the fewest whose interval says much."""
    validation: Count = 5000
    """Pictures held out of train; every choice is made on them."""
    control: bool = True
    """Whether the same student is trained without a teacher as well, for as long; `--no-control` saves its time."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04)
    """Of teacher, students and control alike: clothes have no left and right; a pixel to every side."""
    teacher_augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04, erasing=0.125)
    """The same, and in every eighth picture a rectangle is blanked, as in `distil_logits`."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of `resnet.medium`, 309,000 parameters."""
    widths: tuple[Count, ...] = (8, 16, 24)
    """Filters of the student's stages: 15,000 parameters, a twentieth of the teacher's."""
    student: Schedule = Schedule(epochs=40, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience (Beyer et al. 2022, section 3.2); the control gets the same."""
    temperature: Positive = 2.0
    """Softens both sides' answers, as in `distil_logits`."""
    teacher_weight: Share = 0.7
    """Share of the answers, labels have the rest, as there."""
    hint: Weight = 0.5
    """Weight of the hint at the first step, half a mean squared difference; 0 leaves it out."""
    attention: Weight = 0.5
    """Weight of the attention transfer at the first step."""
    similarity: Weight = 3000.0
    """Weight of the similarities in a batch at the first step, the paper's: the term is at most 2 / batch size."""
    fading: Some = 0.5
    """Share of the steps in which features fade to nothing. Similarities that kept the paper's weight to the end were
    more than twice the answers in the last epoch, and the student was no better than alone."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.97)
    """0.3 points of validation accuracy against the float model, 0.3 of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        accept = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.7)
        return cls(seeds=1, validation=200, max_train_examples=640, teacher=tiny, student=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teacher, then for every seed a student under it and one without, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="distil_features", tag=folder.name, config=config) as run:
        sizes: dict[str, Any] = {"validation": config.validation, "limit": config.max_train_examples}
        data = kerastl.data.fashion_mnist.load(seed=config.seed, **sizes)
        run.use_dataset(data)
        learn = functools.partial(train_student, config, data)
        basis = [config.augmentation, config.widths, config.student, data.digest]
        features = [config.hint, config.attention, config.similarity, config.fading]

        teacher = run.stage(
            "teacher",
            lambda at: train_teacher(config, data, at),
            key=[config.seed, config.teacher_augmentation, config.teacher, data.digest],
        )
        distilled = run.stage_per_seed(
            "distilled",
            functools.partial(learn, teacher=teacher.model),
            key=[basis, config.temperature, config.teacher_weight, features, run.stage_key("teacher")],
        )
        alone = run.stage_per_seed("student_without_teacher", learn, key=basis) if config.control else []
        arms, steps = {"student_without_teacher": alone, "distilled": distilled}, config.student.steps(len(data.train))
        best = kerastl.runs.best_on_validation(arms, data.validation)
        post_training, techniques = kerastl.runs.post_training, ("float32", "float16", "dynamic_int8", "static_int8")
        made = post_training(teacher.model, data.task, techniques=["float32"], prefix="teacher_", eligible=False)
        made += post_training(best.model, data.train, techniques=techniques)
        made += best.left_behind(data.task)
        curves = [stage.curves for stage in (teacher, *distilled, *alone)]
        control = kerastl.runs.Baseline(teacher, distilled=distilled, trained_alone=alone, steps=steps)
        return kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=curves, control=control)


def train_teacher(config: Config, data: Dataset, at: Workspace):
    """A wider residual CNN on the labels."""
    medium = functools.partial(kerastl.models.resnet.medium, data.task)
    batches = kerastl.data.pipeline.training_batches(
        data, schedule=config.teacher, seed=config.seed, augmentation=config.teacher_augmentation
    )
    return kerastl.training.train(medium, batches, seed=config.seed, workspace=at, in_fastest_dtype=True)


def train_student(config: Config, data: Dataset, seed: int, at: Workspace, *, teacher=None):
    """A student from the teacher's logits and features where there is one, else from the labels; the rest is equal."""
    schedule, views = config.student, config.augmentation
    losses = distillation_losses(config, fade=int(config.fading * schedule.steps(len(data.train))))
    batches = kerastl.data.pipeline.training_batches(data, schedule=schedule, seed=seed, augmentation=views)
    build = functools.partial(kerastl.models.resnet.build, data.task, widths=config.widths, stem_pool=2)

    def under(student):
        return kerastl.distil.distiller.Distiller(student=student, teacher=teacher, losses=losses)

    return kerastl.training.train(build, batches, seed=seed + 1, workspace=at, under=under if teacher else None)


def distillation_losses(config: Config, *, fade: int):
    """What the student's loss is the sum of: teacher and student have stages of the same names, of other widths.

    Features fade to nothing within ``fade`` steps.
    """
    losses, schedules, terms = kerastl.distil.feature_losses, kerastl.distil.schedules, kerastl.distil.terms
    soft, share = kerastl.distil.losses.kl_divergence, config.teacher_weight
    features = {
        "hint": (losses.hint, config.hint, "stage2_block1_relu2", True),
        "attention": (losses.attention_transfer, config.attention, "stage3_block1_relu2", False),
        "similarity": (losses.similarity_preserving, config.similarity, "pool", False),
    }
    answers = terms.LogitLoss(soft, share, temperature=config.temperature)
    return {"labels": terms.LabelLoss(1 - share), "answers": answers} | {
        name: terms.FeatureLoss(
            loss, schedules.cosine(weight, 0.0, steps=fade), student=layer, teacher=layer, projection=projection
        )
        for name, (loss, weight, layer, projection) in features.items()
        if weight
    }


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
