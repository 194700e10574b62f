"""Calibration: an overconfident small network, and what a temperature inside of its files makes of it.

    python benchmarks/evaluate/calibration.py [--seeds 5] [--examples 600] [--epochs 60]

MNIST's digits with a fifth of the training labels wrong, a network that learns all of these by heart: too sure on
pictures that it has not seen. The temperature is fitted on validation, folded into the model, and the float and the
integer file are run on the test split. Beside it vector scaling, of the float file's answers.

Asked: a lower calibration error on test in every seed, and of the integer file within 0.005 of the float file's.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import dataclasses

import keras
import numpy as np

import kerastl
from benchmarks.tools import results
from kerastl.evaluate import calibration
from kerastl.types import Dataset, Schedule


def learnt_by_heart(data: Dataset, *, seed: int, epochs: int) -> keras.Model:
    """A small network, trained until it knows every label, the wrong ones too."""
    random = np.random.default_rng(seed)
    labels = data.train.labels.copy()
    wrong = random.permutation(len(labels))[: len(labels) // 5]
    labels[wrong] = (labels[wrong] + random.integers(1, 10, len(wrong))) % 10
    keras.utils.set_random_seed(seed)
    model = kerastl.models.lenet_style.build(data.task)
    schedule = Schedule(epochs=epochs, batch_size=32, peak_learning_rate=2e-3)
    split = dataclasses.replace(data.train, labels=labels)
    kerastl.training.fit(model, split, schedule=schedule, seed=seed, progress=False)
    return model


def measured(data: Dataset, model: keras.Model) -> dict[str, tuple[float, float]]:
    """Calibration error and accuracy on test of the float and the integer file."""
    made = {
        one.name: one.tflite
        for one in kerastl.runs.post_training(model, data.train, techniques=("float32", "static_int8"))
    }
    found = {}
    for name, content in made.items():
        answers = kerastl.verify.predict_tflite(content, data.test.inputs)
        one = calibration.measure(answers, data.test.labels)
        found[name] = (one.ece, one.accuracy)
    return found


def vector(data: Dataset, model: keras.Model) -> float:
    held, logits = (kerastl.training.predict(model, one.inputs, task=data.task) for one in (data.validation, data.test))
    factors, offsets = calibration.fit_vector(held, data.validation.labels)
    return calibration.measure(calibration.scaled(logits, factors, offsets), data.test.labels).ece


def main() -> int:
    parser = results.parser(__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=600, help="training pictures (default 600)")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    columns = {"seed": "{}", "temperature": "{:.2f}", "accuracy": "{:.4f}"}
    names = ("float32 before", "int8 before", "float32 after", "int8 after", "vector scaling after")
    table = results.Table("Expected calibration error on test", columns | dict.fromkeys(names, "{:.4f}"))
    lower, near, same = [], [], []
    for seed in range(options.seeds):
        whole = kerastl.data.mnist.load(seed=seed, validation=5000)
        data = whole.drawn(slice(options.examples))
        model = learnt_by_heart(data, seed=seed, epochs=options.epochs)
        before = measured(data, model)
        logits = kerastl.training.predict(model, data.validation.inputs, task=data.task)
        temperature = calibration.fit_temperature(logits, data.validation.labels)
        after = measured(data, kerastl.runs.calibrated(model, data.validation))
        pairs = [before["float32"], before["static_int8"], after["float32"], after["static_int8"]]
        accuracy = after["float32"][1]
        table.add(str(seed), temperature, accuracy, *(ece for ece, _ in pairs), vector(data, model))
        lower.append(pairs[2][0] < pairs[0][0] and pairs[3][0] < pairs[1][0])
        near.append(abs(pairs[3][0] - pairs[2][0]))
        same.append(before["float32"][1] == after["float32"][1])
    options.results.show(table)
    return options.results.verdict(
        {
            f"lower in {sum(lower)} of {len(lower)} seeds, float and integer file": all(lower),
            f"integer file within {max(near):.4f} of the float file, 0.005 asked": max(near) <= 0.005,
            f"the float file's accuracy stayed in {sum(same)} of {len(same)} seeds": all(same),
        }
    )


if __name__ == "__main__":
    raise SystemExit(main())
