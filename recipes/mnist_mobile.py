"""MNIST to a verified bundle for the phone: teacher, distilled student, pruned, quantized, measured.

A wide CNN learns first; a strided CNN of 22,000 parameters learns from its answers on the same randomly moved
pictures (Hinton et al. 2015; Beyer et al. 2022, "a good teacher is patient and consistent"), is pruned under the
teacher, trained quantization-aware under it, and exported in every format there is. Each file is run against its
model; the smallest within the budget goes to the phone. The same student is trained alone as well; the report says what
the teacher gave.

Minutes: 14
Data: mnist
Command: kerastl run mnist_mobile
Expect: a file of 26,000 bytes with a test accuracy of 0.993, 128 times smaller than its teacher
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

    rotation: float = 0.02
    """Turns to either side: 7 degrees."""
    translation: float = 0.05
    """Share of height and width: a pixel and a half."""
    zoom: float = 0.05
    """Share of the scale."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run mnist_mobile`."""

    seed: int = 0
    """Of weights, order, views and split."""
    validation: int = 5000
    """Pictures held out of train; every choice is made on them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    views: Views = Views()
    """Small enough that a small student still fits them; two settings were compared on validation."""
    teacher: Schedule = Schedule(epochs=6, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
    """Three minutes on two cores."""
    student: Schedule = Schedule(epochs=16, batch_size=128, peak_learning_rate=5e-3, weight_decay=1e-4)
    """Small nets like high rates; patience pays (Beyer et al. 2022, figure 3)."""
    temperature: float = 3.0
    """Softens the teacher's answers; Hinton et al. 2015 use 2.5 to 8 for small students."""
    teacher_weight: float = 0.9
    """Share of the teacher in the loss; the labels have the rest."""
    sparsity: float = 0.3
    """Share of zeros in the student's convolutions; more costs accuracy at this size."""
    prune: Schedule = Schedule(epochs=2, batch_size=128, peak_learning_rate=5e-4, weight_decay=1e-4)
    """Pruning runs over the first half, the rest recovers; at a peak of 2e-3 it lost 0.1 points on validation."""
    quantize: Schedule = Schedule(epochs=2, batch_size=128, peak_learning_rate=2e-4)
    """Quantization-aware training is fine-tuning: short and slow."""
    prefer: str = "smallest"
    """What the phone gets among the files within the budget: "smallest" or "fastest"."""
    budget: float = 0.0005
    """Validation accuracy that the chosen file may lose against the float model: five digits in ten thousand."""
    score_drop: float = 0.003
    """Accuracy that an int8 file may lose against its own float model: 0.3 points."""
    agreement: float = 0.99
    """Least share of pictures on which an int8 file answers like its float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        sizes = {"validation": 200, "limit": 1000, "teacher": tiny, "student": tiny, "prune": tiny, "quantize": tiny}
        return cls(**sizes, budget=0.1, score_drop=0.1, agreement=0.8)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train the teacher, distil, prune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="mnist_mobile", tag=folder.name, config=config) as run:
        data = kerastl.data.mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        basis = [config.seed, config.views, data.digest]
        lesson = [config.temperature, config.teacher_weight]

        teacher = run.stage(
            "teacher", lambda at: train_teacher(config, data, at), key=[basis, config.teacher], **models
        )
        student = run.stage(
            "student",
            lambda at: learn(config, data, at, teacher=teacher.model),
            key=[basis, config.student, lesson, run.stage_key("teacher")],
            **models,
        )
        alone = run.stage("alone", lambda at: learn(config, data, at), key=[basis, config.student], **models)
        pruned = run.stage(
            "pruned",
            lambda at: prune(config, data, teacher.model, student.model, at),
            key=[basis, config.prune, config.sparsity, lesson, run.stage_key("student")],
            **models,
        )
        quantized = run.stage(
            "quantized",
            lambda at: quantize(config, data, pruned.model, at),
            key=[basis, config.quantize, run.stage_key("pruned")],
            save=kerastl.export.tflite.save,
            load=kerastl.export.tflite.load,
        )
        float32 = kerastl.export.tflite.convert(pruned.model, data.task)
        teacher_float32 = kerastl.export.tflite.convert(teacher.model, data.task)
        ptq, pictures = kerastl.compress.ptq, data.train.take(500).inputs
        candidate = functools.partial(kerastl.runs.Candidate, model=pruned.model, sparsity=config.sparsity)
        return kerastl.runs.publish(
            run,
            data,
            model=pruned.model,
            candidates=[
                candidate(
                    "teacher_float32", "float32", teacher_float32, model=teacher.model, eligible=False, sparsity=None
                ),
                candidate("float32", "float32", float32),
                candidate("float16", "float16", ptq.float16(float32)),
                candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
                candidate("static_int8", "static_int8", ptq.static_int8(float32, calibration=pictures)),
                candidate("int4_weights", "int4_weights", ptq.int4_weights(float32)),
                candidate("qat_int8", "qat_int8", quantized.content),
            ],
            curves=[teacher.curves, student.curves, alone.curves, pruned.curves, quantized.curves],
            accept=kerastl.runs.Acceptance(
                prefer=config.prefer,
                max_score_drop=config.budget,
                max_quantization_drop=config.score_drop,
                min_agreement=config.agreement,
            ),
            control=kerastl.runs.Baseline(
                teacher.model,
                distilled=[student.model],
                trained_alone=[alone.model],
                seeds=[config.seed],
                steps=config.student.epochs * (len(data.train) // config.student.batch_size),
            ),
        )


def train_teacher(config: Config, data: Dataset, workspace: Workspace):
    """A wide CNN on the labels."""
    kerastl.training.set_seed(config.seed)
    teacher = kerastl.models.all_conv_net.wide(data.task)
    curves = kerastl.training.fit(
        teacher,
        moved(config, data, config.teacher),
        schedule=config.teacher,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(teacher, curves)


def learn(config: Config, data: Dataset, workspace: Workspace, *, teacher=None):
    """A small CNN, on a teacher's answers to the very views that it sees itself where there is one, else on labels."""
    kerastl.training.set_seed(config.seed + 1)
    student = kerastl.models.all_conv_net.tiny(data.task)
    curves = kerastl.training.fit(
        student if teacher is None else lesson_of(config, teacher, student),
        moved(config, data, config.student),
        schedule=config.student,
        workspace=workspace,
        validation=held_out(data),
    )
    return kerastl.training.Trained(student, curves)


