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
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Schedule
from kerastl.types.settings import Count, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run cifar_convnet`."""

    seed: Seed = 0
    """Of weights, order, augmentation and split."""
    validation: Count = 5000
    """Pictures held out of train, to choose by."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(horizontal_flip=True, translation=0.1)
    """Mirrored, and shifted by three pixels of 32 (He et al. 2016, section 4.2, shift by four)."""
    schedule: Schedule = Schedule(epochs=10, batch_size=128, peak_learning_rate=2e-3, weight_decay=1e-3)
    """Ten epochs; not tuned."""
    accept: Acceptance = Acceptance(max_score_drop=0.003, max_quantization_drop=0.003, min_agreement=0.95)
    """The chosen file may lose 0.3 points of validation accuracy against the float model, an int8 file as much against
    its own; it answers like that one to 95 pictures of 100."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=2e-3)
        accept = Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.8)
        return cls(validation=200, max_train_examples=1000, schedule=schedule, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="cifar_convnet", tag=folder.name, config=config) as run:
        data = kerastl.data.cifar10.load(
            seed=config.seed, validation=config.validation, limit=config.max_train_examples
        )
        run.use_dataset(data)
        conv_net = run.stage(
            "conv_net",
            lambda at: kerastl.training.train(
                lambda: kerastl.models.strided_lenet.small(data.task),
                kerastl.data.pipeline.training_batches(
                    data,
                    schedule=config.schedule,
                    seed=config.seed,
                    augmentation=config.augmentation,
                    drop_remainder=False,
                ),
                seed=config.seed,
                workspace=at,
            ),
            key=[config.seed, config.schedule, config.augmentation, data.digest],
        )
        candidates = kerastl.runs.post_training(conv_net.model, data.train, techniques=("float32", "static_int8"))
        return kerastl.runs.publish(run, data, model=conv_net.model, candidates=candidates, curves=[conv_net.curves])


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
