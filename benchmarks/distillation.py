"""What a teacher gives: students under it beside the same students without it, over seeds, each question a table.

    python benchmarks/distillation.py [--only QUESTION ...] [--seeds 0 1 2] [--tag default]

Questions: `forwards` (how often a step runs the student), `labels` (a student of at most 40,000 parameters with all
labels, as `recipes/distil_logits` trains it; beside it under `keras.distillation.Distiller` with its loss put right,
and under a teacher that was never trained), `few` (600 labels and the other pictures without, `distil_few_labels`),
`quantized` (integers under a teacher and without, `distil_quantized`), `losses` (every loss of `kerastl.distil`, on
fewer pictures) and `mnist` (Hinton et al. 2015, section 3).

The students of a table take as many steps of the same schedule, and their order, views and first weights are the same
within a seed. g is the share of the gap between student and teacher that is recovered, see `distil.control`. Choices
were made on validation; the test split is touched by the finished students, once. Every training is a stage, of the
recipes' runs or in saved_models/distillation/TAG: the same command again goes on where it stopped. Exits non-zero where
a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
from keras import layers
from rich.console import Console
from rich.table import Table

import kerastl
from kerastl.distil import control, distiller, feature_losses, losses, terms
from kerastl.types import Dataset, Schedule, Workspace
from recipes import distil_few_labels, distil_logits, distil_quantized

MODELS = {"save": kerastl.train.save, "load": kerastl.train.load}
BATCH = 128
FEWER = 12_000
"""Training pictures for the table of every loss: forty-eight trainings."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of all questions."""

    seeds: tuple[int, ...]
    limit: int | None
    smoke: bool


class Bench:
    """What every question gets: a run that keeps trainings, and the settings."""

    def __init__(self, run: kerastl.store.Run, settings: Settings) -> None:
        self.run, self.seeds, self.limit, self.smoke = run, settings.seeds, settings.limit, settings.smoke

    def students(self, name: str, learn: Callable[[int, Workspace], Any], *key: object) -> list[keras.Model]:
        """One trained student a seed."""
        made = self.run.each(name, learn, seeds=self.seeds, key=[self.limit, *key], **MODELS)
        return [trained.model for trained in made]

    def config(self, recipe: types.ModuleType) -> Any:
        """A recipe's own settings, for these seeds."""
        if self.smoke:
            return dataclasses.replace(recipe.Config.smoke(), seed=self.seeds[0], seeds=len(self.seeds))
        return dataclasses.replace(recipe.Config(), seed=self.seeds[0], seeds=len(self.seeds), limit=self.limit)

    def epochs(self, schedule: Schedule) -> Schedule:
        return dataclasses.replace(schedule, epochs=1) if self.smoke else schedule

    def finished(self, recipe: types.ModuleType) -> tuple[dict[str, Any], Path]:
        """The report of a recipe's run, and its folder; what is finished of it is not done again."""
        folder = Path("saved_models", recipe.__name__.rpartition(".")[2], self.run.folder.name)
        return recipe.run(self.config(recipe), folder), folder


def accuracy(model: keras.Model, split: Any) -> float:
    return kerastl.verify.score(kerastl.train.predict(model, split.inputs), split.labels).value


def of_test(rows: Sequence[dict[str, float]]) -> list[float]:
    """Test scores in a report's control."""
    return [row["score"] for row in rows]


