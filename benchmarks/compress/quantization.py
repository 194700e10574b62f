"""Files of one trained network, kerastl's beside those of the TF converter and of litert-quantizer alone.

    python benchmarks/compress/quantization.py [--only student|mobilenet_v2] [--epochs 8] [--fine-tuning 2] [--limit N]

Two networks on Fashion-MNIST, trained on the labels: `resnet.mobile`, and one of depthwise-
separable blocks. From each come the files of every post-training technique, those of mixed precision (4, 8 and 32 bits,
at most half a point below the float file on validation), both with weights rounded to the nearest integer and with
integers chosen by what they answer on 500 training pictures, and of quantization-aware training; pruned networks have
a benchmark of their own, `prune_and_quantize.py`. The peers get the same float network and the same calibration
pictures. A file of kerastl has its labels and metadata inside.

Latency is one thread's in the runtime that phones use, files in turns, as the ratio to the float file within a round
(median and quartiles). Validation made every choice; the test pictures are touched once, by the finished files.

Asked: static int8 within 0.5 and quantization-aware training within 0.3 points of the float file and at most 1.02 times
the smallest peer; 4-bit weights 7 times smaller than float within a point; integers 1.3 times faster on the second
network; 10,000 pictures through a file in 1.1 times a bare loop.
"""

from __future__ import annotations

import functools
import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from litert_quantizer import quantizer, recipe

import kerastl
from benchmarks.tools import results
from kerastl.compress import mixed_precision, ptq, qat
from kerastl.types import Dataset, Schedule, Task

BATCH, RATE = 128, 4e-3
NETWORKS: dict[str, Callable] = {
    "student": kerastl.models.resnet.mobile,
    "mobilenet_v2": kerastl.models.mobile_cnn.small,
}

EVALUATION = "verify.predict_tflite on the test split"


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--only", choices=NETWORKS)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--fine-tuning", type=int, default=2)
    parser.add_argument("--limit", type=int, help="keeps only so many training pictures")
    options = parser.parse_args()
    data = kerastl.data.fashion_mnist.load(seed=0, validation=5000, limit=options.limit)
    asked: dict[str, bool] = {}
    for name in [options.only] if options.only else NETWORKS:
        files = made(NETWORKS[name](data.task), data, epochs=options.epochs, fine_tuning=options.fine_tuning)
        asked |= {f"{name}: {words}": reached for words, reached in show(name, files, data, options.results).items()}
    ratios = evaluation(files["float32"], data)
    options.results.keep(EVALUATION, [{"times a bare loop": ratios}])
    print(f"{EVALUATION}: {results.printed(ratios, '{:.2f}')} times a bare loop")
    ratio = ratios.value
    asked[f"10,000 pictures in {ratio:.2f} times a bare loop, at most 1.1"] = ratio <= 1.1
    return options.results.verdict(asked)


def made(model: keras.Model, data: Dataset, *, epochs: int, fine_tuning: int) -> dict[str, bytes]:
    """Every file, those of the peers under names that begin with "their"."""
    kerastl.training.set_seed(0)
    fit(model, data, epochs=epochs)
    float32, some = kerastl.export.tflite.convert(model, data.task), data.train.take(500).inputs
    kind = data.task.inputs
    files = {
        "float32": float32,
        "float16": ptq.float16(float32),
        "dynamic_int8": ptq.dynamic_int8(float32),
        "static_int8": ptq.static_int8(float32, calibration=some, inputs=kind),
        "int4_weights": ptq.int4_weights(float32),
        "int4, rounded by answers": ptq.int4_weights(float32, calibration=some, inputs=kind),
        "int4, and one scale": ptq.int4_weights(float32, calibration=some, inputs=kind, per_channel=False),
        "mixed_precision": mixed(float32, data),
        "mixed, rounded by answers": mixed(float32, data, calibration=some),
        "qat_int8": aware(model, data, epochs=fine_tuning),
    }
    named = kerastl.export.metadata.add
    files = {name: named(content, data.task, description="") for name, content in files.items()}
    return files | {
        "their converter, float32": converted(model, data.task),
        "their converter, dynamic int8": converted(model, data.task, quantize=True),
        "their converter, static int8": converted(model, data.task, quantize=True, calibration=some),
        "their quantizer, dynamic int8": by_quantizer(converted(model, data.task), "dynamic_wi8_afp32"),
        "their quantizer, static int8": by_quantizer(converted(model, data.task), "static_wi8_ai8", calibration=some),
        "their quantizer, dynamic int4": by_quantizer(converted(model, data.task), "dynamic_wi4_afp32"),
    }


