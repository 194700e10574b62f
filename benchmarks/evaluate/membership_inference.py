"""Membership inference before and after differential privacy: an overfitted net, its integer file, its students.

    python benchmarks/evaluate/membership_inference.py [--members 1000] [--epsilon 3] [--shadows 8]

A dense net learns a thousand MNIST digits by heart, and again with clipped and noisy gradients. Attacked by the loss,
with one threshold and with one a class, are the float model, its int8 file and two students distilled from it: one on
the same digits, one on as many public ones without their labels. Attacked by shadow runs are both models. The digits
that nobody was trained on are those of the training set behind these. A control never saw the members: what an attack
by the loss finds in it is how much easier these digits happen to be, and no leak.

Asked: the strongest attack on the overfitted model has an AUC of 0.65 or more, and the same attack on the private one
has 0.53 or less.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.evaluate.privacy import membership_inference, shadow_runs
from kerastl.evaluate.privacy.attack import Attack
from kerastl.runs import privacy_report
from kerastl.training.private import guarantee, private_model
from kerastl.types import Schedule, Split, Task

PLAIN = Schedule(epochs=60, batch_size=50, peak_learning_rate=2e-3)
PRIVATE = Schedule(epochs=20, batch_size=250, peak_learning_rate=1.0)
STUDENT = Schedule(epochs=60, batch_size=50, peak_learning_rate=2e-3)
DELTA = 1e-4


def build(task: Task) -> keras.Model:
    """More weights than digits need, and nothing against learning them by heart."""
    return kerastl.models.multilayer_perceptron.build(task, widths=(256,), dropout=0.0)


def trained_plainly(split: Split, seed: int) -> keras.Model:
    options = {"keep": "last", "progress": False}
    return kerastl.training.train(lambda: build(split.task), split, schedule=PLAIN, seed=seed, **options).model


def trained_privately(split: Split, seed: int, *, epsilon: float) -> keras.Model:
    privacy = guarantee.Privacy(epsilon=epsilon, delta=DELTA, clip=1.0)
    secret = guarantee.secret(privacy, None)
    batches = kerastl.data.pipeline.poisson_batches(split, schedule=PRIVATE, seed=secret)
    mechanism = guarantee.mechanism(privacy, examples=len(split), schedule=PRIVATE)
    under = private_model.under(mechanism, batches, seed=secret)
    options = {"keep": "last", "progress": False, "optimizer": private_model.momentum}
    return kerastl.training.train(lambda: build(split.task), batches, seed=seed, under=under, **options).model


def student(teacher: keras.Model, split: Split, seed: int) -> keras.Model:
    """Learns the teacher's answers alone: no label of the split is looked at."""
    logits = kerastl.training.predict(teacher, split.inputs)
    batches = kerastl.data.pipeline.batches(
        split, batch_size=STUDENT.batch_size, shuffle=True, seed=seed, answers=logits
    )
    under = kerastl.distil.distiller.under_logits(None, temperature=2.0, weight=1.0)
    options = {"schedule": STUDENT, "keep": "last", "progress": False, "under": under}
    return kerastl.training.train(lambda: build(split.task), batches, seed=seed, **options).model


def attacked(one: object, members: Split, others: Split) -> tuple[Attack, Attack]:
    answer = privacy_report.answering(one, members.task)
    return membership_inference.by_loss(answer, (members.inputs, members.labels), (others.inputs, others.labels))


def by_shadows(
    train: Callable[[Split, int], keras.Model], model: keras.Model, members: Split, others: Split, runs: int
) -> Attack:
    """Shadow models on random halves of members and as many others."""
    others = others.take(len(members))
    inputs = np.concatenate([np.asarray(members.inputs), np.asarray(others.inputs)])
    labels = np.concatenate([np.asarray(members.labels), np.asarray(others.labels)])
    whole = Split("shadows", inputs, labels, members.task)

    def shadow(rows: np.ndarray, seed: int) -> membership_inference.Answer:
        return privacy_report.answering(train(whole.subset(rows), seed), whole.task)

    inside = np.arange(len(labels)) < len(members)
    answer = privacy_report.answering(model, members.task)
    return shadow_runs.by_likelihood(shadow, answer, (inputs, labels), inside, runs=runs)


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--others", type=int, default=4000)
    parser.add_argument("--epsilon", type=float, default=3.0)
    parser.add_argument("--shadows", type=int, default=8, help="shadow runs a model; 0 leaves them out")
    options = parser.parse_args()
    data = kerastl.data.mnist.load(seed=0, validation=5000)
    count, end = options.members, options.members + options.others
    members, others = data.train.subset(slice(0, count)), data.train.subset(slice(count, end))
    public = data.train.subset(slice(end, end + count))
    ways: dict[str, Callable[[Split, int], keras.Model]] = {
        "plain": trained_plainly,
        f"epsilon {options.epsilon:g}": lambda split, seed: trained_privately(split, seed, epsilon=options.epsilon),
    }
    table = results.Table(
        f"{count:,} digits that were trained on, {options.others:,} others",
        {"trained": "{}", "what answers": "{}", "test accuracy": "{:.4f}", "attack": "{}", "AUC": "{:.3f}"}
        | {"found at 1 % false alarms": "{:.3f}"},
    )
    reached: dict[str, dict[str, float]] = {}
    for way, train in ways.items():
        model = train(members, 0)
        integers = next(
            one.tflite
            for one in kerastl.runs.post_training(model, public, techniques=["static_int8"])
            if one.name == "static_int8"
        )
        answering = {"float model": model, "int8 file": integers}
        answering["student on the same digits"] = student(model, members, 1)
        answering["student on public digits"] = student(model, public, 1)
        if train is trained_plainly:
            answering["control, which never saw them"] = train(public, 2)
        found: list[tuple[str, float, Attack]] = []
        for what, one in answering.items():
            answers = privacy_report.answering(one, data.task)(data.test.inputs)
            accuracy = float((answers.argmax(-1) == data.test.labels).mean())
            found += [(what, accuracy, attack) for attack in attacked(one, members, others)]
        if options.shadows:
            attack = by_shadows(train, model, members, others, options.shadows)
            found.append(("float model", found[0][1], attack))
        for what, accuracy, attack in found:
            auc = results.Interval(attack.auc, *attack.auc_interval)
            rate = results.Interval(attack.rate, *attack.rate_interval)
            table.add(way, what, accuracy, attack.name, auc, rate)
        reached[way] = {attack.name: attack.auc for what, _, attack in found if what == "float model"}
    options.results.show(table, width=170)
    plain, private = reached.values()
    strongest = max(plain, key=lambda name: plain[name])
    return options.results.verdict(
        {
            f"{strongest}, before: AUC {plain[strongest]:.3f}, at least 0.65": plain[strongest] >= 0.65,
            f"and with privacy: AUC {private[strongest]:.3f}, at most 0.53": private[strongest] <= 0.53,
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
