"""Pictures without labels first, a few labels after: two-view pretraining, then fine-tuning beside the net alone.

Two random views of a picture are to be told from all others (SimCLR, Chen et al. 2020, https://arxiv.org/abs/2002.05709).
A linear probe, and the net fine-tuned on a few labels, stand beside the same two without pretraining, at equal steps
and learning rates; validation chooses. `image_classifier --backbone RUN` goes on from the encoder. Pictures that stand
in no classes end in the encoder itself, proven against its own features.

Minutes: 600
Data: cifar10, or your pictures, with labels or without
Command: kerastl run pretrain_images --labels 45
Expect: not measured at full size yet; after two epochs of a small net +6 points on one seed, see docs/pretraining.md
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import kerastl
from kerastl.data.reading import PictureReading
from kerastl.inputs.augmentation import Augmentation
from kerastl.models.pretrained.names import BackboneName
from kerastl.runs import Acceptance, FewLabels, SelfTraining
from kerastl.types import Dataset, Schedule, Split, Task, Workspace
from kerastl.types.settings import Count, ImageSize, Place, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run pretrain_images`."""

    data: str = "cifar10"
    """What is to be known in the end, as for `image_classifier`; or pictures that stand in no classes."""
    unlabelled: Place = ""
    """Pictures to pretrain on, whose labels, if any, nobody looks at; by default those of `data`."""
    reading: PictureReading = PictureReading()
    """How `data` is read and divided."""
    image_size: ImageSize = 32
    """Side of the square pictures that the encoder gets; sets that are published keep theirs."""
    backbone: BackboneName | None = None
    """A foundation model to go on from, as for `image_classifier`; by default a residual CNN begins from nothing."""
    widths: tuple[Count, ...] = (64, 128, 256)
    """Filters of its stages: with a block each 1.2 million parameters."""
    stem_pool: Count = 1
    """Side in pixels of a max pooling behind its first convolution; 2 takes about a third of the time."""
    objective: Literal["simclr", "barlow_twins", "vicreg", "byol", "dino", "masked_autoencoder"] = "simclr"
    """What two views are trained to, see `kerastl.pretraining.methods`; or patches that are left out, in a small vision
    transformer in place of the CNN."""
    patch: Count = 4
    """Of that: side of a patch in pixels."""
    views: Augmentation = Augmentation(
        crop=0.6, horizontal_flip=True, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1, grayscale=0.2
    )
    """Crops and colours matter most, and together (Chen et al. 2020, section 3.1)."""
    pretrain: Schedule = Schedule(epochs=100, batch_size=256, peak_learning_rate=1e-3, weight_decay=1e-4)
    """Of pretraining. The more pictures in a batch, the more there is to tell apart."""
    augmentation: Augmentation = Augmentation(crop=0.3, horizontal_flip=True)
    """Of fine-tuning, with pretraining and without."""
    few: FewLabels = FewLabels()
    """Fine-tuning: `--labels` of each class, 45 of them one in a hundred of CIFAR-10's."""
    self_training: SelfTraining = SelfTraining()
    """Going on from the best of these, on the same pictures without labels: `--self-training.by fixmatch`."""
    seed: Seed = 0
    """Of weights, order, views, split, and of which pictures have labels."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.01, min_agreement=0.95)
    """Half a point of validation accuracy against the float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        few = FewLabels(8, probe=Schedule(2), schedule=Schedule(2), learning_rates=(3e-3,), control=False)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.5, min_agreement=0.5, max_saturation=0.1)
        some = PictureReading(validation=200, max_train_examples=256)
        sizes: dict[str, Any] = {"widths": (8,), "views": Augmentation(crop=0.5), "augmentation": Augmentation()}
        return cls(reading=some, **sizes, pretrain=Schedule(2, batch_size=64), few=few, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, pretrain, probe and fine-tune on few labels, beside the net alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="pretrain_images", tag=folder.name, config=config) as run:
        data, pictures = load(config)
        run.use_dataset(data)
        encoders, techniques = kerastl.runs.encoders, ("float32", "dynamic_int8", "static_int8")
        few = encoders.draw_labels(data, count=config.few.labels, seed=config.seed)
        backbone = config.backbone and kerastl.models.pretrained.names.contents(config.backbone)
        hidden = config.objective == "masked_autoencoder"
        sizes, views = (
            (config.patch, config.augmentation) if hidden else ([config.widths, config.stem_pool], config.views)
        )
        net = [config.seed, backbone, sizes]
        pretrained = run.stage(
            "pretrained",
            functools.partial(pretrain, config, pictures.train, few),
            key=[net, config.objective, views, config.pretrain, pictures.digest, data.digest, config.few.labels],
        )
        encoders.keep(run, pretrained.model)
        if few is None:
            return encoders.publish(run, data, pretrained, techniques=techniques)
        options: dict[str, Any] = {"key": net, "settings": config.few, "augmentation": config.augmentation}
        net_of = functools.partial(build, config, few.task)
        models = encoders.fine_tuned(run, few, net_of, encoder=pretrained.model, **options)
        options = {"settings": config.self_training, "augmentation": config.augmentation, "strong": config.views}
        learn = functools.partial(kerastl.runs.self_training.self_trained, run, few, models, pictures.train)
        models = learn(build=functools.partial(net_of, pretrained.model), **options)
        best = kerastl.runs.best_on_validation(models, few.validation)
        made = kerastl.runs.post_training(best.model, few.train, techniques=techniques) + best.left_behind(few.task)
        return kerastl.runs.publish(run, few, model=best.model, candidates=made, curves=[pretrained.curves])


