"""What each foundation model costs: bytes and latency of its files, seconds of training a picture or a sentence.

    python benchmarks/training/backbones.py [--only NAME] [--rounds 5]

The numbers that `kerastl advise` goes by come from here (`kerastl/advice.py`, which says on what machine). A model of
ten classes with its published weights is exported as its recipe does, and of the files the one that the default
preference, "balanced", takes is timed on one thread in the runtime that phones use, and the size of the float16 file,
which is taken where that one fails its proof, stands beside it; training steps are timed on all
cores, in turns, the first of each left out.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.inputs.image import Image
from kerastl.inputs.text import Text
from kerastl.models import advice
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Task

CLASSES = tuple("0123456789")
BATCH = 16


def network(model: advice.Model) -> tuple[keras.Model, Task, np.ndarray]:
    """A classifier, what it is asked, and a batch of what it takes."""
    pretrained, draw = kerastl.models.pretrained, np.random.default_rng(0)
    if model.kind == "pictures":
        task = Task("pictures", Image((model.size, model.size, 3)), SingleLabel(CLASSES))
        backbone = pretrained.load(model.name, image_size=model.size)
        pictures = draw.integers(0, 256, (BATCH, *task.inputs.shape), np.uint8)
        return pretrained.backbone.with_head(backbone, task), task, pictures
    tokens = pretrained.minilm_l6.vocabulary()
    tokens = tokens if model.name == "minilm_l6" else tokens[:8000]
    if model.name == "text_cnn":  # as `text_mobile` builds it
        tokens = pretrained.minilm_l6.vocabulary()[:10_000]
    task = Task("texts", Text(model.size, tokens), SingleLabel(CLASSES))
    ids = draw.integers(1, len(tokens), (BATCH, model.size)).astype(np.int32)
    if model.name == "text_cnn":
        return kerastl.models.text.text_cnn.build(task, kernel_size=8, word_dropout=0.4), task, ids
    build = pretrained.minilm_l6.pretrained if model.name == "minilm_l6" else pretrained.minilm_l6.small
    return build(task), task, ids


def exported(model: advice.Model, net: keras.Model, task: Task, inputs: np.ndarray, folder: Path) -> Path:
    """Of the files that the recipe makes, the one that its default preference takes."""
    techniques = ["float32", "float16", "dynamic_int8", *(["static_int8"] if model.kind == "pictures" else [])]
    files = {}
    for one in kerastl.runs.post_training(net, task, techniques=techniques, calibration=inputs):
        files[one.name] = folder / f"{model.name}-{model.size}-{one.name}.tflite"
        files[one.name].write_bytes(kerastl.export.metadata.add(one.tflite, task, description=one.name))
    seen = kerastl.types.Verification(kerastl.types.Score(1.0, 1.0, 1.0, 1), 1.0, 1.0, 0.0)
    latencies = kerastl.verify.benchmark.latencies(files)
    variants = [
        kerastl.types.Variant(
            kerastl.types.Artifact(name, name, path),
            kerastl.verify.benchmark.inspect(path),
            latencies[name],
            seen,
            seen,
        )
        for name, path in files.items()
    ]
    return files[kerastl.verify.select(variants, target=task.target, float_validation_score=1.0).name]


def step(net: keras.Model, inputs: np.ndarray) -> Callable[[], object]:
    """One training step of all layers."""
    labels = np.arange(len(inputs)) % len(CLASSES)
    net.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    return lambda: net.train_on_batch(inputs, labels)


def main() -> None:
    parser = results.parser(__doc__)
    parser.add_argument("--only", help="one model")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    chosen = [model for model in advice.MODELS if options.only in (None, model.name)]
    table = results.Table(
        f"ten classes, batches of {BATCH}, medians of {options.rounds} rounds",
        {
            "model": "{}",
            "size": "{}",
            "file": "{}",
            "MB": "{:.2f}",
            "MB in float16": "{:.2f}",
            "ms an answer, one thread": "{:.1f}",
            "seconds an example, forward": "{:.4f}",
            "trained": "{:.4f}",
        },
    )
    built, seconds = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for model in chosen:
            net, task, inputs = network(model)
            file = exported(model, net, task, inputs, Path(folder))
            forward = lambda net=net, inputs=inputs: net.predict_on_batch(inputs)  # noqa: E731
            built.append((model, file, {"forward": forward, "train": step(net, inputs)}))
        for turn in range(options.rounds + 1):
            for model, _, jobs in built:
                for name, job in jobs.items():
                    start = time.perf_counter()
                    job()
                    if turn:
                        seconds.setdefault((model, name), []).append((time.perf_counter() - start) / BATCH)
        for model, file, _ in built:
            latency = kerastl.verify.benchmark.latency(file, threads=1).median
            medians = (statistics.median(seconds[model, name]) for name in ("forward", "train"))
            technique = file.stem.split("-")[-1]
            half = file.with_name(f"{model.name}-{model.size}-float16.tflite")
            sizes = (one.stat().st_size / 1e6 for one in (file, half))
            table.add(model.name, model.size, technique, *sizes, latency, *medians)
    options.results.show(table, width=120)


if __name__ == "__main__":
    main()
