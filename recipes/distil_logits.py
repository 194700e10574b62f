"""A small student under a patient and consistent teacher, beside the same student without it, seed by seed.

Teacher and student see the very same view of a picture, for many epochs (Beyer et al. 2022, "Knowledge distillation: a
good teacher is patient and consistent", https://arxiv.org/abs/2106.05237). The teacher is an ensemble of networks (You
et al. 2017, "Learning from Multiple Teacher Networks"); its logits for a few views of every picture are computed once,
for all students. The control learns from the labels, for as many steps of the same schedule, on the same views. The
report holds both over seeds, and the share of the gap that was recovered. `fashion_mobile` is the same in forty minutes
and four bits; `cifar_mobile` for CIFAR-10 and a microcontroller, with quantization-aware training behind it;
`distil_quantized` compares the integer files.

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
from typing import Any, ClassVar, Literal

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, Positive, Seed, Share, Weight


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run distil_logits`."""

    name: ClassVar[str] = "distil_logits"
    smoke_accept: ClassVar[Acceptance] = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.7)
    seed: Seed = 0
    """Of the first teacher, the split, and the first of the students."""
    seeds: Count = 3
    """Students with a teacher, and as many without: three are the fewest whose interval says much."""
    control: bool = True
    """Whether the same student is trained without a teacher as well, for as long; `--no-control` saves its time."""
    data: Literal["fashion_mnist", "cifar10", "mnist"] = "fashion_mnist"
    """The pictures; all else that suits CIFAR-10 is set by `kerastl run cifar_mobile`."""
    validation: Count = 5000
    """Pictures held out of train; every choice is made on them."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04)
    """Of teachers, students and control alike: clothes have no left and right; a pixel to every side."""
    teachers: Count = 5
    """Networks of the ensemble, each of a seed of its own: surer of what is right, and softer where it is not. Under
    five a student gained twice of what it gained under one or two."""
    teacher_augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.04, erasing=0.125)
    """The same, and in every eighth picture a rectangle is blanked, random erasing (Zhong et al. 2020): what the
    teachers say of pictures that they have learnt from has to be worth hearing."""
    teacher_widths: tuple[Count, ...] = (32, 64, 128)
    """Filters of the teachers' stages: 309,000 parameters each."""
    teacher_blocks: tuple[CountOrNone, ...] = (1, 1, 1)
    """Their residual blocks."""
    teacher: Schedule = Schedule(epochs=36, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of each, on the labels."""
    widths: tuple[Count, ...] = (16, 24, 40)
    """Filters of the student's stages: 39,000 parameters, an eighth of one teacher's."""
    blocks: tuple[CountOrNone, ...] = (1, 1, 1)
    """Its residual blocks."""
    stem_pool: Count = 2
    """Side of the max pooling behind everybody's first convolution; 1 leaves it out."""
    student: Schedule = Schedule(epochs=90, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience (Beyer et al. 2022, section 3.2); the control gets the same."""
    cached_views: Count = 8
    """Views of each picture whose logits are computed beforehand; the ninth epoch is the first again, for the control
    too."""
    mixup: Weight = 0.0
    """Of the students' pictures, not of the control's, see `kerastl.inputs.random_layers.Mixup`. The paper draws shares
    evenly (1), for networks that could learn the pictures by heart; one this small has enough to do without."""
    temperature: Positive = 2.0
    """Softens both sides' answers: at 4 a short run did worse than without a teacher."""
    teacher_weight: Share = 0.7
    """Share of the teacher in the loss; labels have the rest. With mixup it has to be 1."""
    quantize: Schedule = Schedule(epochs=0, batch_size=128, peak_learning_rate=1e-4)
    """Quantization-aware training of the best student from the same cached logits; 0 epochs leave it out, and with it
    what goes to the phone is integers throughout."""
    rounding: CountOrNone = 0
    """Training pictures by whose answers the integers of 4-bit weights are chosen; 0 makes no file of 4 bits."""
    compare: Literal["floats", "integers"] = "floats"
    """What is compared seed by seed: float students under the teachers and alone; or the integer files that one float
    student becomes, from the teachers' logits and from the labels."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.97)
    """0.3 points of validation accuracy against the float model, 0.3 of an int8 file against its own."""

    def __post_init__(self) -> None:
        if self.mixup and self.teacher_weight < 1:
            raise ValueError(
                "A label says nothing of mixed pictures: with mixup the teacher's share is 1. Received: "
                f"mixup={self.mixup}, teacher_weight={self.teacher_weight}."
            )
        if self.quantize.epochs and self.quantize.batch_size != self.student.batch_size:
            raise ValueError(
                "Cached logits are of the very batches that the float student learns from: its integers have as many "
                f"pictures in one. Received: student.batch_size={self.student.batch_size}, "
                f"quantize.batch_size={self.quantize.batch_size}."
            )
        if self.compare == "integers" and not self.quantize.epochs:
            raise ValueError(
                "Integer files come of quantization-aware training: to compare them, --quantize.epochs is 1 or more. "
                "Received: compare='integers', quantize.epochs=0."
            )

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes: dict[str, Any] = {"seeds": 1, "teachers": 2, "validation": 200, "max_train_examples": 640}
        sizes |= {"teacher_blocks": (0, 1, 0), "blocks": (0, 1, 0), "cached_views": 2}
        quantize = tiny if cls.quantize.epochs else cls.quantize
        return cls(**sizes, teacher=tiny, student=tiny, quantize=quantize, accept=cls.smoke_accept)


@dataclasses.dataclass(frozen=True)
class FashionMobile(Config):
    """Fashion-MNIST to a verified bundle for the phone: one teacher, a student of 86,000 parameters, in four bits.

    Weights of four bits take half the bytes of eight, so that the student may have twice as many; their integers are
    chosen by its own answers (Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization",
    https://arxiv.org/abs/2004.10568).

    Minutes: 40
    Data: fashion_mnist
    Command: kerastl run fashion_mobile
    Expect: 0.936 on test in 52,018 bytes (seed 0), under a teacher of 0.940
    """

    name: ClassVar[str] = "fashion_mobile"
    seeds: Count = 1
    """One student, and the same without its teacher; `--seeds 3` gives an interval."""
    teachers: Count = 1
    """A network of 309,000 parameters; more take ten minutes each, and teach better."""
    teacher: Schedule = Schedule(epochs=24, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """On the labels: 0.949 on validation."""
    widths: tuple[Count, ...] = (24, 36, 60)
    """Filters of the student's stages: 86,000 parameters, 52,018 bytes in four bits."""
    student: Schedule = Schedule(epochs=40, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience (Beyer et al. 2022, section 3.2); the control gets the same."""
    rounding: CountOrNone = 500
    """Training pictures by whose answers the integers of 4-bit weights are chosen."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.97)
    """0.3 points of validation accuracy against the float model, 0.3 of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        return dataclasses.replace(super().smoke(), rounding=20)


@dataclasses.dataclass(frozen=True)
class CifarMobile(Config):
    """CIFAR-10 for a microcontroller: MLPerf Tiny's image classification, in its reference model's bytes and faster.

    A residual network of 88,000 parameters under one of 660,000. The reference, a ResNet-8 (Banbury et al. 2021,
    "MLPerf Tiny Benchmark", https://arxiv.org/abs/2106.07597; here `resnet.small`), has its first block on the whole
    picture, where a multiplication costs the most time; the student has that block one stage further down. What goes to
    the phone is integers throughout. A student takes over an hour: there is one; `--seeds 3` gives an interval.

    Minutes: 250
    Data: cifar10
    Command: kerastl run cifar_mobile
    Expect: 0.8836 on test in 97,298 bytes of integers, under a teacher of 0.898; 0.8645 alone, in floats
    """

    name: ClassVar[str] = "cifar_mobile"
    smoke_accept: ClassVar[Acceptance] = Acceptance(max_score_drop=0.3, max_quantization_drop=0.3, min_agreement=0.2)
    seeds: Count = 1
    """Students with a teacher, and as many without."""
    data: Literal["fashion_mnist", "cifar10", "mnist"] = "cifar10"
    """Colour pictures of 32 by 32 pixels, ten classes."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.125)
    """As usual for CIFAR-10 (He et al. 2016, section 4.2): mirrored, four pixels to every side."""
    teachers: Count = 1
    """Networks of the ensemble: more are slower, and better."""
    teacher_augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.125)
    """The same: with a square blanked out as well (cutout) 20 epochs ended at 89 %."""
    teacher_blocks: tuple[CountOrNone, ...] = (0, 2, 2)
    """Their residual blocks: 68 million multiply-adds each."""
    teacher: Schedule = Schedule(epochs=24, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-2)
    """Of each, on the labels."""
    widths: tuple[Count, ...] = (16, 32, 61)
    """Filters of the student's stages: 97,300 bytes as integers, with what the file says of itself."""
    blocks: tuple[CountOrNone, ...] = (0, 2, 1)
    """Its residual blocks: 12 million multiply-adds; the reference has one in each stage, of widths 16, 32 and 64."""
    stem_pool: Count = 1
    """None: pictures are small."""
    student: Schedule = Schedule(epochs=120, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Patience: 120 epochs in place of 60 gave another point. The control gets the same."""
    cached_views: Count = 40
    """Views of each picture whose logits are computed beforehand. Twelve, each seen ten times, were half a point
    worse."""
    teacher_weight: Share = 0.9
    """Share of the teachers in the loss; the labels have the rest."""
    quantize: Schedule = Schedule(epochs=4, batch_size=128, peak_learning_rate=1e-4)
    """Gentle, for the student is trained out: after 8 epochs at 5e-4 its integers had 88.30 % on validation, after
    these 88.62 %, where its floats have 88.70 %."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.9)
    """Half a point of accuracy on both counts; the integers agree less often with the floats, for they learnt more."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        return dataclasses.replace(super().smoke(), validation=100, max_train_examples=320)


@dataclasses.dataclass(frozen=True)
class DistilQuantized(Config):
    """Quantization-aware training under a teacher and without it, integer file against integer file, seed by seed.

    A student learns from an ensemble's logits for the very views that it sees itself, as in `distil_logits`, and then
    learns to live with integers: once from the same cached logits, once from the labels, for as many steps from the
    same weights (Mishra & Marr 2018, "Apprentice", https://arxiv.org/abs/1711.05852, there called scheme C). Scores are
    those of the integer files.

    Minutes: 180
    Data: fashion_mnist
    Command: kerastl run distil_quantized
    Expect: integer files of 47,186 bytes with 0.939 on test under the teachers, 0.938 without (means of 3 seeds)
    """

    name: ClassVar[str] = "distil_quantized"
    smoke_accept: ClassVar[Acceptance] = Acceptance(max_score_drop=0.3, max_quantization_drop=0.3, min_agreement=0.3)
    seeds: Count = 3
    """Students, each of which becomes two files."""
    student: Schedule = Schedule(epochs=90, batch_size=128, peak_learning_rate=4e-3, weight_decay=1e-3)
    """Of the float student, as there: what it owes to patience under a teacher is to be kept."""
    teacher_weight: Share = 0.7
    """Share of the teachers in both losses; the labels have the rest."""
    quantize: Schedule = Schedule(epochs=12, batch_size=128, peak_learning_rate=1e-3)
    """Longer than fine-tuning needs, for there is something to learn; the control gets the same."""
    compare: Literal["floats", "integers"] = "integers"
    """Integer files, made from the teachers' logits and from the labels."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.94)
    """0.3 points of accuracy against the float student on either split; the file agrees with it less often than usual,
    for it has learnt more."""


ALIASES = {"fashion_mobile": FashionMobile, "cifar_mobile": CifarMobile, "distil_quantized": DistilQuantized}


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teachers, cache their logits, train students under them and without, export, verify, report."""
    with kerastl.runs.Run(folder, recipe=config.name, tag=folder.name, config=config) as run:
        source = getattr(kerastl.data, config.data)
        data = source.load(seed=config.seed, validation=config.validation, limit=config.max_train_examples)
        run.use_dataset(data)
        network = [config.teacher_widths, config.teacher_blocks, config.stem_pool]

        members = run.stage_per_seed(
            "teacher",
            functools.partial(train_teacher, config, data),
            seeds=range(config.seed, config.seed + config.teachers),
            key=[network, config.teacher, config.teacher_augmentation, data.digest],
        )
        networks = [member.model for member in members]
        ensemble = kerastl.distil.teachers.Ensemble(networks)
        logits = cache_teacher_logits(config, data, run.place("logits"), teacher=ensemble)
        compare = {"floats": compare_floats, "integers": compare_integers}[config.compare]
        distilled, alone, best, files = compare(config, data, run, logits)

        teacher = kerastl.distil.teachers.ensemble_model(networks)
        made = kerastl.runs.post_training(teacher, data.task, techniques=["float32"], prefix="teacher_", eligible=False)
        steps = (config.quantize if config.compare == "integers" else config.student).steps(len(data.train))
        control = kerastl.runs.Baseline(teacher, distilled=distilled, trained_alone=alone, steps=steps)
        curves = [stage.curves for stage in (members[0], *best)]
        return kerastl.runs.publish(
            run, data, model=best[0].model, candidates=[*made, *files], curves=curves, control=control
        )


def compare_floats(config: Config, data: Dataset, run, logits):
    """Float students under the teachers, students alone, the best one with its integers, and its files."""
    distilled = train_students(config, data, run, "distilled", logits=logits)
    alone = train_students(config, data, run, "student_without_teacher") if config.control else []
    quantized = []
    arms = {"student_without_teacher": alone, "distilled": distilled}
    best = kerastl.runs.best_on_validation(arms, data.validation)
    if config.quantize.epochs:  # from what it has learnt from
        key = [config.quantize, [run.stage_key(f"{best.name}-{seed}") for seed in run.seeds]]
        taught_by = logits if best.name == "distilled" else None
        make = functools.partial(quantize, config, data, best.model, config.seed + 3, logits=taught_by)
        quantized = [run.stage("quantized", make, key=key)]
    made = candidates(config, data, best.model, quantized) + best.left_behind(data.task)
    return distilled, alone, [best.taken, *alone, *quantized], made


def compare_integers(config: Config, data: Dataset, run, logits):
    """Integers under the teachers, integers alone, both of the same float students; the best one, and its files."""
    students = train_students(config, data, run, "student", logits=logits)
    distilled = quantize_students(config, data, run, "distilled", students, logits=logits)
    alone = quantize_students(config, data, run, "student_without_teacher", students) if config.control else []
    arms = {"student_without_teacher": alone, "distilled": distilled}
    best = kerastl.runs.best_on_validation(arms, data.validation)
    student, techniques = students[best.place], ("float32", "static_int8")
    made = kerastl.runs.post_training(student.model, data.train, techniques=techniques, eligible=False)
    made += [kerastl.runs.Candidate("qat_int8", "qat_int8", best.taken.content, student.model)]
    made += best.left_behind(data.task, technique="qat_int8", floats=students)
    return distilled, alone, [student, *(arm[best.place] for arm in (distilled, alone) if arm)], made


def train_teacher(config: Config, data: Dataset, seed: int, at: Workspace):
    """A wider residual CNN on the labels."""
    shape = {"widths": config.teacher_widths, "blocks": config.teacher_blocks, "stem_pool": config.stem_pool}
    build = functools.partial(kerastl.models.resnet.build, data.task, **shape, dropout=0.2)
    batches = kerastl.data.pipeline.training_batches(
        data, schedule=config.teacher, seed=seed, augmentation=config.teacher_augmentation
    )
    return kerastl.training.train(build, batches, seed=seed, workspace=at, in_fastest_dtype=True)


def cache_teacher_logits(config: Config, data: Dataset, folder: Path, *, teacher):
    """What the teachers say of every view that the students will see, computed once for all of them."""
    batches = student_batches(config, data, config.student, mixup=config.mixup)
    return kerastl.distil.logit_cache.write(folder, batches, teacher=teacher, temperature=config.temperature)


def train_students(config: Config, data: Dataset, run, name: str, *, logits=None):
    """A student of every seed, each a stage."""
    key = [config.augmentation, config.stem_pool, config.widths, config.blocks, config.student, data.digest]
    key += [config.cached_views] if logits is None else [config.mixup, distillation(config), logits.facts]
    return run.stage_per_seed(name, functools.partial(train_student, config, data, logits=logits), key=key)


def train_student(config: Config, data: Dataset, seed: int, at: Workspace, *, logits=None):
    """A student from the teachers' logits where there are any, else from the labels; all else is the same."""
    shape = {"widths": config.widths, "blocks": config.blocks, "stem_pool": config.stem_pool}
    build = functools.partial(kerastl.models.resnet.build, data.task, **shape)
    batches = student_batches(config, data, config.student, logits=logits)
    under = kerastl.distil.distiller.under_cached_logits(logits, **distillation(config))
    return kerastl.training.train(build, batches, seed=seed + 1, workspace=at, under=under)


def quantize_students(config: Config, data: Dataset, run, name: str, students, *, logits=None):
    """The integer file of every student, each a stage."""
    floats = dict(zip(run.seeds, students, strict=True))
    key = [config.quantize, [run.stage_key(f"student-{seed}") for seed in floats]]
    key += [config.cached_views] if logits is None else [distillation(config), logits.facts]
    return run.stage_per_seed(
        name, lambda seed, at: quantize(config, data, floats[seed].model, seed + 2, at, logits=logits), key=key
    )


def quantize(config: Config, data: Dataset, student, seed: int, at: Workspace, *, logits=None):
    """A student's integer file: from the teachers' logits and the labels, or from the labels alone."""
    loss = None if logits is None else kerastl.distil.losses.distillation_loss(**distillation(config))
    batches = student_batches(config, data, config.quantize, logits=logits)
    return kerastl.runs.quantization_aware(student, batches, seed=seed, workspace=at, loss=loss)


def distillation(config: Config) -> dict[str, float]:
    """How soft the answers of both sides are, and the teachers' share of the loss."""
    return {"temperature": config.temperature, "weight": config.teacher_weight}


def candidates(config: Config, data: Dataset, student, quantized):
    """The student's files: of integers alone where it learnt to live with them."""
    if not quantized:
        techniques = ("float32", "dynamic_int8", "static_int8", *(["int4_weights"] if config.rounding else []))
        rounding = data.train.take(config.rounding).inputs if config.rounding else None
        return kerastl.runs.post_training(student, data.train, techniques=techniques, rounding=rounding)
    # TensorFlow's own converter: its file is 6 % smaller here than litert-quantizer's, and bytes are what is asked
    some = data.train.take(500).inputs
    static_int8 = kerastl.export.tflite.convert(student, data.task, integer=True, calibration=some)
    return [
        *kerastl.runs.post_training(student, data.task, techniques=["float32"], eligible=False),
        kerastl.runs.Candidate("static_int8", "static_int8", static_int8, student),
        kerastl.runs.Candidate("qat_int8", "qat_int8", quantized[0].content, student),
    ]


def student_batches(config: Config, data: Dataset, schedule: Schedule, *, logits=None, mixup: float = 0.0):
    """Training batches of a student, every picture changed anew in as many epochs as its logits are cached of."""
    augmentation = dataclasses.replace(config.augmentation, mixup=mixup if logits is None else config.mixup)
    views = {"augmentation": augmentation, "views": config.cached_views, "answers": logits}
    return kerastl.data.pipeline.training_batches(data, schedule=schedule, seed=config.seed, **views)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