def prune(config: Config, data: Dataset, teacher, student, workspace: Workspace):
    """The smallest weights go while the teacher goes on teaching."""
    student = kerastl.training.precision.as_float32(student)  # a copy: the control compares the student as it was
    kerastl.training.set_seed(config.seed + 2)
    batches = moved(config, data, config.prune)
    steps = config.prune.epochs * int(batches.cardinality())
    pruning = kerastl.compress.prune.Prune(
        sparsity=config.sparsity, begin_step=0, end_step=steps // 2, frequency=max(steps // 50, 1), model=student
    )
    curves = kerastl.training.fit(
        lesson_of(config, teacher, student),
        batches,
        schedule=config.prune,
        workspace=workspace,
        validation=held_out(data),
        callbacks=[pruning],
        keep="last",
    )
    return kerastl.training.Trained(student, curves)


def quantize(config: Config, data: Dataset, student, workspace: Workspace):
    """The student learns to live with integers: quantization-aware training on its twin in tf_keras.

    Its own float answers are the lesson, so that the file stays the model it was made from.
    """
    kerastl.training.set_seed(config.seed + 3)
    twin = kerastl.compress.tf_keras.bridge.to_tf_keras(student, probe=data.train.take(16).inputs)
    soft = kerastl.distil.losses.kl_divergence
    aware = kerastl.compress.qat.train(
        twin,
        moved(config, data, config.quantize),
        epochs=config.quantize.epochs,
        learning_rate=config.quantize.peak_learning_rate,
        teacher=functools.partial(student, training=False),
        loss=lambda labels, logits, answers: soft(answers, logits, temperature=1.0),
        validation=held_out(data),
        preserve_sparsity=True,
        workspace=workspace,
        callbacks=[kerastl.training.callbacks.ProgressBar(workspace.stage)],
    )
    content = kerastl.export.tflite.convert(aware, data.task, integer=True)
    return kerastl.export.tflite.Converted(content, kerastl.compress.qat.curves(aware, stage=workspace.stage))


def lesson_of(config: Config, teacher, student):
    """The student under its teacher, as one trainable model."""
    soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=config.temperature)
    return kerastl.distil.distiller.Distiller(student=student, teacher=teacher, loss=soft, weight=config.teacher_weight)


def moved(config: Config, data: Dataset, schedule: Schedule):
    """Training batches, every picture moved anew in every epoch."""
    views = kerastl.inputs.augmentation.image_augmentation(**dataclasses.asdict(config.views), seed=config.seed)
    return kerastl.data.pipeline.batches(
        data.train, batch_size=schedule.batch_size, shuffle=True, seed=config.seed, augment=views, drop_remainder=True
    )


def held_out(data: Dataset):
    """Validation batches, as they are."""
    return kerastl.data.pipeline.batches(data.validation, batch_size=500)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
