"""The textbook CNN on MNIST in five epochs, evaluated and exported.

Two convolution-pooling blocks, dense 128, dense 10: the network of the introductory lessons, which is quoted at 0.987.

Minutes: 3
Data: mnist
Command: kerastl run mnist_cnn
Expect: test accuracy 0.992
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.runs import Acceptance
from kerastl.types import Schedule
from kerastl.types.settings import Count, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run mnist_cnn`."""

    seed: Seed = 0
    """Of weights, order and split."""
    validation: Count = 5000
    """Pictures held out of train, to choose by."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    schedule: Schedule = Schedule(epochs=5, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
    """Five epochs are the lesson's; the peak is twice Adam's usual rate, for it decays to zero. Not tuned."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.99)
    """The chosen file may lose 0.3 points of validation accuracy against the float model, an int8 file as much against
    its own; it answers like that one to 99 pictures of 100."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: a minute on a small machine, no score worth reading."""
        schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=2e-3)
        accept = Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.8)
        return cls(validation=200, max_train_examples=1000, schedule=schedule, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="mnist_cnn", tag=folder.name, config=config) as run:
        data = kerastl.data.mnist.load(seed=config.seed, validation=config.validation, limit=config.max_train_examples)
        run.use_dataset(data)
        cnn = run.stage(
            "cnn",
            lambda at: kerastl.training.train(
                lambda: kerastl.models.lenet_style.textbook(data.task),
                data.train,
                schedule=config.schedule,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
            ),
            key=[config.seed, config.schedule, data.digest],
        )
        techniques = ("float32", "float16", "dynamic_int8", "static_int8")
        candidates = kerastl.runs.post_training(cnn.model, data.train, techniques=techniques)
        return kerastl.runs.publish(run, data, model=cnn.model, candidates=candidates, curves=[cnn.curves])


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