def fit(model: keras.Model, data: Dataset, *, epochs: int) -> None:
    batches = kerastl.data.pipeline.batches
    kerastl.training.fit(
        model,
        batches(data.train, batch_size=BATCH, shuffle=True, drop_remainder=True),
        schedule=Schedule(epochs=epochs, batch_size=BATCH, peak_learning_rate=RATE, weight_decay=1e-3),
        validation=batches(data.validation, batch_size=500),
    )


def aware(model: keras.Model, data: Dataset, *, epochs: int) -> bytes:
    """Quantization-aware training under the float model's own answers."""
    twin = kerastl.compress.tf_keras.bridge.to_tf_keras(model, probe=data.train.inputs[:16].astype("float32"))
    batches = kerastl.data.pipeline.batches(data.train, batch_size=BATCH, shuffle=True, drop_remainder=True)
    soft = kerastl.distil.losses.kl_divergence
    network = qat.train(
        twin,
        batches,
        epochs=epochs,
        learning_rate=2e-4,
        teacher=functools.partial(model, training=False),
        loss=lambda labels, logits, answers: soft(answers, logits, temperature=1.0),
        callbacks=[kerastl.training.callbacks.ProgressBar("quantization-aware")],
    )
    return kerastl.export.tflite.convert(network, data.task, integer=True)


def mixed(float32: bytes, data: Dataset, *, calibration: np.ndarray | None = None) -> bytes:
    held, predict = data.validation, functools.partial(kerastl.verify.predict_tflite, kind=data.task.inputs)

    def score(file: bytes) -> float:
        return data.task.target.score(predict(file, held.inputs), np.asarray(held.labels)).value

    options = {"calibration": calibration, "inputs": data.task.inputs}
    measured = mixed_precision.sensitivities(
        float32, answers=lambda file: predict(file, held.take(500).inputs), **options
    )
    least = score(float32) - 0.005
    return mixed_precision.search(float32, measured, score=score, least=least, **options).content


