"""MNIST to a verified bundle for the phone: a small patient net, trained once, its weights stored in four bits.

Six narrow convolutions of 19,000 parameters see every digit turned, shifted, zoomed and bent anew in every epoch. The
net is stored in every format there is, each file is run against its model, and the smallest within the bounds goes to
the phone: 4-bit weights whose integers are chosen by the net's own answers lose nothing here. A teacher gave this net
nothing that its minutes gave not, so there is none; `fashion_mobile` is the longer road, on clothes: teacher, distilled
student (Hinton et al. 2015; Beyer et al. 2022), pruned, trained quantization-aware, with the same student alone beside.

Minutes: 9
Data: mnist
Command: kerastl run mnist_mobile
Expect: a file of 14,500 bytes with a test accuracy of 0.995 (0.9957 of seed 0)
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, Part, Positive, Seed, Share


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run mnist_mobile`."""

    name: ClassVar[str] = "mnist_mobile"
    quick: bool = False
    """Three epochs in the place of all: a first answer within two minutes."""
    seed: Seed = 0
    """Of weights, order, augmentation and split."""
    data: Literal["mnist", "fashion_mnist"] = "mnist"
    """The pictures; all else that suits clothes is set by `kerastl run fashion_mobile`."""
    networks: Literal["all_conv_net", "resnet"] = "all_conv_net"
    """Strided convolutions alone, or residual blocks."""
    validation: Count = 5000
    """Pictures held out of train; every choice is made on them."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(rotation=0.03, translation=0.1, zoom=0.1, elastic=0.02)
    """11 degrees, three pixels, a tenth, and strokes that bend (Simard et al. 2003) as other hands would: strong, for a
    net that averages its last map and is trained for long."""
    teacher: Schedule = Schedule(epochs=0, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
    """Of a wide network that teaches the small one; 0 epochs leave it out, and with it the control."""
    student: Schedule = Schedule(epochs=24, batch_size=128, peak_learning_rate=6e-3, weight_decay=1e-4)
    """Of the small network, which likes high rates; patience pays (Beyer et al. 2022, figure 3)."""
    temperature: Positive = 3.0
    """Softens the teacher's answers; Hinton et al. 2015 use 2.5 to 8 for small students."""
    teacher_weight: Share = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    sparsity: Part = 0.3
    """Share of zeros in the student's convolutions where it is pruned; more costs accuracy at this size."""
    prune: Schedule = Schedule(epochs=0, batch_size=128, peak_learning_rate=5e-4, weight_decay=1e-4)
    """Pruning runs over the first half, the rest recovers; 0 epochs leave it out."""
    quantize: Schedule = Schedule(epochs=0, batch_size=128, peak_learning_rate=2e-4)
    """Quantization-aware training is fine-tuning: short and slow; 0 epochs leave it out."""
    rounding: CountOrNone = 500
    """Training pictures by whose answers the integers of 4-bit weights are chosen; 0 takes the nearest ones."""
    accept: Acceptance = Acceptance(max_score_drop=0.0005, max_quantization_drop=0.003, min_agreement=0.99)
    """The chosen file may lose five digits in ten thousand on validation against the float model, an int8 file 0.3
    points against its own; it answers like that one to 99 pictures of 100."""

    def __post_init__(self) -> None:
        if self.quick:
            object.__setattr__(self, "student", dataclasses.replace(self.student, epochs=3))

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        names = ("teacher", "student", "prune", "quantize")
        schedules: dict[str, Any] = {name: tiny for name in names if getattr(cls, name).epochs}
        accept = Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.8)
        rounding = min(cls.rounding, 20)
        return cls(validation=200, max_train_examples=1000, rounding=rounding, accept=accept, **schedules)


