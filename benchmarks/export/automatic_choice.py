"""The file that kerastl chooses, beside the fastest one there is and beside two habits, over five trained networks.

    python benchmarks/export/automatic_choice.py [--epochs 3] [--limit 20000]

Each network is trained on the labels; every post-training file of it is measured as `ship` does, and the fastest within
half a point of the float model on validation is chosen. Then all files within that budget are timed anew, in turns, one
thread: the best of these is what an exhaustive search would take. Shown is how many times slower than it the chosen
file is, and the files of who always takes 8-bit weights, or always integers; medians and quartiles of the ratios within
a round. A habit that is over the budget is said to lose.

Asked: the choice within 5 % of the best; each habit loses somewhere.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras

import kerastl
from benchmarks.tools import results
from kerastl.compress import ptq
from kerastl.types import Artifact, Dataset, Schedule, Variant

BUDGET, ROUNDS, MOST = 0.005, 9, 1.05
HABITS = ("dynamic_int8", "static_int8")
NETWORKS: dict[str, tuple[str, Callable]] = {
    "plain CNN, MNIST": ("mnist", kerastl.models.lenet_style.textbook),
    "strided CNN, MNIST": ("mnist", kerastl.models.all_conv_net.tiny),
    "residual CNN, Fashion-MNIST": ("fashion_mnist", kerastl.models.resnet.mobile),
    "depthwise-separable CNN, Fashion-MNIST": ("fashion_mnist", kerastl.models.mobile_cnn.small),
    "convolutions, CIFAR-10": ("cifar10", kerastl.models.strided_lenet.small),
}


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=20_000)
    options = parser.parse_args()
    ways = ("times slower", *(f"always {habit}" for habit in HABITS))
    table = results.Table(
        f"times slower than the fastest file within half a point on validation; above {MOST} a way loses",
        {"network": "{}", "fastest": "{}", "us": "{:.0f}", "chosen": "{}"} | dict.fromkeys(ways, "{:.2f}"),
    )
    for name, (source, build) in NETWORKS.items():
        data = getattr(kerastl.data, source).load(seed=0, limit=options.limit)
        table.add(name, *row(trained(build(data.task), data, epochs=options.epochs), data))
    options.results.show(table, width=150)
    chosen, *habits = (sum(loses(one[way]) for one in table.rows) for way in ways)
    asked = {f"the choice loses for {chosen} of {len(table.rows)} networks, at most 0": chosen == 0}
    for habit, count in zip(HABITS, habits, strict=True):
        asked[f"always {habit} loses for {count} of {len(table.rows)}, at least 1"] = count > 0
    return options.results.verdict(asked)


def trained(model: keras.Model, data: Dataset, *, epochs: int) -> keras.Model:
    kerastl.training.set_seed(0)
    batches = kerastl.data.pipeline.batches
    kerastl.training.fit(
        model,
        batches(data.train, batch_size=128, shuffle=True, drop_remainder=True),
        schedule=Schedule(epochs=epochs, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4),
        validation=batches(data.validation, batch_size=500),
    )
    return model


def loses(slower: object) -> bool:
    """Whether a file is too slow, or over the budget, which is said in words."""
    return slower.value > MOST if isinstance(slower, results.Interval) else True


def row(model: keras.Model, data: Dataset) -> list:
    float32 = kerastl.export.tflite.convert(model, data.task)
    files = {
        "float32": float32,
        "float16": ptq.float16(float32),
        "dynamic_int8": ptq.dynamic_int8(float32),
        "weight_only_int8": ptq.weight_only_int8(float32),
        "static_int8": ptq.static_int8(float32, calibration=data.train.take(500).inputs, inputs=data.task.inputs),
        "int4_weights": ptq.int4_weights(float32),
    }
    with tempfile.TemporaryDirectory() as temporary:
        variants = [measured(name, content, Path(temporary), data) for name, content in files.items()]
        full = variants[0].validation.score.value
        chosen = kerastl.verify.select(
            variants, target=data.task.target, float_validation_score=full, prefer="fastest", budget=BUDGET
        ).name
    within = [v.artifact.name for v in variants if v.validation.score.value >= full - BUDGET - 1e-12]
    times = kerastl.verify.benchmark.interleaved_latency(
        {name: files[name] for name in within}, rounds=ROUNDS, runs=300
    )
    best = min(within, key=lambda name: statistics.median(times[name]))

    def slower(name: str) -> results.Interval | str:
        if name not in within:
            return "over the budget"
        return results.quartiles(own / fastest for own, fastest in zip(times[name], times[best], strict=True))

    return [best, 1000 * statistics.median(times[best]), chosen, slower(chosen), *map(slower, HABITS)]


def measured(name: str, content: bytes, folder: Path, data: Dataset) -> Variant:
    path = folder / f"{name}.tflite"
    path.write_bytes(content)
    score = kerastl.verify.score_tflite(content, data.validation)
    seen = kerastl.types.Verification(score, score.value, 1.0, 0.0)
    return Variant(
        Artifact(name, name, path),
        kerastl.verify.benchmark.inspect(path),
        kerastl.verify.benchmark.latency(path),
        seen,
        seen,
    )


if __name__ == "__main__":
    raise SystemExit(main())