def load(config: Config) -> tuple[Dataset, Dataset]:
    """What is to be known in the end, and the pictures to pretrain on."""
    loading, options = kerastl.data.loading, {"reading": config.reading, "any_shape": True, "single_label": True}
    size = (config.image_size, config.image_size)
    data = loading.pictures_of_any_kind(config.data, size=size, seed=config.seed, **options)
    more = {"on_unreadable": config.reading.on_unreadable, "seed": config.seed}
    return data, loading.pictures_beside(config.unlabelled, data, **more) if config.unlabelled else data


def build(config: Config, task: Task, encoder=None):
    """The net with a new head: as it begins, or with a pretrained encoder's weights."""
    kerastl.training.set_seed(config.seed)
    if config.backbone:
        backbone = kerastl.models.pretrained.load(config.backbone, image_size=task.inputs.shape[0])
        model = kerastl.models.pretrained.backbone.with_head(backbone, task, dropout=0.0)
    elif config.objective == "masked_autoencoder":
        model = kerastl.models.small_vit.build(task, patch=config.patch)
    else:
        model = kerastl.models.resnet.build(task, widths=config.widths, stem_pool=config.stem_pool)
    if encoder is not None:
        kerastl.training.transfer.feature_extractor(model).set_weights(encoder.get_weights())
    return model


def pretrain(config: Config, pictures: Split, few: Dataset | None, at: Workspace):
    """An encoder that has learnt without labels; of two views a guard stops it where it collapses."""
    methods, schedule, precision = kerastl.pretraining.methods, config.pretrain, kerastl.training.precision
    model = precision.build_in_fastest_dtype(lambda: build(config, pictures.task), seed=config.seed, workspace=at)
    encoder = kerastl.training.transfer.feature_extractor(model)
    known = (None, None) if few is None else (few.train, few.validation)
    if config.objective == "masked_autoencoder":  # which wants crops and no other colours (He et al. 2022, table 1e)
        hidden, views = kerastl.pretraining.masked_autoencoder_model, config.augmentation.build(config.seed + 100)
        trained = hidden.MaskedAutoencoder(model, patch=config.patch, augment=views, seed=config.seed)
        watchers = methods.scores(*known)
    else:
        views, steps = config.views.build(config.seed + 100), schedule.steps(len(pictures))
        trained = methods.network(config.objective, encoder, augment=views, steps=steps)
        watchers = methods.watchers(trained, pictures, *known)
    batches = kerastl.data.pipeline.training_batches(pictures, schedule=schedule, seed=config.seed)
    curves = kerastl.training.fit(trained, batches, schedule=schedule, workspace=at, keep="last", callbacks=watchers)
    return kerastl.training.Trained(precision.as_float32(encoder), curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
