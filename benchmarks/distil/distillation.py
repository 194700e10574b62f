"""What a teacher gives: students under it beside the same students without it, over seeds, each question a table.

    python benchmarks/distil/distillation.py [--only QUESTION ...] [--seeds 0 1 2] [--tag default]

Questions: `forwards` (how often a step runs the student), `labels` (a student of at most 40,000 parameters with all
labels, as `recipes/distil_logits` trains it under its teachers, and for as many epochs under the first of these by
`keras.distillation.Distiller` with its loss put right), `keras` (16 epochs under five teachers, one as there and four
of 12 epochs, and under the one here and by Keras' own), `random` (8 under a teacher that was never trained), `few`
(600 labels and the other pictures without, `distil_few_labels`), `quantized` (integers under a teacher and without,
`distil_quantized`), `losses` (every loss of `kerastl.distil`, on fewer pictures), `teachers` (who gives a lesson, on
these too) and `mnist` (Hinton et al. 2015, section 3).

The students of a table take as many steps of the same schedule, and their order, views and first weights are the same
within a seed. g is the share of the gap between student and teacher that is recovered, see `verify.baseline`. Choices
were made on validation; finished students alone touch the test split, and docs/distillation.md says where one was
looked at again. Every training is a stage, of the recipes' runs or in saved_models/distillation/TAG: the same command
again goes on where it stopped. Exits non-zero where a bar is missed.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from keras import layers

import kerastl
from benchmarks.distil import distillation_losses, distillation_mnist
from benchmarks.tools import results
from benchmarks.tools.distillation_bench import Bench, Settings, accuracy, of_test
from kerastl.distil import distiller, feature_losses, terms
from kerastl.recipes import distil_few_labels, distil_logits
from kerastl.types import Dataset, Workspace
from kerastl.verify import baseline

KERAS_OWN = "keras.distillation, put right"
"""Its title in tables."""


def labels(bench: Bench) -> dict[str, bool]:
    """All labels: distilled at least 0.3 points above alone, g at least 0.3, and not below Keras' own."""
    report, folder = bench.finished(distil_logits)
    config, found = bench.config(distil_logits), report["control"]
    data = kerastl.data.fashion_mnist.load(
        seed=config.seed, validation=config.validation, limit=config.max_train_examples
    )
    theirs = f"{KERAS_OWN}, one teacher"
    ways = {name: of_test(found[name]) for name in ("alone", "distilled")}
    teacher = stage(folder, f"teacher-{config.seed}")
    answers = distil_logits.cache_teacher_logits(config, data, bench.run.folder / "answers-labels", teacher=teacher)
    ways[theirs] = scores(bench, "labels-theirs", under_keras, config, data, answers=answers)
    title = f"Fashion-MNIST, all labels, {config.student.epochs} epochs"
    recovered = bench.show(title, teacher=found["teacher"]["score"], ways=ways)
    ours, above = recovered["distilled"], recovered["distilled"].gain - recovered[theirs].gain
    count = stage(folder, f"student_without_teacher-{config.seed}").count_params()
    return {
        f"{count:,} parameters, at most 40,000": count <= 40_000,
        f"{100 * ours.gain:+.2f} points above alone, at least +0.30": ours.gain >= 0.003,
        f"g = {ours.gap or 0:.2f}, at least 0.30": (ours.gap or 0) >= 0.3,
        f"{100 * above:+.2f} points above Keras' own, at least 0": above >= 0,
    }


def stage(folder: Path, name: str) -> keras.Model:
    """What a stage of a finished run has trained."""
    (found,) = folder.glob(f"stages/{name}-????????????")
    return kerastl.training.load(found).model


