"""A class for every pixel: pictures with masks to a verified file of less than 300 kB that marks what is where.

A small U-Net (Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597) learns from masks, PNG files of class numbers
beside the pictures. Without data of your own: scenes of one to five MNIST digits. The report has mean IoU, Dice and the
boundary score of every class.

Minutes: 15
Data: digit_masks, or your folder with images/ and masks/
Command: kerastl run segmenter --data FOLDER
Expect: not measured at full size yet; mean IoU of 0.49 in 90 kB after six epochs with --width 16
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule
from kerastl.types.settings import Count, ImageSize, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run segmenter`."""

    data: str | None = None
    """Folder with images/, masks/ of the same names (PNG, a number a pixel) and classes.txt; digit scenes without."""
    image_size: ImageSize = 96
    """Side of the square pictures, a multiple of 16."""
    scenes: Count = 3000
    """Of digits to learn from, where there is no folder."""
    width: Count = 24
    """Channels of the net's first level."""
    seed: Seed = 0
    """Of weights, order, scenes and split."""
    schedule: Schedule = Schedule(epochs=20, batch_size=32, peak_learning_rate=4e-3, weight_decay=0.01)
    """Not tuned."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.01, max_quantization_drop=0.02, min_agreement=0.9, max_saturation=0.05
    )
    """A point of mean IoU; nine pictures of ten agree in 98 of 100 pixels."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.5, min_agreement=0.3, max_saturation=0.5)
        tiny = Schedule(epochs=1, batch_size=16, peak_learning_rate=4e-3)
        return cls(scenes=128, image_size=64, width=4, schedule=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="segmenter", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        net = run.stage(
            "net",
            lambda at: kerastl.training.train(
                functools.partial(build, config, data),
                data.train,
                schedule=config.schedule,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
            ),
            key=[config.seed, config.width, config.schedule, data.digest],
        )
        techniques = ["float32", "float16", "dynamic_int8", "static_int8"]
        made = kerastl.runs.post_training(
            net.model, data.task, techniques=techniques, calibration=data.train.take(200).inputs
        )
        return kerastl.runs.publish(run, data, model=net.model, candidates=made, curves=[net.curves])


def load(config: Config) -> Dataset:
    """Pictures and masks."""
    if config.data:
        return kerastl.data.mask_folder.load(config.data, size=config.image_size, seed=config.seed)
    return kerastl.data.digit_masks.load(
        size=config.image_size, train=config.scenes, test=max(config.scenes // 6, 40), seed=config.seed
    )


def build(config: Config, data: Dataset):
    """The U-Net."""
    kerastl.training.set_seed(config.seed)
    return kerastl.models.segmentation.small_u_net.build(data.task, width=config.width)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
