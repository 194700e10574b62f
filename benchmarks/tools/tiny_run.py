"""A recipe in small, to inject faults into: made-up pictures, two epochs, one file, everything a run leaves behind.

    python benchmarks/tools/tiny_run.py run --out FOLDER [--field VALUE ...]
    python benchmarks/tools/tiny_run.py verify FOLDER

Minutes: 0.2
Data: made up
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kerastl
from kerastl.inputs.image import Image
from kerastl.tasks.single_label import SingleLabel
from kerastl.types import Dataset, Schedule, Split, Task

NAMES = {
    "plain": ("left", "right"),
    "strange": ("näme-日本 100%s %d", "[/red] <b>quote'\" {0}\\n"),
    "newline": ("left", "ri\nght"),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run."""

    seed: int = 0
    """Of weights and order."""
    examples: int = 192
    """Pictures to train on."""
    schedule: Schedule = Schedule(epochs=2, batch_size=16, peak_learning_rate=1e-2)
    """Short."""
    names: str = "plain"
    """Which class names: a key of NAMES."""

    @classmethod
    def smoke(cls) -> Config:
        """It is tiny as it is."""
        return cls()


def load(*, names: str = "plain", examples: int = 192) -> Dataset:
    """Pictures of noise; the class is the brighter half."""
    generator = np.random.default_rng(0)
    task = Task("made-up", Image((8, 8, 1)), SingleLabel(NAMES[names]))

    def split(name: str, count: int) -> Split:
        labels = np.arange(count, dtype=np.int32) % 2
        inputs = generator.integers(0, 100, (count, 8, 8, 1), np.uint8)
        for half in (0, 1):
            inputs[labels == half, :, 4 * half : 4 * half + 4] += 100
        return Split(name, inputs, labels, task)

    parts = split("train", examples), split("validation", 40), split("test", 40)
    digest = kerastl.system.digests.sha256_of([array for part in parts for array in (part.inputs, part.labels)])
    arguments = {"names": names, "examples": examples}
    return Dataset(task, *parts, digest, "made_up", arguments)


# Nothing is learnt here from how long a file takes: a second for each would be most of a run.
kerastl.verify.benchmark.LEAST_SECONDS = 0.05

# `kerastl verify` loads a run's data by the name of their source.
kerastl.data.made_up = types.SimpleNamespace(load=load)  # pyright: ignore[reportAttributeAccessIssue]
kerastl.data.__all__ = [*kerastl.data.__all__, "made_up"]


def network(seed: int) -> keras.Model:
    """About 90 KB of weights: many pages of a small disk."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(image)
    x = keras.layers.Conv2D(8, 3, name="convolution")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(80, activation="relu", name="hidden")(x)
    return keras.Model(image, keras.layers.Dense(2, name="logits")(x), name="tiny")


class Pause(keras.callbacks.Callback):
    """Says which step was done, and makes steps long enough to be hit; without seconds it does nothing.

    A fault is no setting: the seconds come from the environment, as ``TINY_PAUSE``.
    """

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def on_train_batch_end(self, batch, logs=None):
        if self.seconds:
            print(f"step {int(self.model.optimizer.iterations)}", flush=True)
            time.sleep(self.seconds)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, convert, ship."""
    with kerastl.runs.Run(folder, recipe="tiny", tag=folder.name, config=config, needed_bytes=1) as run:
        data = load(names=config.names, examples=config.examples)
        run.use_dataset(data)

        def train(workspace):
            model = network(config.seed)
            batches = kerastl.data.pipeline.batches
            curves = kerastl.training.fit(
                model,
                batches(data.train, batch_size=config.schedule.batch_size, shuffle=True),
                schedule=config.schedule,
                workspace=workspace,
                validation=batches(data.validation, batch_size=20),
                callbacks=[Pause(float(os.environ.get("TINY_PAUSE", 0)))],
            )
            return kerastl.training.Trained(model, curves)

        trained = run.stage(
            "net",
            train,
            key=[config, data.digest],
            save=kerastl.training.save,
            load=kerastl.training.load,
        )
        float32 = kerastl.export.tflite.convert(trained.model, data.task)
        candidates = [kerastl.runs.Candidate("float32", "float32", float32, trained.model)]
        return kerastl.runs.publish(run, data, model=trained.model, candidates=candidates, curves=[trained.curves])


if __name__ == "__main__":
    words = sys.argv[1:]
    raise SystemExit(kerastl.cli.main(["run", __file__, *words[1:]] if words[:1] == ["run"] else words))