def beside_keras(bench: Bench) -> dict[str, bool]:
    """All labels: under five teachers not below Keras' own distiller under the first of them.

    Not like for like: under the same answers both are one calculation, see tests/distil/test_distiller.py.
    """
    room = distillation_losses.classroom(bench)
    answered = functools.partial(distil_logits.cache_teacher_logits, room.config, room.all)
    five = [room.teacher, *room.others(4, epochs=12)]
    several = answered(bench.run.folder / "answers-teachers", teacher=kerastl.distil.teachers.Ensemble(five))
    one = answered(bench.run.folder / "answers-teacher", teacher=room.teacher)
    ways = {
        "keras-alone": ("alone", distil_logits.train_student, None),
        "keras-ours": ("distil.distiller, five teachers", distil_logits.train_student, several),
        "keras-one": ("distil.distiller, one teacher", distil_logits.train_student, one),
        "keras-theirs": (KERAS_OWN, under_keras, one),
    }
    _, ours, same, theirs = side_by_side(room, ways, epochs=16)
    together = accuracy(kerastl.distil.teachers.ensemble_model(five), room.all.test)
    print(f"five teachers together: {together:.2%}; g is of the gap to the one that Keras' own has")
    above, alike = ours.gain - theirs.gain, same.gain - theirs.gain
    return {
        f"{100 * above:+.2f} points above Keras' own, at least 0": above >= 0,
        f"{100 * alike:+.2f} points above Keras' own under the same teacher, at least 0": alike >= 0,
    }


def knows_nothing(bench: Bench) -> dict[str, bool]:
    """All labels: nothing is gained under a teacher that was never trained."""
    room = distillation_losses.classroom(bench)
    kerastl.training.set_seed(room.config.seed)  # the same one when the command goes on
    teacher = kerastl.models.resnet.medium(room.all.task)
    answers = distil_logits.cache_teacher_logits(
        room.config, room.all, bench.run.folder / "answers-random", teacher=teacher
    )
    ways = {
        "random-alone": ("alone", distil_logits.train_student, None),
        "random-taught": ("under random weights", distil_logits.train_student, answers),
    }
    _, taught = side_by_side(room, ways, epochs=8)
    words = f"g = {'none' if taught.gap is None else f'{taught.gap:.2f}'} under random weights, at most 0.05"
    return {words: taught.gap is not None and taught.gap <= 0.05}


def side_by_side(
    room: distillation_losses.Classroom, ways: dict[str, tuple[str, Callable[..., Any], Any]], *, epochs: int
) -> list[baseline.DistillationGain]:
    """The table of students that differ in their lesson, on test, and what each recovers of the gap.

    Args:
        room: of the pictures, and of the teacher whose gap it is.
        ways: by the name of their stages, the title of the row, what trains one, and the stored answers it gets.
        epochs: of every student.
    """
    short = room.bench.epochs(dataclasses.replace(room.short, epochs=epochs))
    config = dataclasses.replace(room.config, student=short)
    found = {
        title: scores(room.bench, name, learn, config, room.all, answers=answers)
        for name, (title, learn, answers) in ways.items()
    }
    title = f"Fashion-MNIST, all labels, {short.epochs} epochs"
    return list(room.bench.show(title, teacher=accuracy(room.teacher, room.all.test), ways=found).values())


def scores(
    bench: Bench,
    name: str,
    learn: Callable[..., Any],
    config: distil_logits.Config,
    data: Dataset,
    *,
    answers: Any,
) -> list[float]:
    """On test, of a student of each seed that ``learn`` trains from the stored answers, or from labels without any."""
    lesson = [config.mixup, config.temperature, config.teacher_weight]
    basis = [config.seed, config.augmentation, config.widths, config.student, config.cached_views, lesson]
    taught = functools.partial(learn, config, data, logits=answers)
    students = bench.students(name, taught, basis, data.digest, answers and answers.facts)
    return [accuracy(student, data.test) for student in students]


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
    config: distil_logits.Config, data: Dataset, seed: int, workspace: Workspace, *, logits: Any
) -> kerastl.training.Trained:
    """As its own example has it, with its temperature and weight; views and schedule are the recipe's.

    With an instance of the divergence it takes a softmax and T squared, with its name neither.
    """
    kerastl.training.set_seed(seed + 1)
    student = kerastl.models.resnet.build(data.task, widths=config.widths, stem_pool=2)
    put_right = keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence())
    model = Answered(student, distillation_losses=put_right)
    curves = kerastl.training.fit(
        model,
        distil_logits.student_batches(config, data, config.student, logits=logits),
        schedule=config.student,
        workspace=workspace,
        validation=data.validation,
    )
    return kerastl.training.Trained(student, curves)


