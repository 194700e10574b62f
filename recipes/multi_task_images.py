"""Three questions to one picture in one file: which fruit, which kind of it, and by how many degrees it is turned.

A pretrained trunk that all tasks share, and a dense layer a task behind it (hard parameter sharing, Caruana 1997). The
tasks mix classes and a number; the angle is made up: pictures are turned by it before anything else is done. How much
each task counts is a rule's to say, `--rule`, and how far their gradients conflict stands on the report's page. Beside
it the same network learns each task alone for as many steps, and the report has every task's two scores, and the one
file's bytes and latency against the sum of theirs; `--no-control` leaves these out.

Minutes: 60
Data: groceries
Command: kerastl run multi_task_images
Expect: not measured yet
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.inputs.augmentation import Augmentation
from kerastl.models.pretrained.names import BackboneName
from kerastl.models.sharing.ways import SharingName
from kerastl.runs import Acceptance
from kerastl.training.balancing_rules import RuleName
from kerastl.types import Dataset, Schedule, Task, Workspace
from kerastl.types.settings import Count, CountOrShare, ImageSize, Part, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run multi_task_images`."""

    rule: RuleName = "fixed"
    """How much each task counts, see docs/multi_task.md: "fixed" is the plain sum, which well-tuned rules hardly beat
    (Kurin et al. 2022, "In defense of the unitary scalarization"); or "uncertainty", "gradnorm", "dwa", "pcgrad",
    "famo"."""
    sharing: SharingName = "hard"
    """What tasks share: "hard" is one trunk; "adapters" puts a small block of a task's own between trunk and head;
    "cross_stitch" is a trunk a task, and learnt shares of the others' maps: nothing is saved (docs/multi_task.md)."""
    control: bool = True
    """Whether each task is learnt alone as well, by a network of its own: as many trainings more as there are tasks."""
    file_per_task: bool = False
    """Whether each task gets a file of its own beside that of all, in `heads/`, for who asks one question at a time."""
    seed: Seed = 0
    """Of weights, order, augmentation and split."""
    backbone: BackboneName | None = "efficientnet_lite0"
    """The trunk, see `kerastl.models.pretrained.load`; None trains a small network from nothing."""
    image_size: ImageSize = 128
    """Side of the square pictures in pixels; time grows with its square, and a step takes a backward pass a task."""
    validation: CountOrShare = 0.15
    """Pictures held out of the 732 that are no test pictures: the best epoch and the file are chosen on them."""
    max_train_examples: Count | None = None
    """Keeps only so many training pictures."""
    augmentation: Augmentation = Augmentation(translation=0.1, zoom=0.1, brightness=0.15, contrast=0.2, fill="reflect")
    """As for `image_classifier`, but for what would change the angle: turning, and mirroring."""
    dropout: Part = 0.2
    """Share of the features dropped before the heads."""
    schedule: Schedule = Schedule(epochs=24, batch_size=32, peak_learning_rate=5e-4, weight_decay=1e-4)
    """Of all trainings. Not tuned: ten times what `image_classifier` gives its backbone, for turned pictures are none
    that it knows."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.01, max_quantization_drop=0.02, min_agreement=0.9, max_saturation=0.02
    )
    """A point of the mean over tasks; a picture agrees where every task does, a number within a tenth of its spread."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        tiny = Schedule(epochs=1, batch_size=16, peak_learning_rate=5e-3)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0, max_saturation=1.0)
        sizes: dict[str, Any] = {"image_size": 32, "max_train_examples": 64, "validation": 60}
        return cls(backbone=None, sharing="adapters", schedule=tiny, accept=accept, **sizes)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train all tasks together and each alone, quantize, verify, choose, compare, report."""
    with kerastl.runs.Run(folder, recipe="multi_task_images", tag=folder.name, config=config) as run:
        size = (config.image_size, config.image_size)
        options = {"validation": config.validation, "limit": config.max_train_examples}
        data = kerastl.data.groceries.load(size=size, seed=config.seed, tasks=True, **options)
        run.use_dataset(data)
        trunk = None if config.backbone is None else kerastl.models.pretrained.names.contents(config.backbone)
        basis = [config.seed, trunk, config.augmentation, config.dropout, config.schedule, data.digest]
        together = run.stage(
            "all_tasks",
            functools.partial(train, config, data, config.schedule),
            key=[config.rule, config.sharing, *basis],
        )
        alone = {}
        for name in data.task.target.names if config.control else ():
            one, schedule = kerastl.runs.single_tasks.alone(data, name, schedule=config.schedule)
            alone[name] = run.stage(f"only_{name}", functools.partial(train, config, one, schedule), key=[name, *basis])
        return kerastl.runs.publish(
            run,
            data,
            model=together.model,
            candidates=kerastl.runs.post_training(
                together.model, data.train, techniques=("float32", "float16", "dynamic_int8", "static_int8")
            ),
            curves=[together.curves, *(one.curves for one in alone.values())],
            single=alone,
            file_per_task=config.file_per_task,
        )


def train(config: Config, data: Dataset, schedule: Schedule, at: Workspace):
    """The network of the tasks that the data have: of several by the rule, of one by its own loss."""
    batches = kerastl.data.pipeline.training_batches(
        data, schedule=schedule, seed=config.seed, augmentation=config.augmentation
    )
    under = kerastl.training.balancing_rules.under(config.rule, batches)
    trunk = functools.partial(network, config)
    build = functools.partial(kerastl.models.sharing.ways.build, config.sharing, trunk, data.task)
    return kerastl.training.train(build, batches, seed=config.seed, workspace=at, under=under)


def network(config: Config, task: Task):
    """The trunk and a head a task; the statistics of a pretrained trunk stay as they came."""
    if config.backbone is None:
        return kerastl.models.mobile_cnn.build(task, filters=(32, 64), strides=(2, 2))
    backbone = kerastl.models.pretrained.load(config.backbone, image_size=config.image_size)
    model = kerastl.models.pretrained.backbone.with_head(backbone, task, dropout=config.dropout)
    kerastl.training.transfer.freeze_batch_norm(model)
    return model


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
