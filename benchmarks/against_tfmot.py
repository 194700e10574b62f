"""TF-MOT's published pruning walk-through on MNIST beside kerastl, in one run.

    python benchmarks/against_tfmot.py [--epochs 4] [--limit N]

The walk-through (tensorflow.org, "Pruning in Keras example"): one convolution of 12 filters, pooling, dense 10; train
4 epochs; prune from 50 % to 80 % over 2 epochs; strip; convert; quantize. Each side runs in a process of its own, on
the same split, with the same network, epochs, batch size, rates and schedule: the peer in tf_keras, as TF-MOT needs
it, with the converter's quantizer; kerastl on Keras 3 with its own. Scores are of the files, on the test split.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

SIDES = ("tf-mot", "kerastl")
SPARSITY, INITIAL_SPARSITY, PRUNING_EPOCHS, BATCH = 0.8, 0.5, 2, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        files = run_tfmot(options) if options.side == "tf-mot" else run_kerastl(options)
        print(json.dumps([measure(name, content, options.limit) for name, content in files.items()]))
        return
    rows = {}
    for side in SIDES:
        words = [sys.executable, __file__, "--side", side, "--epochs", str(options.epochs)]
        words += ["--limit", str(options.limit)] if options.limit else []
        print(f"running {side} ...", flush=True)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[1])}
        answer = subprocess.run(words, stdout=subprocess.PIPE, check=True, env=environment, text=True)
        rows[side] = json.loads(answer.stdout.splitlines()[-1])
    show(rows)


def show(rows: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="MNIST walk-through: prune to 80 %, quantize")
    for column in ("file", "side", "bytes", "gzip bytes", "times smaller (gzip)", "sparsity", "test accuracy"):
        table.add_column(column, justify="left" if column in ("file", "side") else "right")
    for position in range(len(rows["kerastl"])):
        for side in SIDES:
            row, baseline = rows[side][position], rows[side][0]
            table.add_row(
                row["name"],
                side,
                f"{row['bytes']:,}",
                f"{row['gzip_bytes']:,}",
                f"{baseline['gzip_bytes'] / row['gzip_bytes']:.1f}",
                f"{row['sparsity']:.3f}",
                f"{row['score']:.4f}",
            )
    Console(width=130).print(table)


def measure(name: str, content: bytes, limit: int | None) -> dict:
    """Size, sparsity and test score of a file; the same code measures both sides."""
    import kerastl

    test = kerastl.data.mnist.load(limit=limit).test
    answers = kerastl.verify.run_file(content, test.inputs)
    return {
        "name": name,
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, 9, mtime=0)),
        "sparsity": kerastl.benchmark.facts(content).sparsity,
        "score": kerastl.verify.score(answers, test.labels).value,
    }


def run_kerastl(options: argparse.Namespace) -> dict[str, bytes]:
    import keras
    from keras import layers

    import kerastl

    data = kerastl.data.mnist.load(limit=options.limit)
    kerastl.train.set_seed(0)
    image = keras.Input((28, 28, 1), name="image")
    x = layers.Rescaling(1 / 255, name="rescale")(image)
    x = layers.Conv2D(12, 3, activation="relu", name="conv")(x)
    x = layers.Flatten(name="flatten")(layers.MaxPooling2D(name="pool")(x))
    model = keras.Model(image, layers.Dense(10, name="logits")(x))
    batches = kerastl.data.pipeline.batches(data.train, batch_size=BATCH, shuffle=True)
    fit(model, batches, keras, epochs=options.epochs)
    baseline = kerastl.export.tflite.convert(model)
    pruning = kerastl.compress.prune.Prune(
        sparsity=SPARSITY,
        initial_sparsity=INITIAL_SPARSITY,
        begin_step=0,
        end_step=PRUNING_EPOCHS * int(batches.cardinality()),
        frequency=100,
        layers=["conv", "logits"],
    )
    fit(model, batches, keras, epochs=PRUNING_EPOCHS, callbacks=[pruning])
    pruned = kerastl.export.tflite.convert(model)
    return {"baseline": baseline, "pruned": pruned, "pruned, int8": kerastl.compress.ptq.dynamic_int8(pruned)}


def run_tfmot(options: argparse.Namespace) -> dict[str, bytes]:
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras
    from tf_keras import layers

    import kerastl

    data = kerastl.data.mnist.load(limit=options.limit)
    tf_keras.utils.set_random_seed(0)
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
    main()
