"""The questions `losses` and `teachers` of `distillation.py`: what a lesson is made of, and who gives it.

Both teach the same student for 6 epochs of 12,000 pictures, short of what it could learn, and look at validation alone.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

import kerastl
from benchmarks.tools.distillation_bench import BATCH, MODELS, Bench, accuracy
from kerastl.distil import distiller, feature_losses, losses, schedules, teachers, terms
from kerastl.recipes import distil_logits
from kerastl.types import Dataset, Schedule, Workspace

FEWER = 12_000
"""Training pictures: there are dozens of trainings."""
ASSISTANT = (24, 40, 64)
"""Widths of a network between teacher and student, taught by the one and teaching the other (Mirzadeh et al. 2020,
"Improved Knowledge Distillation via Teacher Assistant", https://arxiv.org/abs/1902.03393)."""


def every_loss() -> dict[str, dict[str, terms.Term]]:
    """Each loss beside the labels: of answers at 0.7, of features at the weight of its paper or of its code.

    Where neither says one it is 1, and 0.2 of the contrastive loss, which else outweighs the labels.

    Features are of the last stage, whose maps are 4x4 on both sides, and of the pooled vectors.
    """

    def soft(loss: Callable, **options: Any) -> dict[str, terms.Term]:
        return {"labels": terms.LabelLoss(0.3), "soft": terms.LogitLoss(loss, 0.7, **options)}

    def feature(loss: Callable, weight: float, layer: str, **options: Any) -> dict[str, terms.Term]:
        return {
            "labels": terms.LabelLoss(),
            "feature": terms.FeatureLoss(loss, weight, student=layer, teacher=layer, **options),
        }

    def on_probabilities(teacher: Any, student: Any) -> Any:
        return losses.mean_squared_error(keras.ops.softmax(teacher), keras.ops.softmax(student))

    # by default the classes that it is not weigh 8, as the paper has it for a hundred of them
    gentle = functools.partial(losses.decoupled_kd, other_weight=1.0)
    maps, pooled = "stage3_block1_relu2", "pool"
    return {
        "kl_divergence, T = 1": soft(losses.kl_divergence, temperature=1.0),
        "kl_divergence, T = 2": soft(losses.kl_divergence, temperature=2.0),
        "kl_divergence, T = 4": soft(losses.kl_divergence, temperature=4.0),
        "mean squared error of logits": soft(losses.mean_squared_error),
        "mean squared error of probabilities": soft(on_probabilities),
        "decoupled_kd, others weigh 8": soft(losses.decoupled_kd),
        "dist": soft(losses.dist),
        "standardized_kl_divergence": soft(losses.standardized_kl_divergence),
        "hint, with a projection": feature(feature_losses.hint, 1.0, maps, projection=True),
        # the authors' code takes 1000 / 2 times the mean over 16 places, not half the sum over them
        "attention_transfer, weight 62.5": feature(feature_losses.attention_transfer, 62.5, maps),
        "relational_distance": feature(feature_losses.relational_distance, 25.0, pooled),
        "relational_angle": feature(feature_losses.relational_angle, 50.0, pooled),
        "similarity_preserving": feature(feature_losses.similarity_preserving, 3000.0, maps),
        "contrastive, with a projection": feature(feature_losses.contrastive, 0.2, pooled, projection=True),
        "decoupled_kd, others weigh 1": soft(gentle, temperature=2.0),
    }


@functools.cache
def classroom(bench: Bench) -> Classroom:
    """The one of a run: what is taught there is taught once, whatever questions are asked of it."""
    return Classroom(bench)


class Classroom:
    """What several questions share: the pictures, the teacher, and how a student learns."""

    def __init__(self, bench: Bench) -> None:
        self.bench, config = bench, bench.config(distil_logits)
        self.short = bench.epochs(Schedule(epochs=6, batch_size=BATCH, peak_learning_rate=4e-3, weight_decay=1e-3))
        self.config = dataclasses.replace(config, student=self.short)
        data = kerastl.data.fashion_mnist.load(
            seed=config.seed, validation=config.validation, limit=config.max_train_examples
        )
        teach = functools.partial(distil_logits.train_teacher, config, data, config.seed)
        # one of distil_logits' is enough here
        key = [config.teacher_augmentation, config.teacher, data.digest]
        self.teacher = bench.run.stage("teacher", teach, key=key, **MODELS).model
        self.all = data
        self.data = dataclasses.replace(data, train=data.train.take(min(len(data.train), FEWER)))

    def others(self, count: int, *, epochs: int) -> list[keras.Model]:
        """Teachers beside the first, of the seeds that follow its own, and of so many epochs."""
        config = self.config
        schedule = self.bench.epochs(dataclasses.replace(config.teacher, epochs=epochs))
        teach = functools.partial(distil_logits.train_teacher, dataclasses.replace(config, teacher=schedule), self.all)
        seeds = range(config.seed + 1, config.seed + 1 + count)
        key = [config.teacher_augmentation, schedule, self.all.digest]
        return [one.model for one in self.bench.run.stage_per_seed("teacher", teach, seeds=seeds, key=key, **MODELS)]

    def new(self, seed: int, widths: Sequence[int] | None = None) -> keras.Model:
        """A student with the first weights of its seed."""
        kerastl.training.set_seed(seed + 1)
        return kerastl.models.resnet.build(self.data.task, widths=widths or self.config.widths, stem_pool=2)

    def fit(self, model: keras.Model, data: Dataset, schedule: Schedule, workspace: Workspace) -> kerastl.types.History:
        batches = kerastl.data.pipeline.training_batches(
            data.train, schedule=schedule, seed=self.config.seed, augmentation=self.config.augmentation
        )
        return kerastl.training.fit(model, batches, schedule=schedule, workspace=workspace, keep="last")

    def students(self, name: str, model: Callable[[keras.Model, int], keras.Model], *key: object) -> list[keras.Model]:
        """One of each seed, under what ``model`` makes of it."""

        def learn(seed: int, workspace: Workspace) -> kerastl.training.Trained:
            student = self.new(seed)
            curves = self.fit(model(student, seed), self.data, self.short, workspace)
            return kerastl.training.Trained(student, curves)

        taught_by = self.bench.run.stage_key("teacher")
        basis = [
            self.config.seed,
            self.config.augmentation,
            self.config.widths,
            self.short,
            self.data.digest,
            taught_by,
        ]
        return self.bench.students(name, learn, basis, *key)

    @functools.cached_property
    def alone(self) -> list[keras.Model]:
        """Students from the labels."""
        return self.students("alone", lambda student, seed: student)

    def show(self, title: str, students: dict[str, list[keras.Model]]) -> dict[str, bool]:
        """The table, on validation; which of them help is for the reader, who may choose: there is no bar."""
        validation = self.data.validation
        ways = {name: [accuracy(student, validation) for student in each] for name, each in students.items()}
        title = f"Fashion-MNIST, {title}, {self.short.epochs} epochs of {len(self.data.train):,} pictures"
        self.bench.show(title, teacher=accuracy(self.teacher, validation), ways=ways, split="validation")
        return {}


def plain(value: Any) -> Any:
    """What the key of a stage can hold of a term: of a function its code, which a key does not find in a closure."""
    if isinstance(value, functools.partial):
        return [plain(value.func), value.keywords]
    if dataclasses.is_dataclass(value):
        return [type(value).__name__, *(plain(getattr(value, field.name)) for field in dataclasses.fields(value))]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return kerastl.system.code_digests.of_function(value) if callable(value) else value


def every(bench: Bench) -> dict[str, bool]:
    """Every loss of the library."""
    room = classroom(bench)
    students = {"alone": room.alone}
    for place, (name, named) in enumerate(every_loss().items()):

        def taught(student: keras.Model, seed: int, named: dict[str, terms.Term] = named) -> keras.Model:
            return distiller.Distiller(student=student, teacher=room.teacher, losses=named)

        students[name] = room.students(f"loss-{place}", taught, plain(named))
    return room.show("every loss", students)


def who(bench: Bench) -> dict[str, bool]:
    """Who teaches: the teacher, an assistant that it has taught, the student before it, its own moving average."""
    room = classroom(bench)
    soft = {
        "labels": terms.LabelLoss(0.3),
        "soft": terms.LogitLoss(losses.kl_divergence, 0.7, temperature=2.0),
    }

    def under(teacher: Any, **more: terms.Term) -> Callable[[keras.Model, int], keras.Model]:
        return lambda student, seed: distiller.Distiller(student=student, teacher=teacher, losses=soft | more)

    def assist(workspace: Workspace) -> kerastl.training.Trained:
        assistant = room.new(bench.seeds[0], ASSISTANT)
        curves = room.fit(under(room.teacher)(assistant, 0), room.all, longer, workspace)
        return kerastl.training.Trained(assistant, curves)

    longer = bench.epochs(dataclasses.replace(room.short, epochs=12))
    key = [room.config.augmentation, ASSISTANT, longer, room.all.digest, bench.run.stage_key("teacher"), plain(soft)]
    assistant = bench.run.stage("assistant", assist, key=key, **MODELS).model
    born_again = dict(zip(bench.seeds, room.alone, strict=True))
    # as a mean teacher's: the lesson grows while the average is still worth little
    steps = room.short.epochs * (len(room.data.train) // BATCH)
    growing = terms.LogitLoss(losses.kl_divergence, schedules.linear(0.0, 0.7, steps=steps // 2), temperature=2.0)
    lesson = [plain(soft), plain(growing), bench.run.stage_key("assistant")]
    students = {
        "alone": room.alone,
        "the teacher": room.students("who-teacher", under(room.teacher), lesson),
        f"an assistant, {assistant.count_params():,} parameters": room.students(
            "who-assistant", under(assistant), lesson
        ),
        "teacher and assistant, by confidence": room.students(
            "who-both", under(teachers.Ensemble([room.teacher, assistant], combine="confidence")), lesson
        ),
        "the student before it (born again)": room.students(
            "who-born-again", lambda student, seed: under(born_again[seed])(student, seed), lesson
        ),
        "its own moving average": room.students(
            "who-average", under(teachers.EMATeacher(0.99), labels=terms.LabelLoss(), soft=growing), lesson
        ),
    }
    return room.show("who teaches", students)