def show(
    title: str, *, teacher: float, ways: dict[str, list[float]], split: str = "test"
) -> dict[str, control.Recovered]:
    """A row a way of teaching, with its scores over seeds; the first is that without a teacher."""
    table = Table(title=title)
    for column in ("", split, "every seed", "above alone, points", "g"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("teacher", f"{100 * teacher:.2f}", "", "", "")
    found, alone = {}, next(iter(ways.values()))
    for name, scores in ways.items():
        found[name] = got = control.gap_recovered(teacher=teacher, alone=alone, distilled=scores)
        gain, share = f"{100 * got.gain:+.2f}", "" if got.gap is None else f"{got.gap:.2f}"
        if got.gain_low is not None and got.gain_high is not None:
            gain += f" ({100 * got.gain_low:+.2f} to {100 * got.gain_high:+.2f})"
        if got.low is not None and got.high is not None:
            share += f" ({got.low:.2f} to {got.high:.2f})"
        each = ", ".join(f"{100 * score:.2f}" for score in scores)
        first = scores is alone
        table.add_row(name, f"{100 * np.mean(scores):.2f}", each, "" if first else gain, "" if first else share)
    Console(width=150).print(table)
    return found


def told(words: str, *, reached: bool) -> bool:
    print(f"{'reached' if reached else 'MISSED '}  {words}", flush=True)
    return reached


def labels(bench: Bench) -> bool:
    """All labels: distilled at least 0.3 points above alone, g at least 0.3, and not below Keras' own distiller."""
    report, folder = bench.finished(distil_logits)
    config, found = bench.config(distil_logits), report["control"]
    data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
    answered = functools.partial(distil_logits.answered, config, data)
    members = [stage(folder, f"teacher-{seed}") for seed in range(config.seed, config.seed + config.teachers)]
    known = answered(folder / "answers", teacher=kerastl.distil.teachers.Several(members))
    random = answered(bench.run.folder / "answers-random", teacher=kerastl.build.residual_cnn.medium(data.task))
    by_keras = functools.partial(under_keras, config, data, answers=known)
    by_none = functools.partial(distil_logits.learn, config, data, answers=random)
    ways = {"alone": of_test(found["alone"]), "distilled": of_test(found["distilled"])}
    for name, students in (
        ("keras.distillation, its loss put right", bench.students("keras", by_keras, config, known.facts)),
        ("under a teacher of random weights", bench.students("random", by_none, config, random.facts)),
    ):
        ways[name] = [accuracy(student, data.test) for student in students]
    title = f"Fashion-MNIST, all labels, {config.student.epochs} epochs"
    shown = show(title, teacher=found["teacher"]["score"], ways=ways)
    count = stage(folder, f"alone-{config.seed}").count_params()
    ours, theirs, random = (shown[name] for name in list(ways)[1:])
    return all(
        [
            told(f"{count:,} parameters, at most 40,000", reached=count <= 40_000),
            told(f"{100 * ours.gain:+.2f} points above alone, at least +0.30", reached=ours.gain >= 0.003),
            told(f"g = {ours.gap or 0:.2f}, at least 0.30", reached=(ours.gap or 0) >= 0.3),
            told(f"{100 * (ours.gain - theirs.gain):+.2f} points above Keras' own", reached=ours.gain >= theirs.gain),
            told(f"g = {random.gap or 0:.2f} under a random teacher, at most 0.05", reached=(random.gap or 0) <= 0.05),
        ]
    )


def stage(folder: Path, name: str) -> keras.Model:
    """What a stage of a finished run has trained."""
    (found,) = folder.glob(f"stages/{name}-????????????")
    return kerastl.train.load(found).model


class Answered(keras.distillation.Distiller):
    """Keras' own on stored answers: its teacher hands on what comes in beside the picture."""

    def __init__(self, student: keras.Model, **options: Any) -> None:
        pair = (keras.Input(student.input_shape[1:]), keras.Input(student.output_shape[1:]))
        teacher = keras.Model(pair, layers.Identity()(pair[1]))
        super().__init__(teacher=teacher, student=keras.Model(pair, student(pair[0])), **options)

    def train_step(self, data: Any) -> Any:
        inputs, (labels, answers) = data
        return super().train_step(((inputs, answers), labels))

    def test_step(self, data: Any) -> Any:
        inputs, labels = data
        unused = keras.ops.one_hot(labels, self.student.output_shape[-1])
        return super().test_step(((inputs, unused), labels))


def under_keras(
    config: distil_logits.Config, data: Dataset, seed: int, workspace: Workspace, *, answers: Any
) -> kerastl.train.Trained:
    """With an instance of the divergence it takes a softmax and T squared, with its name neither.

    Temperature, weight, views and answers are the recipe's.
    """
    kerastl.train.set_seed(seed + 1)
    student = kerastl.build.residual_cnn.build(data.task, widths=config.widths, stem_pool=2)
    model = Answered(
        student,
        distillation_losses=keras.distillation.LogitsDistillation(
            temperature=config.temperature, loss=keras.losses.KLDivergence()
        ),
        student_loss_weight=1 - config.teacher_weight,
    )
    curves = kerastl.train.fit(
        model,
        distil_logits.moved(config, data, config.student, seed=config.seed, mixup=config.mixup, answers=answers),
        schedule=config.student,
        workspace=workspace,
        validation=distil_logits.held_out(data),
    )
    return kerastl.train.Trained(student, curves)


def few(bench: Bench) -> bool:
    """600 labels: six points above the student that has only these, and not below the teacher that had them."""
    found = bench.finished(distil_few_labels)[0]["control"]
    teacher, ways = found["teacher"]["score"], {name: of_test(found[name]) for name in ("alone", "distilled")}
    shown = show("Fashion-MNIST, 600 labels", teacher=teacher, ways=ways)["distilled"]
    above = 100 * (float(np.mean(ways["distilled"])) - teacher)
    return all(
        [
            told(f"{100 * shown.gain:+.2f} points above alone, at least +6", reached=shown.gain >= 0.06),
            told(f"{above:+.2f} points above its teacher, at least 0", reached=above >= 0),
        ]
    )


def quantized(bench: Bench) -> bool:
    """Quantization-aware training with the teacher's answers at least as good as without, for every seed."""
    found = bench.finished(distil_quantized)[0]["control"]
    ways = {name: of_test(found[name]) for name in ("alone", "distilled")}
    show("Fashion-MNIST, files with integers throughout", teacher=found["teacher"]["score"], ways=ways)
    gains = [one - other for one, other in zip(ways["distilled"], ways["alone"], strict=True)]
    words = ", ".join(f"{100 * gain:+.2f}" for gain in gains)
    return told(f"{words} points by the teacher, at least 0 for every seed", reached=min(gains) >= 0)


def every_loss() -> dict[str, dict[str, terms.Term]]:
    """Each loss beside the labels, at the weight that its paper gives or, where it gives none, at 1.

    Features are of the last stage, whose maps are 4x4 on both sides, and of the pooled vectors.
    """

    def soft(loss: Callable, **options: Any) -> dict[str, terms.Term]:
        return {"labels": terms.Labels(0.3), "soft": terms.Soft(loss, 0.7, **options)}

    def feature(loss: Callable, weight: float, layer: str, **options: Any) -> dict[str, terms.Term]:
        return {
            "labels": terms.Labels(),
            "feature": terms.Feature(loss, weight, student=layer, teacher=layer, **options),
        }

    def on_probabilities(teacher: Any, student: Any) -> Any:
        return losses.soft_label_mean_squared_error(keras.ops.softmax(teacher), keras.ops.softmax(student))

    # by default the classes that it is not weigh 8, as the paper has it for a hundred of them
    gentle = functools.partial(losses.decoupled_kullback_leibler, other_weight=1.0)
    maps, pooled = "stage3_block1_relu2", "pool"
    return {
        "temperature_kullback_leibler, T = 1": soft(losses.temperature_kullback_leibler, temperature=1.0),
        "temperature_kullback_leibler, T = 2": soft(losses.temperature_kullback_leibler, temperature=2.0),
        "temperature_kullback_leibler, T = 4": soft(losses.temperature_kullback_leibler, temperature=4.0),
        "mean squared error of logits": soft(losses.soft_label_mean_squared_error),
        "mean squared error of probabilities": soft(on_probabilities),
        "decoupled_kullback_leibler": soft(losses.decoupled_kullback_leibler),
        "correlation_distance": soft(losses.correlation_distance),
        "standardized_kullback_leibler": soft(losses.standardized_kullback_leibler),
        "hint, with a projection": feature(feature_losses.hint, 1.0, maps, projection=True),
        # the authors' code takes 1000 / 2 times the mean over 16 places, not half the sum over them
        "attention_transfer, weight 62.5": feature(feature_losses.attention_transfer, 62.5, maps),
        "relational_distance": feature(feature_losses.relational_distance, 25.0, pooled),
        "relational_angle": feature(feature_losses.relational_angle, 50.0, pooled),
        "similarity_preserving": feature(feature_losses.similarity_preserving, 3000.0, maps),
        "contrastive, with a projection": feature(feature_losses.contrastive, 0.2, pooled, projection=True),
        "decoupled_kullback_leibler, others weigh 1": soft(gentle, temperature=2.0),
    }


def every(bench: Bench) -> bool:
    """Every loss of the library in a table, on validation: which of them help is for the reader, who may choose."""
    short = bench.epochs(Schedule(epochs=6, batch_size=BATCH, peak_learning_rate=4e-3, weight_decay=1e-3))
    config = dataclasses.replace(bench.config(distil_logits), student=short)
    data = kerastl.data.fashion_mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
    teach = functools.partial(distil_logits.train_teacher, config, data, config.seed)
    # one of distil_logits': layers inside of several cannot be heard
    teacher = bench.run.stage("teacher", teach, key=[config.erasing, config.teacher, data.digest], **MODELS).model
    data = dataclasses.replace(data, train=data.train.head(min(len(data.train), FEWER)))

    def taught(named: dict[str, terms.Term], seed: int, workspace: Workspace) -> kerastl.train.Trained:
        kerastl.train.set_seed(seed + 1)
        student = kerastl.build.residual_cnn.build(data.task, widths=config.widths, stem_pool=2)
        model = distiller.Distiller(student=student, teacher=teacher, losses=named)
        batches = distil_logits.moved(config, data, short, seed=config.seed)
        curves = kerastl.train.fit(model, batches, schedule=short, workspace=workspace, keep="last")
        return kerastl.train.Trained(student, curves)

    alone = bench.students("short-alone", functools.partial(distil_logits.learn, config, data), config, FEWER)
    ways = {"alone": [accuracy(student, data.validation) for student in alone]}
    for place, (name, named) in enumerate(every_loss().items()):
        students = bench.students(f"loss-{place}", functools.partial(taught, named), config, name, FEWER)
        ways[name] = [accuracy(student, data.validation) for student in students]
    title = f"Fashion-MNIST, every loss, {short.epochs} epochs of {len(data.train):,} pictures"
    show(title, teacher=accuracy(teacher, data.validation), ways=ways, split="validation")
    return told(f"{len(every_loss())} ways to compare", reached=True)


def mnist(bench: Bench) -> bool:
    """Hinton et al. 2015, section 3: 67 errors of the teacher, 146 of the student alone, 74 of the distilled one.

    A teacher of 2 x 1200 rectified units with dropout (0.2 of the pixels, 0.5 of the units) and pictures moved by up to
    two pixels; students of 2 x 800 with neither, at a temperature of 20. The paper bounds the teacher's weights by
    their norm; weight decay is in its place here.
    """
    data = kerastl.data.mnist.load(seed=0, validation=5000, limit=bench.limit)
    teaching = bench.epochs(Schedule(epochs=60, batch_size=BATCH, peak_learning_rate=1e-3, weight_decay=1e-3))
    learning = bench.epochs(Schedule(epochs=40, batch_size=BATCH, peak_learning_rate=1e-3, weight_decay=0.0))

    def network(units: int, *, dropout: float) -> keras.Model:
        image = keras.Input(data.task.input_shape, name="image")
        x = layers.Flatten(name="flatten")(layers.Rescaling(1 / 255, name="rescale")(image))
        x = layers.Dropout(0.4 * dropout, name="pixels_dropout")(x)
        for place in (1, 2):
            x = layers.Dense(units, activation="relu", name=f"hidden{place}")(x)
            x = layers.Dropout(dropout, name=f"hidden{place}_dropout")(x)
        return keras.Model(image, layers.Dense(data.task.classes, name="logits")(x))

    def fit(model: keras.Model, schedule: Schedule, seed: int, workspace: Workspace, **options: Any) -> Any:
        batches = kerastl.data.pipeline.batches(
            data.train, batch_size=BATCH, shuffle=True, seed=seed, drop_remainder=True, **options
        )
        held = kerastl.data.pipeline.batches(data.validation, batch_size=500)
        return kerastl.train.fit(model, batches, schedule=schedule, workspace=workspace, validation=held, keep="last")

    def teach(workspace: Workspace) -> kerastl.train.Trained:
        kerastl.train.set_seed(0)
        model, jitter = network(1200, dropout=0.5), kerastl.augment.build(translation=2 / 28)
        return kerastl.train.Trained(model, fit(model, teaching, 0, workspace, augment=jitter))

    teacher = bench.run.stage("mnist-teacher", teach, key=[bench.limit, teaching], **MODELS).model
    answers = kerastl.train.predict(teacher, data.train.inputs)  # nothing moves the students' pictures

    def learn(seed: int, workspace: Workspace, *, taught: bool) -> kerastl.train.Trained:
        kerastl.train.set_seed(seed + 1)
        student = model = network(800, dropout=0.0)
        if taught:
            soft = functools.partial(losses.temperature_kullback_leibler, temperature=20.0)
            model = distiller.Distiller(student=student, teacher=None, loss=soft, weight=0.9)
        options = {"answers": answers} if taught else {}
        return kerastl.train.Trained(student, fit(model, learning, seed, workspace, **options))

    students = {
        "alone": bench.students("mnist-alone", functools.partial(learn, taught=False), learning),
        "distilled": bench.students("mnist-distilled", functools.partial(learn, taught=True), learning, teaching),
    }
    above = accuracy(teacher, data.test)
    ways = {name: [accuracy(student, data.test) for student in each] for name, each in students.items()}
    found = show("MNIST, 2 x 1200 teaches 2 x 800", teacher=above, ways=ways)["distilled"]
    wrong = [round((1 - float(np.mean(scores))) * len(data.test)) for scores in (above, *ways.values())]
    print(f"errors of teacher, alone, distilled: {', '.join(map(str, wrong))}; the paper's: 67, 146, 74")
    return told(f"g = {found.gap or 0:.2f}, at least 0.80", reached=(found.gap or 0) >= 0.8)


def forwards(bench: Bench) -> bool:
    """How often one training step runs the student when three losses look at its features, here and in Keras."""
    data = kerastl.data.fashion_mnist.load(limit=640)
    taps, pictures = ("first", "second", "third"), data.train.inputs[:32].astype("float32")

    class Counted(layers.Conv2D):
        calls = 0

        def call(self, inputs: Any) -> Any:  # once for every time that the step's graph runs it
            Counted.calls += 1
            return super().call(inputs)

    def network(kind: type[layers.Layer]) -> keras.Model:
        x = image = keras.Input(data.task.input_shape, name="image")
        for name in taps:
            x = (kind if name == "first" else layers.Conv2D)(8, 3, activation="relu", name=name)(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.Model(image, layers.Dense(data.task.classes, name="logits")(x))

    def counted(make: Callable[[keras.Model], keras.Model]) -> int:
        model = make(network(Counted))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        Counted.calls = 0
        model.train_on_batch(pictures, data.train.labels[:32])
        return Counted.calls

    teacher = network(layers.Conv2D)
    named = {name: terms.Feature(feature_losses.hint, student=name, teacher=name) for name in taps}
    ours = counted(lambda student: distiller.Distiller(student=student, teacher=teacher, losses=named))
    theirs = counted(
        lambda student: keras.distillation.Distiller(
            student=student,
            teacher=teacher,
            distillation_losses=[
                keras.distillation.FeatureDistillation(loss="mse", teacher_layer_name=name, student_layer_name=name)
                for name in taps
            ],
        )
    )
    return told(f"{ours} run of the student a step, keras.distillation {theirs}; one is asked", reached=ours == 1)


QUESTIONS: dict[str, Callable[[Bench], bool]] = {
    "forwards": forwards,
    "labels": labels,
    "few": few,
    "quantized": quantized,
    "losses": every,
    "mnist": mnist,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS), metavar="QUESTION")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one after the other")
    parser.add_argument("--tag", default="default")
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    parser.add_argument("--smoke", action="store_true", help="everything tiny: no number worth reading")
    options = parser.parse_args()
    folder = Path("saved_models", "distillation", options.tag)
    settings = Settings(tuple(options.seeds), 640 if options.smoke else options.limit, options.smoke)
    with kerastl.store.Run(folder, recipe="distillation", tag=options.tag, config=settings) as run:
        bench = Bench(run, settings)
        reached = [QUESTIONS[name](bench) for name in options.only]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    raise SystemExit(main())