@dataclasses.dataclass(frozen=True)
class FashionMobile(Config):
    """Fashion-MNIST to a verified bundle for the phone: the same road as mnist_mobile, on clothes.

    Pictures of clothes are mirrored and shifted by a pixel instead of turned, and a residual student of 99,000
    parameters (He et al. 2016) under a wider one takes the place of the strided ones.

    Minutes: 40
    Data: fashion_mnist
    Command: kerastl run fashion_mobile
    Expect: a file of 107,000 bytes with a test accuracy of 0.929 (mean of seeds 0, 1 and 2)
    """

    name: ClassVar[str] = "fashion_mobile"
    data: Literal["mnist", "fashion_mnist"] = "fashion_mnist"
    """Clothes: ten kinds, of the size of MNIST's digits."""
    networks: Literal["all_conv_net", "resnet"] = "resnet"
    """`resnet.medium` of 309,000 parameters teaches `resnet.mobile`."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04)
    """Clothes have no left and right; a pixel to every side. With shifts of two pixels and blank rectangles a short
    training ended lower on validation."""
    teacher: Schedule = Schedule(epochs=8, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Ten minutes on two cores."""
    student: Schedule = Schedule(epochs=16, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience pays (Beyer et al. 2022, figure 3)."""
    prune: Schedule = Schedule(epochs=2, batch_size=128, peak_learning_rate=5e-4, weight_decay=1e-4)
    """At a peak of 2e-3 it lost 0.1 points on validation."""
    quantize: Schedule = Schedule(epochs=2, batch_size=128, peak_learning_rate=2e-4)
    """Short and slow."""
    rounding: CountOrNone = 0
    """The nearest integers: the zeros of pruning stay zero."""
    temperature: Positive = 2.0
    """Softens the teacher's answers; a short run at 4 did worse than no teacher."""
    teacher_weight: Share = 0.7
    """Share of the teacher in the loss; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.98)
    """0.3 points of accuracy on both counts."""


ALIASES = {"fashion_mobile": FashionMobile}


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, under a teacher where there is one, prune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe=config.name, tag=folder.name, config=config) as run:
        source = getattr(kerastl.data, config.data)
        data = source.load(seed=config.seed, validation=config.validation, limit=config.max_train_examples)
        run.use_dataset(data)
        basis = [config.seed, config.networks, config.augmentation, data.digest]
        learn = functools.partial(train_student, config, data)
        if config.teacher.epochs:
            teacher, students = taught(config, data, run, learn, basis)
            under = under_teacher(config, teacher)
        else:
            teacher = under = None
            students = {"student": run.stage("student", learn, key=[basis, config.student])}
        student = kerastl.runs.best_on_validation(students, data.validation)
        pruned = quantized = None
        if config.prune.epochs:
            pruned = run.stage(
                "pruned",
                lambda at: prune(config, data, student.model, at, under=under),
                key=[basis, config.prune, config.sparsity, *distillation(config), run.stage_key(student.name)],
            )
        best = pruned or student
        if config.quantize.epochs:
            quantized = run.stage(
                "quantized",
                lambda at: quantize(config, data, best.model, at),
                key=[basis, config.quantize, run.stage_key("pruned" if pruned else student.name)],
            )
        made = candidates(config, data, teacher=teacher, student=best.model, integers=quantized)
        made += student.left_behind(data.task)
        curves = [stage.curves for stage in (teacher, *students.values(), pruned, quantized) if stage]
        control = None
        if teacher:
            (alone, distilled), steps = students.values(), config.student.steps(len(data.train))
            control = kerastl.runs.Baseline(teacher, distilled=[distilled], trained_alone=[alone], steps=steps)
        return kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=curves, control=control)


def taught(config: Config, data: Dataset, run, learn, basis):
    """The teacher, and by name the same student without it and under it."""
    teacher = run.stage("teacher", lambda at: train_teacher(config, data, at), key=[basis, config.teacher])
    key = [basis, config.student]
    student = run.stage(
        "student",
        functools.partial(learn, under=under_teacher(config, teacher)),
        key=[*key, *distillation(config), run.stage_key("teacher")],
    )
    alone = run.stage("student_without_teacher", learn, key=key)
    return teacher, {"student_without_teacher": alone, "student": student}


def distillation(config: Config) -> list[float]:
    """How soft both sides' answers are, and the teacher's share of the loss."""
    return [config.temperature, config.teacher_weight]


def under_teacher(config: Config, teacher):
    """What trains a student by a teacher's logits."""
    return kerastl.distil.distiller.under_logits(
        teacher.model, temperature=config.temperature, weight=config.teacher_weight
    )


def train_teacher(config: Config, data: Dataset, at: Workspace):
    """A wide network on the labels."""
    wide = {"all_conv_net": kerastl.models.all_conv_net.wide, "resnet": kerastl.models.resnet.medium}[config.networks]
    batches = training_batches(config, data, config.teacher)
    return kerastl.training.train(lambda: wide(data.task), batches, seed=config.seed, workspace=at)


def train_student(config: Config, data: Dataset, at: Workspace, *, under=None):
    """A small network: from a teacher's logits for the very pictures that it sees, or without one from the labels."""
    small = {"all_conv_net": kerastl.models.all_conv_net.tiny, "resnet": kerastl.models.resnet.mobile}[config.networks]
    batches = training_batches(config, data, config.student)
    return kerastl.training.train(lambda: small(data.task), batches, seed=config.seed + 1, workspace=at, under=under)


def prune(config: Config, data: Dataset, student, at: Workspace, *, under):
    """The smallest weights go while the teacher goes on teaching."""
    student = kerastl.training.precision.as_float32(student)  # a copy: the control compares the student as it was
    steps, batches = config.prune.steps(len(data.train)), training_batches(config, data, config.prune)
    pruning = kerastl.compress.prune.over_first_half(student, sparsity=config.sparsity, steps=steps)
    return kerastl.training.train(
        student, batches, seed=config.seed + 2, workspace=at, under=under, callbacks=[pruning], keep="last"
    )


def quantize(config: Config, data: Dataset, student, at: Workspace):
    """The student learns to live with integers under its own float answers: the file stays the model it was made of."""
    batches = training_batches(config, data, config.quantize)
    return kerastl.runs.quantization_aware(
        student, batches, seed=config.seed + 3, workspace=at, teacher=student, preserve_sparsity=True
    )


def candidates(config: Config, data: Dataset, *, teacher, student, integers):
    """The teacher's file for comparison, and every way to store the student."""
    post_training, zeros = kerastl.runs.post_training, config.sparsity if config.prune.epochs else None
    techniques = ("float32", "float16", "dynamic_int8", "static_int8", "int4_weights")
    rounding = data.train.take(config.rounding).inputs if config.rounding else None
    made = post_training(student, data.train, techniques=techniques, sparsity=zeros, rounding=rounding)
    if teacher:
        made += post_training(teacher.model, data.task, techniques=["float32"], prefix="teacher_", eligible=False)
    if integers:
        made.append(kerastl.runs.Candidate("qat_int8", "qat_int8", integers.content, student, sparsity=zeros))
    return made


def training_batches(config: Config, data: Dataset, schedule: Schedule):
    """Training batches, every picture changed anew in every epoch."""
    return kerastl.data.pipeline.training_batches(
        data, schedule=schedule, seed=config.seed, augmentation=config.augmentation
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
