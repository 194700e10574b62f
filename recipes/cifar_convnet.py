"""The 3x32x32 ConvNet on CIFAR-10: two strided convolutions, dense 128, exported and verified.

The smallest sensible recipe on colour pictures, and the place to start from for one's own.

Minutes: 7
Data: cifar10
Command: kerastl run cifar_convnet
Expect: test accuracy 0.68; the integer file scores the same
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
    """Settings of the run; every field is a flag of `kerastl run cifar_convnet`."""

    seed: int = 0
    """Of weights, order, views and split."""
    validation: int = 5000
    """Pictures held out of train, to choose by."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    translation: float = 0.1
    """Largest shift of a training picture, three pixels of 32 (He et al. 2016, section 4.2, shift by four)."""
    schedule: Schedule = Schedule(epochs=10, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-3)
    """Ten epochs; not tuned."""
    budget: float = 0.003
    """Validation accuracy that the chosen file may lose against the float model: 0.3 points."""
    score_drop: float = 0.003
    """Accuracy that an int8 file may lose against its own float model: 0.3 points."""
    agreement: float = 0.95
    """Least share of pictures on which an int8 file answers like its float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=2e-3)
        return cls(validation=200, limit=1000, schedule=schedule, budget=0.1, score_drop=0.1, agreement=0.8)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="cifar_convnet", tag=folder.name, config=config) as run:
        data = kerastl.data.cifar10.load(seed=config.seed, validation=config.validation, limit=config.limit)
        run.use_dataset(data)

        def train(workspace):
            kerastl.training.set_seed(config.seed)
            model = kerastl.models.strided_lenet.small(data.task)
            batches = kerastl.data.pipeline.batches
            views = kerastl.inputs.augmentation.image_augmentation(
                translation=config.translation, horizontal_flip=True, seed=config.seed
            )
            curves = kerastl.training.fit(
                model,
                batches(
                    data.train, batch_size=config.schedule.batch_size, shuffle=True, seed=config.seed, augment=views
                ),
                schedule=config.schedule,
                workspace=workspace,
                validation=batches(data.validation, batch_size=500),
            )
            return kerastl.training.Trained(model, curves)

        conv_net = run.stage(
            "conv_net",
            train,
            key=[config.seed, config.schedule, config.translation, data.digest],
            save=kerastl.training.save,
            load=kerastl.training.load,
        )
        float32 = kerastl.export.tflite.convert(conv_net.model)
        static_int8 = kerastl.compress.ptq.static_int8(float32, calibration=data.train.inputs[:500])
        candidates = [
            kerastl.runs.Candidate("float32", "float32", float32, conv_net.model),
            kerastl.runs.Candidate("static_int8", "static_int8", static_int8, conv_net.model),
        ]
        return kerastl.runs.publish(
            run,
            data,
            model=conv_net.model,
            candidates=candidates,
            curves=[conv_net.curves],
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
        )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
