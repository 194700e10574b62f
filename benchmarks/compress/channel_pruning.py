"""Channel pruning to half the multiply-adds: what it costs in accuracy, and what it brings in a file, side by side.

    python benchmarks/compress/channel_pruning.py [--only student|mobilenet_v2] [--epochs 10] [--fine-tuning 6]
        [--scratch]

Two networks on Fashion-MNIST: `resnet.mobile`, and one of the blocks of MobileNetV2 (Sandler et
al. 2018, table 2, for pictures of 28 pixels). Each is trained on the labels; pruned in rounds, of which each chooses
channels by what data says and goes on training under the unpruned network as a teacher; and beside it the same
network loses as many single weights (`compress.prune`) in as many epochs under the same teacher. With ``--scratch`` a
network of uniformly fewer channels and as many multiply-adds is trained from its start, for all of these epochs, under
the same teacher.

Files are float32 and run on one thread in the runtime that phones use, in turns; the ratio to the unpruned network's
latency is taken within a round, and its median and quartiles are shown. Validation accuracy was there to choose by; the
test pictures are touched once, by the finished files. Asked: 1.7 times faster, at most a point lost.
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
from keras import layers

import kerastl
from benchmarks.tools import results
from kerastl.compress import channels, prune
from kerastl.types import Dataset, Schedule, Task

BATCH, RATE = 128, 4e-3
LEAST_RATIO, MOST_LOST = 1.7, 0.01


def student(task: Task, width: float = 1.0) -> keras.Model:
    widths = [max(4, round(width * full / 4) * 4) for full in (24, 40, 64)]
    return kerastl.models.resnet.build(task, widths=widths, stem_pool=2, name="student")


def mobilenet_v2(task: Task, width: float = 1.0) -> keras.Model:
    """Inverted residuals with linear bottlenecks: 6.7 million multiply-adds."""

    def wide(full: float) -> int:
        return max(4, round(width * full / 4) * 4)

    def norm(x, name):
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)

    def convolution(x, filters, name, *, size=1, stride=1):
        x = layers.Conv2D(
            filters, size, strides=stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
        )(x)
        return norm(x, name)

    image = keras.Input(task.inputs.shape, name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.ReLU(6.0, name="stem_relu")(convolution(x, wide(16), "stem", size=3, stride=2))
    rows = ((1, 8, 1, 1), (6, 16, 2, 1), (6, 24, 3, 2), (6, 32, 3, 1), (6, 48, 3, 2), (6, 80, 1, 1))
    for stage, (expansion, filters, blocks, stride) in enumerate(rows, start=1):
        for block in range(1, blocks + 1):
            name, shortcut = f"stage{stage}_block{block}", x
            if expansion > 1:
                x = convolution(x, expansion * x.shape[-1], f"{name}_expand")
                x = layers.ReLU(6.0, name=f"{name}_expand_relu")(x)
            x = layers.DepthwiseConv2D(
                3, strides=stride if block == 1 else 1, padding="same", use_bias=False, name=f"{name}_depthwise"
            )(x)
            x = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(norm(x, f"{name}_depthwise"))
            x = convolution(x, wide(filters), f"{name}_project")
            if block > 1:
                x = layers.Add(name=f"{name}_add")([x, shortcut])
    x = layers.ReLU(6.0, name="top_relu")(convolution(x, wide(320), "top"))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(task.target.outputs, name="logits")(x), name="mobilenet_v2")


# For a task, and a share of the usual number of channels.
NETWORKS: dict[str, Callable[[Task, float], keras.Model]] = {"student": student, "mobilenet_v2": mobilenet_v2}


def batches(data: Dataset, *, seed: int, batch_size: int = BATCH, moved: bool = True):
    views = (
        kerastl.inputs.augmentation.image_augmentation(horizontal_flip=True, translation=0.04, seed=seed)
        if moved
        else None
    )
    return kerastl.data.pipeline.batches(
        data.train, batch_size=batch_size, shuffle=True, seed=seed, augment=views, drop_remainder=True
    )


def fit(
    model: keras.Model, data: Dataset, *, epochs: int, rate: float, seed: int, teacher=None, callbacks=(), keep="best"
):
    """Trains in place, on the labels or under a teacher, with all that is the same for every row."""
    if teacher is not None:
        soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=2.0)
        learner = kerastl.distil.distiller.Distiller(student=model, teacher=teacher, loss=soft, weight=0.7)
    else:
        learner = model
    kerastl.training.fit(
        learner,
        batches(data, seed=seed),
        schedule=Schedule(epochs=epochs, batch_size=BATCH, peak_learning_rate=rate, weight_decay=1e-3),
        validation=kerastl.data.pipeline.batches(data.validation, batch_size=500),
        callbacks=list(callbacks),
        keep=keep,
        progress=False,
    )
    return model


def pruned_channels(model: keras.Model, data: Dataset, options: argparse.Namespace) -> keras.Model:
    """So many rounds; each takes the same share of what is left, and the last trains longest."""
    small, rounds = model, options.rounds
    target = options.keep * channels.multiply_adds(model)
    for turn in range(1, rounds + 1):
        share = options.keep ** (turn / rounds) * channels.multiply_adds(model) / channels.multiply_adds(small)
        if turn == rounds:
            share = target / channels.multiply_adds(small)
        plan = channels.plan(
            small,
            keep_ratio=min(share, 1.0),
            batches=batches(data, seed=turn, moved=False).take(options.batches),
            criterion=options.criterion,
            divisor=options.multiple,
            min_keep_ratio=options.floor,
        )
        small = channels.apply(small, plan)
        epochs = options.fine_tuning // (2 * rounds) or 1
        epochs = options.fine_tuning - (rounds - 1) * epochs if turn == rounds else epochs
        before = accuracy(small, data.validation)
        fit(small, data, epochs=epochs, rate=RATE / 2, seed=10 + turn, teacher=model)
        words = ", ".join(f"{name} {one.before}>{one.after}" for name, one in plan.channels.items() if one[0] != one[1])
        after = accuracy(small, data.validation)
        print(f"  round {turn}: {words}; validation {before:.4f}, after {epochs} epochs {after:.4f}", flush=True)
    return small


def pruned_weights(model: keras.Model, data: Dataset, options: argparse.Namespace, *, sparsity: float) -> keras.Model:
    """As many single weights go as channel pruning removed with its channels."""
    sparse = keras.models.clone_model(model)
    sparse.set_weights(model.get_weights())
    end = options.fine_tuning * (len(data.train) // BATCH) // 2
    callback = prune.Prune(sparsity=sparsity, begin_step=0, end_step=end, frequency=max(end // 50, 1), model=sparse)
    return fit(
        sparse,
        data,
        epochs=options.fine_tuning,
        rate=RATE / 2,
        seed=20,
        teacher=model,
        callbacks=[callback],
        keep="last",
    )


def narrower(
    build: Callable[[Task, float], keras.Model], model: keras.Model, data: Dataset, options: argparse.Namespace
) -> keras.Model:
    """Uniformly fewer channels, the share chosen so that the multiply-adds come closest."""
    kerastl.training.set_seed(30)
    wanted = options.keep * channels.multiply_adds(model)
    shares = [share / 100 for share in range(30, 100, 2)]
    share = min(shares, key=lambda one: abs(channels.multiply_adds(build(data.task, one)) - wanted))
    epochs = options.epochs + options.fine_tuning
    return fit(build(data.task, share), data, epochs=epochs, rate=RATE, seed=30, teacher=model)


def accuracy(model: keras.Model, split) -> float:
    return split.task.target.score(kerastl.training.predict(model, split.inputs), split.labels).value


def file_accuracy(content: bytes, split) -> float:
    return kerastl.verify.score_tflite(content, split).value


def compared(name: str, data: Dataset, options: argparse.Namespace) -> bool:
    """Trains, prunes and measures one network; whether it does what is asked."""
    build = NETWORKS[name]
    kerastl.training.set_seed(options.seed)
    print(f"{name}: training {options.epochs} epochs", flush=True)
    model = fit(build(data.task, 1.0), data, epochs=options.epochs, rate=RATE, seed=options.seed)
    models = {"unpruned": model, "channels pruned": pruned_channels(model, data, options)}
    gone = 1 - models["channels pruned"].count_params() / model.count_params()
    print(f"{name}: single weights, sparsity {gone:.2f}", flush=True)
    models["weights pruned"] = pruned_weights(model, data, options, sparsity=gone)
    if options.scratch:
        print(f"{name}: narrower from its start", flush=True)
        models["narrower, from scratch"] = narrower(build, model, data, options)
    files = {row: kerastl.export.tflite.convert(one, data.task) for row, one in models.items()}
    times = kerastl.verify.benchmark.interleaved_latency(files, rounds=options.latency_rounds, runs=1000)
    columns = {"network": "{}"} | dict.fromkeys(("multiply-adds", "parameters", "bytes", "gzip"), "{:,}")
    columns |= {"us": "{:.1f}", "times faster": "{:.2f}", "validation": "{:.4f}", "test": "{:.4f}"}
    table = results.Table(
        f"{name} on Fashion-MNIST, {options.epochs} epochs and {options.fine_tuning} of fine-tuning", columns
    )
    ratios, scores = {}, {}
    for row, one in models.items():
        facts = kerastl.verify.benchmark.inspect(files[row])
        ratios[row] = [slow / fast for slow, fast in zip(times["unpruned"], times[row], strict=True)]
        scores[row] = file_accuracy(files[row], data.test)
        table.add(
            row,
            channels.multiply_adds(one),
            facts.parameters,
            facts.bytes,
            facts.gzip_bytes,
            1000 * statistics.median(times[row]),
            results.quartiles(ratios[row]),
            file_accuracy(files[row], data.validation),
            scores[row],
        )
    options.results.show(table)
    ratio, lost = statistics.median(ratios["channels pruned"]), scores["unpruned"] - scores["channels pruned"]
    reached = ratio >= LEAST_RATIO and lost <= MOST_LOST
    words = f"{name}: {ratio:.2f} times faster, at least {LEAST_RATIO}; {100 * lost:.2f} points lost, at most 1"
    return options.results.bar(words, reached=reached)


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--epochs", type=int, default=10, help="of the unpruned network")
    parser.add_argument("--fine-tuning", type=int, default=6, help="epochs over all rounds")
    parser.add_argument("--rounds", type=int, default=2, help="of pruning and training")
    parser.add_argument("--keep", type=float, default=0.5, help="share of the multiply-adds")
    parser.add_argument("--multiple", type=int, default=8)
    parser.add_argument("--floor", type=float, default=0.1)
    parser.add_argument("--criterion", choices=("taylor", "outputs"), default="taylor")
    parser.add_argument("--batches", type=int, default=60, help="by which channels are chosen")
    parser.add_argument("--latency-rounds", type=int, default=9)
    parser.add_argument("--limit", type=int, help="so many training pictures only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", action="store_true", help="also a narrower network, trained from its start")
    options = parser.parse_args()
    data = kerastl.data.fashion_mnist.load(seed=options.seed, validation=5000, limit=options.limit)
    done = [compared(name, data, options) for name in NETWORKS if options.only in (None, name)]
    return 0 if all(done) else 1


if __name__ == "__main__":
    raise SystemExit(main())