def few(bench: Bench) -> dict[str, bool]:
    """600 labels: six points above the student that has only these, and not below its teacher."""
    found = bench.finished(distil_few_labels)[0]["control"]
    teacher, ways = found["teacher"]["score"], {name: of_test(found[name]) for name in ("alone", "distilled")}
    shown = bench.show("Fashion-MNIST, 600 labels", teacher=teacher, ways=ways)["distilled"]
    above = float(np.mean(ways["distilled"])) - teacher
    return {
        f"{100 * shown.gain:+.2f} points above alone, at least +6": shown.gain >= 0.06,
        f"{100 * above:+.2f} points above its teacher, at least 0": above >= 0,
    }


def quantized(bench: Bench) -> dict[str, bool]:
    """Quantization-aware training with the teacher's answers at least as good as without, for every seed."""
    found = bench.finished(distil_logits, "distil_quantized")[0]["control"]
    ways = {name: of_test(found[name]) for name in ("alone", "distilled")}
    bench.show("Fashion-MNIST, files with integers throughout", teacher=found["teacher"]["score"], ways=ways)
    gains = [one - other for one, other in zip(ways["distilled"], ways["alone"], strict=True)]
    words = ", ".join(f"{100 * gain:+.2f}" for gain in gains)
    return {f"{words} points by the teacher, at least 0 for every seed": min(gains) >= 0}


def forwards(bench: Bench) -> dict[str, bool]:
    """How often one training step runs the student when three losses look at its features, here and in Keras."""
    data = kerastl.data.fashion_mnist.load(limit=640)
    taps, pictures = ("first", "second", "third"), np.asarray(data.train.take(32).inputs, "float32")

    class Counted(layers.Conv2D):
        calls = 0

        def call(self, inputs: Any) -> Any:  # once for every time that the step's graph runs it
            Counted.calls += 1
            return super().call(inputs)

    def network(kind: type[layers.Layer]) -> keras.Model:
        x = image = keras.Input(data.task.inputs.shape, name="image")
        for name in taps:
            x = (kind if name == "first" else layers.Conv2D)(8, 3, activation="relu", name=name)(x)
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        return keras.Model(image, layers.Dense(data.task.target.outputs, name="logits")(x))

    def counted(make: Callable[[keras.Model], keras.Model]) -> int:
        model = make(network(Counted))
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
        Counted.calls = 0
        model.train_on_batch(pictures, data.train.take(32).labels)
        return Counted.calls

    teacher = network(layers.Conv2D)
    named = {name: terms.FeatureLoss(feature_losses.hint, student=name, teacher=name) for name in taps}
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
    return {f"{ours} run of the student a step, keras.distillation {theirs}; one is asked": ours == 1}


QUESTIONS: dict[str, Callable[[Bench], dict[str, bool]]] = {
    "forwards": forwards,
    "labels": labels,
    "keras": beside_keras,
    "random": knows_nothing,
    "few": few,
    "quantized": quantized,
    "losses": distillation_losses.every,
    "teachers": distillation_losses.who,
    "mnist": distillation_mnist.mnist,
}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=list(QUESTIONS), metavar="QUESTION")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="one after the other")
    parser.add_argument("--tag", default="default")
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    parser.add_argument("--smoke", action="store_true", help="everything tiny: no number worth reading")
    options = parser.parse_args()
    first, *_ = options.seeds
    if options.seeds != list(range(first, first + len(options.seeds))):
        parser.error("--seeds: the recipes train one after the other, 3 4 5 for example")
    # a trial has folders of its own, of the recipes too: other settings would withdraw a finished run's report
    tag = f"{options.tag}-smoke" if options.smoke else options.tag
    if not options.smoke and (options.limit or options.seeds != [0, 1, 2]):
        tag += f"-{options.limit or 'all'}-{first}-to-{options.seeds[-1]}"
    folder = Path("saved_models", "distillation", tag)
    settings = Settings(tuple(options.seeds), 640 if options.smoke else options.limit, options.smoke)
    with kerastl.runs.store.Run(folder, recipe="distillation", tag=tag, config=settings) as run:
        bench = Bench(run, settings, options.results)
        return max([options.results.verdict(QUESTIONS[name](bench)) for name in options.only])


if __name__ == "__main__":
    raise SystemExit(main())
