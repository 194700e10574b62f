"""MNIST to a verified bundle for the phone: a small patient net, trained once, its weights stored in four bits.

Six narrow convolutions of 28,000 parameters see every digit turned, shifted, zoomed and bent anew in every epoch. The
net is stored in every format there is, each file is run against its model, and the smallest within the bounds goes to
the phone: 4-bit weights whose integers are chosen by the net's own answers lose nothing here. A teacher gave this net
nothing that its minutes gave not, so there is none; `fashion_mobile` is the longer road, on clothes: a teacher, a
distilled student (Hinton et al. 2015; Beyer et al. 2022), the same student alone beside it.

Minutes: 12
Data: mnist
Command: kerastl run mnist_mobile
Expect: a file of 19,338 bytes with a test accuracy of 0.995 (0.9948, 0.9957 and 0.9957 of seeds 0, 1 and 2)
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run mnist_mobile`."""

    name: ClassVar[str] = "mnist_mobile"
    quick: bool = False
    """Three epochs in the place of all: a first answer within two minutes."""
    seed: Seed = 0
    """Of weights, order, augmentation and split."""
    data: Literal["mnist", "fashion_mnist"] = "mnist"
    """The pictures; clothes ask for more than digits: `kerastl run fashion_mobile`."""
    validation: Count = 5000
    """Pictures held out of train; every choice is made on them."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(rotation=0.03, translation=0.1, zoom=0.1, elastic=0.02)
    """11 degrees, three pixels, a tenth, and strokes that bend (Simard et al. 2003) as other hands would: strong, for a
    net that averages its last map and is trained for long."""
    student: Schedule = Schedule(epochs=32, batch_size=128, peak_learning_rate=6e-3, weight_decay=1e-4)
    """Small networks like high rates; patience pays (Beyer et al. 2022, "Knowledge distillation: a good teacher is
    patient and consistent", figure 3)."""
    rounding: CountOrNone = 500
    """Training pictures by whose answers the integers of 4-bit weights are chosen; 0 takes the nearest ones."""
    calibrate: bool = False
    """Temperature scaling (Guo et al. 2017): the logits are divided, in every file, by the number that makes
    probabilities the shares of validation pictures that are right. Which class is answered stays."""
    accept: Acceptance = Acceptance(max_score_drop=0.0005, max_quantization_drop=0.003, min_agreement=0.99)
    """The chosen file may lose five digits in ten thousand on validation against the float model, an int8 file 0.3
    points against its own; it answers like that one to 99 pictures of 100."""

    def __post_init__(self) -> None:
        if self.quick:
            object.__setattr__(self, "student", dataclasses.replace(self.student, epochs=3))

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-3)
        accept = Acceptance(max_score_drop=0.1, max_quantization_drop=0.1, min_agreement=0.8)
        return cls(validation=200, max_train_examples=1000, student=tiny, rounding=20, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, store in every format, verify, choose, report."""
    with kerastl.runs.Run(folder, recipe=config.name, tag=folder.name, config=config) as run:
        source = getattr(kerastl.data, config.data)
        data = source.load(seed=config.seed, validation=config.validation, limit=config.max_train_examples)
        run.use_dataset(data)
        student = run.stage(
            "student",
            lambda at: train(config, data, at),
            key=[config.seed, config.student, config.augmentation, data.digest],
        )
        model = kerastl.runs.calibrated(student.model, data.validation, wanted=config.calibrate)
        made = candidates(config, data, model)
        return kerastl.runs.publish(run, data, model=model, candidates=made, curves=[student.curves])


def train(config: Config, data: Dataset, at: Workspace):
    """The small network on the labels, every picture changed anew in every epoch."""
    batches = kerastl.data.pipeline.training_batches(
        data, schedule=config.student, seed=config.seed, augmentation=config.augmentation
    )
    build = functools.partial(kerastl.models.all_conv_net.tiny, data.task)
    return kerastl.training.train(build, batches, seed=config.seed + 1, workspace=at)


def candidates(config: Config, data: Dataset, student):
    """Every way to store the network; and for the table 4-bit weights of the nearest integers: what rounding gives."""
    techniques = ("float32", "float16", "dynamic_int8", "static_int8", "int4_weights")
    post_training = functools.partial(kerastl.runs.post_training, student, data.train)
    if not config.rounding:
        return post_training(techniques=techniques)
    made = post_training(techniques=techniques, rounding=data.train.take(config.rounding).inputs)
    return made + post_training(techniques=["int4_weights"], prefix="nearest_", eligible=False)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
