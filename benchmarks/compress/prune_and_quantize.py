"""Pruned and then integers: quantized afterwards (PTQ), or trained on as integers with the zeros kept (PQAT).

    python benchmarks/compress/prune_and_quantize.py [--only student|mobilenet_v2] [--seeds 0 1 2]
        [--sparsity 0.8] [--limit N]

Two networks on Fashion-MNIST, `resnet.mobile` and one of depthwise-separable blocks. Each is
trained on the labels and pruned under its own unpruned self as the teacher, once a seed. From the same pruned network
come: the file of post-training quantization; that of as many more epochs as PQAT has, in float32, with the zeros kept,
and quantization afterwards; that of PQAT; and that of quantization-aware training that is told nothing of zeros. All
of them learn by the same loss from the same teacher.

Files have integers throughout. Validation made every choice; the test pictures are touched once, by the finished files.
Differences are taken within a seed; the interval is Student's t over seeds. Asked: PQAT above PTQ at equal sparsity.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
from scipy import stats

import kerastl
from benchmarks.tools import results
from kerastl.compress import prune, ptq, qat
from kerastl.types import Dataset, Schedule

BATCH, RATE, TEMPERATURE, TEACHER_WEIGHT = 128, 4e-3, 2.0, 0.7
NETWORKS: dict[str, Callable] = {
    "student": kerastl.models.resnet.mobile,
    "mobilenet_v2": kerastl.models.mobile_cnn.small,
}
PTQ, LONGER, PQAT, QAT = "PTQ", "longer in float, PTQ", "PQAT", "QAT, zeros not kept"
soft = kerastl.distil.losses.kl_divergence


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--epochs", type=int, default=6, help="of the unpruned network")
    parser.add_argument("--pruning", type=int, default=4, help="epochs; the sparsity is reached after half of them")
    parser.add_argument("--fine-tuning", type=int, default=2, help="epochs of PQAT, and of training longer in float")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of fine-tuning, at its first step")
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    options = parser.parse_args()
    better = []
    for name in [options.only] if options.only else NETWORKS:
        scores: dict[str, list[dict[str, float]]] = {}
        for seed in options.seeds:
            data = kerastl.data.fashion_mnist.load(seed=seed, validation=5000, limit=options.limit)
            for file, content in made(NETWORKS[name], data, seed=seed, options=options).items():
                scores.setdefault(file, []).append(measured(content, data))
            print(f"{name}, seed {seed}: " + ", ".join(f"{file} {row[-1]}" for file, row in scores.items()), flush=True)
        better.append(show(name, scores, options))
    return 0 if all(better) else 1


def made(build: Callable, data: Dataset, *, seed: int, options: argparse.Namespace) -> dict[str, bytes]:
    """Every file of one seed."""
    kerastl.training.set_seed(seed)
    model, some = build(data.task), data.train.inputs[:500]
    fit(model, data, epochs=options.epochs, rate=RATE, seed=seed)
    pruned = kerastl.training.precision.as_float32(model)
    steps = options.pruning * (len(data.train) // BATCH)
    held = functools.partial(prune.Prune, sparsity=options.sparsity, begin_step=0)
    ramp = held(end_step=steps // 2, frequency=max(steps // 100, 1), model=pruned)
    fit(pruned, data, epochs=options.pruning, rate=RATE / 4, seed=seed, teacher=model, callbacks=[ramp])
    longer = kerastl.training.precision.as_float32(pruned)
    zeros = held(end_step=1, frequency=1, schedule="constant", model=longer)  # those that are there, at its first step
    rate = options.learning_rate
    fit(longer, data, epochs=options.fine_tuning, rate=rate, seed=seed + 1, teacher=model, callbacks=[zeros])
    static = functools.partial(ptq.static_int8, calibration=some, inputs=data.task.inputs)
    aware = functools.partial(quantization_aware, pruned, data, teacher=model, seed=seed + 1, options=options)
    return {
        "float32, not pruned": kerastl.export.tflite.convert(model, data.task),
        PTQ: static(kerastl.export.tflite.convert(pruned, data.task)),
        LONGER: static(kerastl.export.tflite.convert(longer, data.task)),
        PQAT: aware(preserve_sparsity=True),
        QAT: aware(preserve_sparsity=False),
    }


def fit(
    model: keras.Model,
    data: Dataset,
    *,
    epochs: int,
    rate: float,
    seed: int,
    teacher=None,
    callbacks: list | tuple = (),
) -> None:
    learner = model
    if teacher is not None:
        loss = functools.partial(soft, temperature=TEMPERATURE)
        learner = kerastl.distil.distiller.Distiller(student=model, teacher=teacher, loss=loss, weight=TEACHER_WEIGHT)
    kerastl.training.fit(
        learner,
        batches(data, seed=seed),
        schedule=Schedule(epochs=epochs, batch_size=BATCH, peak_learning_rate=rate, weight_decay=1e-3),
        validation=kerastl.data.pipeline.batches(data.validation, batch_size=500),
        callbacks=list(callbacks),
        keep="last" if callbacks else "best",
        progress=False,
    )


def batches(data: Dataset, *, seed: int):
    return kerastl.data.pipeline.batches(data.train, batch_size=BATCH, shuffle=True, seed=seed, drop_remainder=True)


def quantization_aware(
    pruned: keras.Model, data: Dataset, *, teacher: keras.Model, seed: int, options: argparse.Namespace, **kept: bool
) -> bytes:
    def loss(labels, logits, answers):
        own = kerastl.distil.losses.cross_entropy(labels, logits)
        return TEACHER_WEIGHT * soft(answers, logits, temperature=TEMPERATURE) + (1 - TEACHER_WEIGHT) * own

    network = qat.train(
        kerastl.compress.tf_keras.bridge.to_tf_keras(pruned, probe=data.train.inputs[:16].astype("float32")),
        batches(data, seed=seed),
        epochs=options.fine_tuning,
        learning_rate=options.learning_rate,
        teacher=functools.partial(teacher, training=False),
        loss=loss,
        **kept,
    )
    return kerastl.export.tflite.convert(network, data.task, integer=True)


def measured(content: bytes, data: Dataset) -> dict[str, float]:
    scores = {split.name: kerastl.verify.score_tflite(content, split).value for split in (data.validation, data.test)}
    return {**scores, "zeros": kerastl.verify.benchmark.inspect(content).sparsity}


def show(name: str, scores: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> bool:
    seeds = len(options.seeds)
    columns = {"file": "{}", "zeros": "{:.3f}", "validation": "{:.2f}", "test": "{:.2f}"}
    columns |= {"above PTQ, points (95 % interval)": "{:+.2f}", "every seed": "{:+.2f}"}
    table = results.Table(f"{name}, Fashion-MNIST, {options.sparsity:.0%} pruned, means of {seeds} seeds", columns)
    means = {}
    for file, rows in scores.items():
        above = [100 * (row["test"] - other["test"]) for row, other in zip(rows, scores[PTQ], strict=True)]
        means[file] = statistics.mean(above)
        gain: float | results.Interval = means[file]
        if seeds > 1 and file != PTQ:
            reach = float(stats.t.ppf(0.975, seeds - 1)) * statistics.stdev(above) / seeds**0.5
            gain = results.Interval(means[file], means[file] - reach, means[file] + reach)
        table.add(
            file,
            statistics.mean(row["zeros"] for row in rows),
            100 * statistics.mean(row["validation"] for row in rows),
            100 * statistics.mean(row["test"] for row in rows),
            None if file == PTQ else gain,
            None if file == PTQ else above,
        )
    options.results.show(table, width=130)
    equal = abs(
        statistics.mean(one["zeros"] - other["zeros"] for one, other in zip(scores[PQAT], scores[PTQ], strict=True))
    )
    reached = means[PQAT] > 0 and equal < 0.005
    words = f"{name}: PQAT {means[PQAT]:+.2f} points above PTQ, above 0; sparsities {equal:.4f} apart, below 0.005"
    return options.results.bar(words, reached=reached)


if __name__ == "__main__":
    raise SystemExit(main())
