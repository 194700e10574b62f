"""Semi-supervised distillation: a few hundred labels, tens of thousands of pictures without, a teacher, a student.

The teacher has six hundred labels and all the regularisation there is: dropout, weight decay, pictures changed a lot,
and of the pictures without labels those that its own moving average is sure of (Sohn et al. 2020, "FixMatch",
https://arxiv.org/abs/2001.07685; Tarvainen & Valpola 2017, "Mean teachers", https://arxiv.org/abs/1703.01780). Its
answers, and in the end its last biases, are brought to what is known beforehand, that no class is more frequent than
another (Berthelot et al. 2020, "ReMixMatch", section 3.1, https://arxiv.org/abs/1911.09785). The small student sees no
label: its target for each picture is the mean of the teacher's answers to a few views of it and of the pictures that
look most alike to the teacher (Iscen et al. 2019, "Label Propagation", https://arxiv.org/abs/1904.04717), which is more
often right than the teacher. The control, the same student, has the six hundred labels, for as many steps. With so few
labels there are none to train by: every training keeps its last epoch, and the first seed counts. Validation pictures
compare the exported files with the model, and say of the finished pair, student and control, which is shipped.

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

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Schedule, Split, Workspace
from kerastl.types.settings import Count, CountOrNone, Part, Positive, Seed, Share, Some, Weight


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_few_labels`."""

    seed: Seed = 0
    """Of the teacher, the split, which pictures have labels, and the first of the students."""
    seeds: Count = 3
    """Students with a teacher, and as many without; they differ in their first weights, their views are the same."""
    control: bool = True
    """Whether the same student is trained without a teacher as well, for as long; `--no-control` saves its time."""
    validation: Count = 1000
    """Pictures held out of train; nothing in training is chosen by them, only what is shipped."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    labels: Count = 60
    """Labelled pictures of each class: 600 of Fashion-MNIST's. The others' labels are not looked at."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04)
    """Of teacher, students and control alike: clothes have no left and right; a pixel to every side."""
    teacher_augmentation: Augmentation = Augmentation(contrast=0.7, exposure=0.7, cutout=0.5)
    """On top of that, of what the teacher in training sees and its moving average does not. Turned, scaled and shifted
    far, clothes were learnt worse."""
    teacher: Schedule = Schedule(epochs=20, batch_size=128, peak_learning_rate=4e-3, weight_decay=5e-3)
    """Of `resnet.medium`, 309,000 parameters, over all pictures and the labelled ones again and again."""
    labelled_share: Some = 0.2
    """Of the teacher's batches, the labelled pictures; the paper takes an eighth."""
    threshold: Share = 0.9
    """Probability from which on the moving average names a picture's class; 0.95 in the paper, for easier pictures."""
    unlabelled_weight: Weight = 2.0
    """Of what is sure, a mean over all pictures of a batch; 1.25 here is the paper's 1, over those without labels.
    Reached after a tenth of all steps."""
    decay: Part = 0.998
    """Of the moving average: it remembers five hundred steps, an epoch."""
    align: Share = 0.99
    """How slowly the average's answers are brought to where it names all classes equally often."""
    cached_views: Count = 8
    """Views of each picture that the teacher's mean goes over."""
    neighbours: CountOrNone = 20
    """Other pictures of the mean; the picture itself counts as one of them."""
    widths: tuple[Count, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters. Half as many, in half the time, learnt no more from the means
    than from the answers themselves."""
    student: Schedule = Schedule(epochs=40, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """The control gets the same, and as many pictures an epoch: each of its own comes a hundred times."""
    temperature: Positive = 1.0
    """Of both sides' answers: none."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.96)
    """5 of a thousand validation pictures against the float model, as many of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        accept = Acceptance(max_score_drop=0.3, max_quantization_drop=0.3, min_agreement=0.6)
        sizes: dict[str, Any] = {"seeds": 1, "validation": 200, "max_train_examples": 640, "labels": 6}
        return cls(**sizes, cached_views=2, widths=(8, 16), teacher=tiny, student=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, hide labels, train the teacher, for every seed a student under it and one alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="distil_few_labels", tag=folder.name, config=config) as run:
        sizes: dict[str, Any] = {"validation": config.validation, "limit": config.max_train_examples}
        data = kerastl.data.fashion_mnist.load(seed=config.seed, **sizes)
        run.use_dataset(data)
        few, rest = kerastl.data.splits.hide_labels(data.train, count=config.labels, seed=config.seed)
        basis = [config.seed, config.labels, config.augmentation, data.digest]
        semi_supervised = [config.teacher_augmentation, config.labelled_share, config.threshold]
        semi_supervised += [config.unlabelled_weight, config.decay, config.align]

        teacher = run.stage(
            "teacher", lambda at: train_teacher(config, few, rest, at), key=[basis, config.teacher, semi_supervised]
        )
        balanced = run.stage("teacher_balanced", lambda at: balance(teacher, rest), key=[run.stage_key("teacher")])
        logits = cache_teacher_logits(config, rest, run.place("logits"), teacher=balanced.model)
        targets = run.stage(
            "propagated_targets",
            lambda at: propagate_labels(config, rest, logits, teacher=balanced.model),
            key=[config.neighbours, logits.facts],
        )
        distilled = run.stage_per_seed(
            "distilled",
            functools.partial(train_student, config, rest, targets=targets),
            key=[basis, config.widths, config.student, config.temperature, run.stage_key("propagated_targets")],
        )
        learn = functools.partial(train_student, config, kerastl.data.splits.repeated(few, len(rest)))
        key, alone = [basis, config.widths, config.student], []
        if config.control:
            alone = run.stage_per_seed("student_without_teacher", learn, key=key)
        first = {"student_without_teacher": alone[:1], "distilled": distilled[:1]}
        best = kerastl.runs.best_on_validation(first, data.validation)
        post_training, techniques = kerastl.runs.post_training, ("float32", "float16", "dynamic_int8", "static_int8")
        made = post_training(balanced.model, data.task, techniques=["float32"], prefix="teacher_", eligible=False)
        made += post_training(best.model, rest, techniques=techniques) + best.left_behind(data.task)
        curves = [stage.curves for stage in (teacher, distilled[0], *alone[:1])]
        steps = config.student.steps(len(rest))
        control = kerastl.runs.Baseline(balanced, distilled=distilled, trained_alone=alone, steps=steps)
        return kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=curves, control=control)


def train_teacher(config: Config, few: Split, rest: Split, at: Workspace):
    """The moving average of a wider network: of labels, and of what the average itself is sure of in other pictures."""
    share, augmentation = config.labelled_share, kerastl.inputs.augmentation
    labelled = kerastl.data.splits.repeated(few, round(len(rest) * share / (1 - share)))
    batches = augmented(config, kerastl.training.transfer.concatenate(rest, labelled), config.teacher)
    steps = config.teacher.epochs * int(batches.cardinality())
    network = kerastl.training.precision.build_in_fastest_dtype(
        lambda: kerastl.models.resnet.medium(few.task), seed=config.seed, workspace=at
    )
    model = kerastl.distil.fixmatch.distiller(
        augmentation.with_augmentation(network, config.teacher_augmentation.build(config.seed + 100)),
        labelled_share=share,
        threshold=config.threshold,
        weight=config.unlabelled_weight,
        ramp_steps=max(steps // 10, 1),
        decay=config.decay,
        align=config.align,
    )
    curves = kerastl.training.fit(model, batches, schedule=config.teacher, workspace=at, keep="last")
    average = model.average.get_layer(network.name)
    return kerastl.training.Trained(kerastl.training.precision.as_float32(average), curves)


def balance(teacher, rest: Split):
    """The teacher with last biases that make it answer with every class equally often."""
    balanced = kerastl.distil.distribution_alignment.prior_correction(teacher.model, rest.inputs)
    return kerastl.training.Trained(balanced, teacher.curves)


def cache_teacher_logits(config: Config, rest: Split, folder: Path, *, teacher):
    """What the teacher says of a few views of every picture, computed once."""
    views = augmented(config, rest, config.student, views=config.cached_views, drop_remainder=False)
    return kerastl.distil.logit_cache.write(folder, views, teacher=teacher)


def propagate_labels(config: Config, rest: Split, logits, *, teacher):
    """The mean of the answers to a picture's views, and to those of the pictures whose features are most like its."""
    pool = kerastl.distil.features.intermediate_outputs(teacher, layers=["pool"])
    features = pool.predict(rest.inputs, batch_size=500, verbose=0)["pool"]
    neighbours = kerastl.distil.label_propagation.nearest(features, count=config.neighbours)
    return kerastl.distil.label_propagation.propagated(logits, neighbours=neighbours)


def train_student(config: Config, pictures: Split, seed: int, at: Workspace, *, targets=None):
    """A student from the propagated targets of the pictures, else from their labels; all else is the same."""
    return kerastl.training.train(
        lambda: kerastl.models.resnet.build(pictures.task, widths=config.widths, stem_pool=2),
        augmented(config, pictures, config.student, answers=targets),
        seed=seed + 1,
        workspace=at,
        under=kerastl.distil.distiller.under_cached_logits(targets, temperature=config.temperature, weight=1.0),
        keep="last",
        metrics=None if targets is None else [],  # of pictures without labels there is no accuracy
    )


def augmented(config: Config, pictures: Split, schedule: Schedule, **options):
    """Training batches, every picture changed anew in every epoch."""
    return kerastl.data.pipeline.training_batches(
        pictures, schedule=schedule, seed=config.seed, augmentation=config.augmentation, **options
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
