"""TF-MOT's published pruning walk-through on MNIST beside kerastl, in one run.

    python benchmarks/compress/against_tfmot.py [--seeds 0 1 2] [--epochs 4] [--limit N]

The walk-through (tensorflow.org, "Pruning in Keras example"): one convolution of 12 filters, pooling, dense 10; train
4 epochs; prune from 50 % to 80 % over 2 epochs; strip; convert; quantize. Each side runs in a process of its own, on
the same split, with the same network, epochs, batch size, rates and schedule: the peer in tf_keras, as TF-MOT needs
it, with the converter's quantizer; kerastl on Keras 3 with its own. Scores are of the files, on the test split; all
numbers are means over the seeds. At the end both sides get 1,000 examples and the same wish, 80 % in two epochs.

Asked: zipped, the pruned and quantized file is no larger than TF-MOT's, scores at least as much less 0.1 points, and
has the zeros that were asked for, with few examples as well (or they are refused; TF-MOT says nothing).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.tools import results

SIDES = ("tf-mot", "kerastl")
SPARSITY, INITIAL_SPARSITY, PRUNING_EPOCHS, BATCH = 0.8, 0.5, 2, 128
FEW = 1000


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        (seed,) = options.seeds
        files = (run_tfmot if options.side == "tf-mot" else run_kerastl)(options, seed)
        print(json.dumps([measure(name, content, options.limit) for name, content in files.items()]))
        return 0
    rows = {side: means([answers(side, seed, options, options.limit) for seed in options.seeds]) for side in SIDES}
    title = f"MNIST walk-through: prune to {SPARSITY:.0%}, quantize; means of {len(options.seeds)} seeds"
    options.results.show(table(rows, title), width=130)
    few = {side: answers(side, options.seeds[0], options, FEW) for side in SIDES}
    options.results.show(table(few, f"the same with {FEW:,} examples"), width=130)
    ours, theirs = rows["kerastl"][-1], rows["tf-mot"][-1]
    asked = {
        f"zipped: {ours['gzip_bytes']:,.0f} to {theirs['gzip_bytes']:,.0f} bytes, at most as many": ours["gzip_bytes"]
        <= theirs["gzip_bytes"],
        f"score: {100 * (ours['score'] - theirs['score']):+.2f} points, at least -0.1": ours["score"]
        >= theirs["score"] - 0.001,
        f"zeros: {ours['sparsity']:.3f}, {SPARSITY} asked": ours["sparsity"] >= SPARSITY - 0.005,
        f"zeros with {FEW:,} examples: {few['kerastl'][-1]['sparsity']:.3f} (TF-MOT {few['tf-mot'][-1]['sparsity']:.3f}"
        f" and no word), {SPARSITY} asked": few["kerastl"][-1]["sparsity"] >= SPARSITY - 0.005,
    }
    return options.results.verdict(asked)


def answers(side: str, seed: int, options: argparse.Namespace, limit: int | None) -> list[dict]:
    """The measured files of one side, from a process of its own."""
    words = [sys.executable, __file__, "--side", side, "--epochs", str(options.epochs), "--seeds", str(seed)]
    words += ["--limit", str(limit)] if limit else []
    print(f"running {side}, seed {seed} ...", flush=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
    answer = subprocess.run(words, stdout=subprocess.PIPE, check=True, env=environment, text=True)
    return json.loads(answer.stdout.splitlines()[-1])


def means(runs: list[list[dict]]) -> list[dict]:
    """Of every number of every file over the runs."""
    numbers = [key for key in runs[0][0] if key != "name"]
    return [
        {"name": files[0]["name"], **{key: statistics.mean(file[key] for file in files) for key in numbers}}
        for files in zip(*runs, strict=True)
    ]


def table(rows: dict, title: str) -> results.Table:
    made = results.Table(
        title,
        {
            "file": "{}",
            "side": "{}",
            "bytes": "{:,.0f}",
            "gzip bytes": "{:,.0f}",
            "times smaller (gzip)": "{:.1f}",
            "sparsity": "{:.3f}",
            "test accuracy": "{:.4f}",
        },
    )
    for position in range(len(rows["kerastl"])):
        for side in SIDES:
            row, baseline = rows[side][position], rows[side][0]
            smaller = baseline["gzip_bytes"] / row["gzip_bytes"]
            made.add(row["name"], side, row["bytes"], row["gzip_bytes"], smaller, row["sparsity"], row["score"])
    return made


def measure(name: str, content: bytes, limit: int | None) -> dict:
    """Size, sparsity and test score of a file; the same code measures both sides."""
    import kerastl

    test = kerastl.data.mnist.load(limit=limit).test
    answers = kerastl.verify.predict_tflite(content, test.inputs, kind=test.task.inputs)
    return {
        "name": name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "sparsity": kerastl.verify.benchmark.inspect(content).sparsity,
        "score": test.task.target.score(answers, test.labels).value,
    }


def run_kerastl(options: argparse.Namespace, seed: int) -> dict[str, bytes]:
    import keras
    from keras import layers

    import kerastl

    data = kerastl.data.mnist.load(seed=seed, limit=options.limit)
    kerastl.training.set_seed(seed)
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(12, 3, activation="relu", name="conv")(x)
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool")(x))
    model = keras.Model(image, layers.Dense(10, name="logits")(x))
    batches = kerastl.data.pipeline.batches(data.train, batch_size=BATCH, shuffle=True)
    fit(model, batches, keras, epochs=options.epochs)
    baseline = kerastl.export.tflite.convert(model, data.task)
    pruning = kerastl.compress.prune.Prune(
        sparsity=SPARSITY,
        initial_sparsity=INITIAL_SPARSITY,
        begin_step=0,
        end_step=PRUNING_EPOCHS * int(batches.cardinality()),
        frequency=100,
        layers=["conv", "logits"],
    )
    fit(model, batches, keras, epochs=PRUNING_EPOCHS, callbacks=[pruning])
    pruned = kerastl.export.tflite.convert(model, data.task)
    return {"baseline": baseline, "pruned": pruned, "pruned, int8": kerastl.compress.ptq.dynamic_int8(pruned)}


def run_tfmot(options: argparse.Namespace, seed: int) -> dict[str, bytes]:
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras
    from tf_keras import layers

    import kerastl

    data = kerastl.data.mnist.load(seed=seed, limit=options.limit)
    tf_keras.utils.set_random_seed(seed)
    model = tf_keras.Sequential(
        [
            layers.InputLayer((28, 28, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(12, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    )
    batches = kerastl.data.pipeline.batches(data.train, batch_size=BATCH, shuffle=True)
    fit(model, batches, tf_keras, epochs=options.epochs)

    def convert(network: tf_keras.Model, *, quantize: bool = False) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(network)
        converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantize else []
        return converter.convert()

    baseline = convert(model)
    schedule = tfmot.sparsity.keras.PolynomialDecay(
        initial_sparsity=INITIAL_SPARSITY,
        final_sparsity=SPARSITY,
        begin_step=0,
        end_step=PRUNING_EPOCHS * int(batches.cardinality()),
    )

    def pruned_layer(layer: tf_keras.layers.Layer) -> tf_keras.layers.Layer:
        if isinstance(layer, layers.Rescaling):  # TF-MOT does not know it
            return layer
        return tfmot.sparsity.keras.prune_low_magnitude(layer, pruning_schedule=schedule)

    wrapped = tf_keras.models.clone_model(model, clone_function=pruned_layer)
    wrapped.build((None, 28, 28, 1))
    for new, old in zip(wrapped.layers, model.layers, strict=True):
        getattr(new, "layer", new).set_weights(old.get_weights())
    fit(wrapped, batches, tf_keras, epochs=PRUNING_EPOCHS, callbacks=[tfmot.sparsity.keras.UpdatePruningStep()])
    stripped = tfmot.sparsity.keras.strip_pruning(wrapped)
    return {"baseline": baseline, "pruned": convert(stripped), "pruned, int8": convert(stripped, quantize=True)}


def fit(model, batches, kerases, *, epochs: int, callbacks=()) -> None:
    """The walk-through's training, the same for both sides."""
    model.compile(
        optimizer=kerases.optimizers.Adam(1e-3),
        loss=kerases.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    model.fit(batches, epochs=epochs, callbacks=list(callbacks), verbose=0)


if __name__ == "__main__":
    raise SystemExit(main())
