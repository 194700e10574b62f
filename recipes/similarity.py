"""Pictures of your own as vectors: what belongs together lies near, and new names are enrolled without training.

A pretrained backbone learns by metric learning (by default triplets, Schroff et al. 2015,
https://arxiv.org/abs/1503.03832) from some of the classes. By others it is chosen, against the frozen backbone, which
is kept where it is no worse; on others again it is measured: recall@1, MAP@R, equal error rate. The bundle gets an
index of known examples: `kerastl predict` names the nearest, or none of these, and `kerastl enrol RUN NAME pictures...`
adds a name.

Minutes: 12
Data: groceries, or your folder
Command: kerastl run similarity --data FOLDER
Expect: recall@1 of 93.5 on seven kinds of fruit that nothing has seen, where the frozen backbone has 91.0
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.data.reading import PictureReading
from kerastl.inputs.augmentation import Augmentation
from kerastl.models.pretrained.names import BackboneName
from kerastl.runs import Acceptance
from kerastl.tasks import embedding
from kerastl.training.metric_losses import LossName
from kerastl.types import Dataset, History, Schedule, Workspace
from kerastl.types.settings import ImageSize, Part, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run similarity`."""

    data: str | None = None
    """Folder with a folder a class, or what else `image_classifier` reads. The groceries where there is none."""
    reading: PictureReading = PictureReading()
    """How it is read; with --unseen 0 also how it is divided."""
    unseen: Part = 0.5
    """Share of the classes that nothing learns from, on which the score is measured; of the rest a quarter chooses. 0
    divides the examples of each class instead, where only these classes will ever be asked for."""
    backbone: BackboneName = "mobilenet_v2"
    """A foundation model, see `kerastl.models.pretrained.load`; its features are the vectors' numbers."""
    image_size: ImageSize = 96
    """Side of the square pictures that the backbone gets, in pixels."""
    loss: LossName = "triplet"
    """"proxy_anchor", "arcface", "cosface", "triplet" or "supervised_contrastive"; the last two want several examples
    of a class in every batch. Of all, triplets with semi-hard mining gained most on the groceries."""
    schedule: Schedule = Schedule(epochs=4, batch_size=32, peak_learning_rate=5e-5, weight_decay=0.01)
    """Of fine-tuning: short and gentle, for classes that nothing learns from; twice as long at twice the rate lost half
    of what was gained."""
    layer_decay: Part = 0.8
    """Factor of the learning rate from one group of layers to the one before it."""
    augmentation: Augmentation = Augmentation(
        rotation=0.04, translation=0.1, zoom=0.2, horizontal_flip=True, brightness=0.15, contrast=0.2, fill="reflect"
    )
    """Usual for photographs; not tuned. Where left and right mean something: --no-horizontal-flip."""
    false_accept_rate: Part = 0.05
    """Share of unknown examples that may be taken for somebody, by which the threshold of the index is set."""
    seed: Seed = 0
    """Of weights, order, augmentation, and of which classes are unseen."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.02, max_quantization_drop=0.02, min_agreement=0.95, max_saturation=0.02
    )
    """The chosen file may lose two points of recall; vectors agree within a fifth of their spread."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.5, min_agreement=0.5, max_saturation=0.5)
        tiny = Schedule(epochs=1, batch_size=16, peak_learning_rate=1e-4)
        return cls(image_size=96, reading=PictureReading(max_train_examples=70), schedule=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, divide by classes, learn what belongs together, export, verify, report, begin the index."""
    with kerastl.runs.Run(folder, recipe="similarity", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        net = [config.seed, config.image_size, kerastl.models.pretrained.names.contents(config.backbone), data.digest]
        net += [config.unseen]
        frozen = run.stage(
            "frozen", lambda at: kerastl.training.Trained(built(config, data), History(at.stage, {})), key=net
        )
        key = [*net, config.schedule, config.loss, config.layer_decay, config.augmentation]
        tuned = run.stage("fine_tuned", lambda at: fine_tune(config, data, at), key=key)
        best = kerastl.runs.best_on_validation({"frozen": frozen, "fine_tuned": tuned}, data.validation)
        techniques = ["float32", "float16", "weight_only_int8", "dynamic_int8"]
        made = kerastl.runs.post_training(best.model, data.task, techniques=techniques)
        made += best.left_behind(data.task)
        report = kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=[tuned.curves])
    kerastl.runs.enrolling.begin(
        kerastl.open(folder), data.validation, known=data.train, false_accept_rate=config.false_accept_rate
    )
    return report


def load(config: Config) -> Dataset:
    """The pictures at the backbone's size, whole classes of them held out; each class is a group."""
    found = kerastl.data.loading.pictures(
        config.data,
        size=(config.image_size, config.image_size),
        reading=config.reading,
        single_label=True,
        seed=config.seed,
    )
    if config.unseen:
        found = kerastl.data.unseen_classes.divide(found, unseen=config.unseen, seed=config.seed)
    return embedding.grouped(found)


def built(config: Config, data: Dataset):
    """The backbone with its weights; its pooled features are brought to length 1."""
    kerastl.training.set_seed(config.seed)
    pretrained = kerastl.models.pretrained
    backbone = pretrained.load(config.backbone, image_size=config.image_size)
    return pretrained.backbone.with_head(backbone, data.task, dropout=0)


def fine_tune(config: Config, data: Dataset, at: Workspace):
    """Everything learns, the early layers least; the proxies of the classes are left behind."""
    model = built(config, data)
    seen, groups = kerastl.training.metric_training.numbered(data.train)
    learner, loss = kerastl.training.metric_training.learner(model, config.loss, groups=groups, seed=config.seed)
    batches = kerastl.data.pipeline.batches(
        seen,
        batch_size=config.schedule.batch_size,
        shuffle=True,
        augment=config.augmentation.build(config.seed),
        seed=config.seed,
    )
    layers = [[one.name for one in group.layers] for group in kerastl.models.pretrained.backbone.groups(learner)]
    learnt = kerastl.training.lp_ft.fine_tune(
        learner,
        batches,
        schedule=config.schedule,
        groups=layers,
        layer_decay=config.layer_decay,
        workspace=at,
        loss=loss,
    )
    return kerastl.training.Trained(model, learnt.curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