def converted(
    model: keras.Model, task: Task, *, quantize: bool = False, calibration: np.ndarray | None = None
) -> bytes:
    """By the TF converter as its guide has it."""
    serving = kerastl.export.serving.serve(model, task, batch=1)
    functions = [serving.function.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, serving.holder)
    converter.optimizations = [tf.lite.Optimize.DEFAULT] if quantize else []
    if calibration is not None:
        converter.representative_dataset = lambda: ([picture[None].astype("float32")] for picture in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter.convert()


def by_quantizer(model: bytes, name: str, *, calibration: np.ndarray | None = None) -> bytes:
    """By litert-quantizer as its guide has it."""
    work = quantizer.Quantizer(model)
    work.load_quantization_recipe(getattr(recipe, name)())
    statistics = None
    if calibration is not None:
        ((signature, names),) = Interpreter(model_content=model).get_signature_list().items()
        pictures = [{names["inputs"][0]: picture[None].astype("float32")} for picture in calibration]
        statistics = work.calibrate({signature: pictures})
    return bytes(work.quantize(statistics).quantized_model)


def answers(content: bytes, inputs: np.ndarray) -> np.ndarray:
    """A bare loop: the peers' files may take and give integers of any scale."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = image["quantization"]
    whole = np.issubdtype(image["dtype"], np.integer)
    found = []
    for picture in inputs:
        value = np.rint(picture[None] / scale + zero_point) if whole else picture[None]
        limits = np.iinfo(image["dtype"]) if whole else None
        value = value if limits is None else np.clip(value, limits.min, limits.max)
        interpreter.set_tensor(image["index"], value.astype(image["dtype"]))
        interpreter.invoke()
        found.append(interpreter.get_tensor(output["index"])[0])
    return np.array(found)


def show(name: str, files: dict[str, bytes], data: Dataset, found: results.Results) -> dict[str, bool]:
    """The table; what was asked of it, in words, and whether it was reached."""
    ratios: dict[str, list[float]] = {file: [] for file in files}
    for _ in range(7):
        medians = {file: kerastl.verify.benchmark.latency(content, runs=100).median for file, content in files.items()}
        for file in files:
            ratios[file].append(medians["float32"] / medians[file])
    scores = {
        file: {
            split.name: float((answers(content, split.inputs).argmax(1) == np.asarray(split.labels)).mean())
            for split in (data.validation, data.test)
        }
        for file, content in files.items()
    }

    def lost(file: str) -> float:
        return 100 * (scores["float32"]["test"] - scores[file]["test"])

    columns = {"file": "{}", "bytes": "{:,}", "gzip": "{:,}", "smaller": "{:.2f}", "zeros": "{:.3f}"}
    columns |= {"validation": "{:.2f}", "test": "{:.2f}", "points lost": "{:+.2f}", "times faster": "{:.2f}"}
    table = results.Table(f"{name}, Fashion-MNIST, {len(data.train):,} pictures to train on, seed 0", columns)
    for file, content in files.items():
        table.add(
            file,
            len(content),
            len(gzip.compress(content, 9, mtime=0)),
            len(files["float32"]) / len(content),
            kerastl.verify.benchmark.inspect(content).sparsity,
            100 * scores[file]["validation"],
            100 * scores[file]["test"],
            lost(file),
            results.quartiles(ratios[file]),
        )
    found.show(table)

    peers = ("their converter, static int8", "their quantizer, static int8")
    size = len(files["static_int8"]) / min(len(files[peer]) for peer in peers)
    four = {file: len(files["float32"]) / len(files[file]) for file in files if file.startswith("int4")}
    best = max((file for file in four if lost(file) <= 1), key=four.__getitem__, default="")
    asked = {
        f"static int8 loses {lost('static_int8'):+.2f} points, at most 0.5": lost("static_int8") <= 0.5,
        f"quantization-aware training loses {lost('qat_int8'):+.2f} points, at most 0.3": lost("qat_int8") <= 0.3,
        f"static int8 has {size:.3f} times the bytes of the smallest peer, at most 1.02": size <= 1.02,
        f"4-bit weights within a point are {four.get(best, 0):.2f} times smaller, at least 7": four.get(best, 0) >= 7,
    }
    if name == "mobilenet_v2":
        faster = statistics.median(ratios["static_int8"])
        asked[f"integers are {faster:.2f} times faster, at least 1.3"] = faster >= 1.3
    return asked


def evaluation(content: bytes, data: Dataset) -> results.Interval:
    """The whole test split through the file, by `verify.predict_tflite` and by a loop with nothing in it, in turns.

    Returns their ratio. Both have one interpreter: what more of them save is not what is asked.
    """
    ways = {"ours": lambda: kerastl.verify.predict_tflite(content, data.test.inputs, workers=1)}
    ways["bare"] = lambda: answers(content, data.test.inputs)
    ratios = []
    for turn in range(6):
        seconds = {}
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            start = time.perf_counter()
            ways[name]()
            seconds[name] = time.perf_counter() - start
        ratios.append(seconds["ours"] / seconds["bare"])
    return results.quartiles(ratios)


if __name__ == "__main__":
    raise SystemExit(main())
