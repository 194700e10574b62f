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
from kerastl.types import Schedule


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run mnist_cnn`."""

    seed: int = 0
    """Of weights, order and split."""
    validation: int = 5000
    """Pictures held out of train, to choose by."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    schedule: Schedule = Schedule(epochs=5, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-4)
    """Five epochs are the lesson's; the peak is twice Adam's usual rate, for it decays to zero. Not tuned."""
    budget: float = 0.003
    """Validation accuracy that the chosen file may lose against the float model: 0.3 points."""
    score_drop: float = 0.003
    """Accuracy that an int8 file may lose against its own float model: 0.3 points."""
    agreement: float = 0.99
    """Least share of pictures on which an int8 file answers like its float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: a minute on a small machine, no score worth reading."""
        schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=2e-3)
        return cls(validation=200, limit=1000, schedule=schedule, budget=0.1, score_drop=0.1, agreement=0.8)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="mnist_cnn", tag=folder.name, config=config) as run:
        data = kerastl.data.mnist.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)

        def train(workspace):
            kerastl.training.set_seed(config.seed)
            model = kerastl.models.lenet_style.textbook(data.task)
            batches = kerastl.data.pipeline.batches
            size = config.schedule.batch_size
            curves = kerastl.training.fit(
                model,
                batches(data.train, batch_size=size, shuffle=True, seed=config.seed),
                schedule=config.schedule,
                workspace=workspace,
                validation=batches(data.validation, batch_size=500),
            )
            return kerastl.training.Trained(model, curves)

        cnn = run.stage(
            "cnn",
            train,
            key=[config.seed, config.schedule, data.digest],
            save=kerastl.training.save,
            load=kerastl.training.load,
        )
        float32 = kerastl.export.tflite.convert(cnn.model)
        ptq, pictures = kerastl.compress.ptq, data.train.inputs[:500]
        candidates = [
            kerastl.runs.Candidate("float32", "float32", float32, cnn.model),
            kerastl.runs.Candidate("float16", "float16", ptq.float16(float32), cnn.model),
            kerastl.runs.Candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32), cnn.model),
            kerastl.runs.Candidate(
                "static_int8", "static_int8", ptq.static_int8(float32, calibration=pictures), cnn.model
            ),
        ]
        return kerastl.runs.publish(
            run,
            data,
            model=cnn.model,
            candidates=candidates,
            curves=[cnn.curves],
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
        )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
