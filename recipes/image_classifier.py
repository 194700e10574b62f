"""Your own pictures to a verified file for the phone: a pretrained backbone, a linear probe, then fine-tuning.

A folder with a folder a class goes in. The frozen backbone's features are computed once and a head learns from them;
then everything learns, gently, from randomly changed pictures (LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
The better of the two on validation is taken, and both stand in the table.
How long and how far is planned from the number of pictures. Without a folder: 14 kinds of fruit in a shop. With
`--labels 10` only ten pictures of each class are learnt from, as `image_few_labels` does.

Minutes: 16
Data: groceries, or your folder
Command: kerastl run image_classifier --data FOLDER
Expect: 0.84 (0.81 to 0.87) on 661 test pictures of 14 kinds of fruit, in 3.6 MB with int8 weights, or integers
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, ClassVar

import kerastl
from kerastl.data.reading import PictureReading
from kerastl.inputs.augmentation import Augmentation
from kerastl.models.pretrained.names import BackboneName
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Workspace
from kerastl.types.settings import Count, CountOrNone, ImageSize, Part, Place, Positive, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run image_classifier`."""

    name: ClassVar[str] = "image_classifier"
    data: str | None = None
    """Folder with a folder a class, or with train, validation and test folders; a table, an archive, a parquet file or
    a folder of them; arrays at the backbone's size, or "tfds:NAME". The groceries where there is none."""
    reading: PictureReading = PictureReading()
    """How it is read and divided: columns, several classes a picture, splits, pictures that cannot be read."""
    backbone: BackboneName = "efficientnet_lite0"
    """A foundation model, see `kerastl.models.pretrained.load`; "mobilenet_v2" is a third smaller and less accurate.
    "preset:vit_base_patch16_224_imagenet" is a vision transformer; it wants pictures of whole patches."""
    start_from: Place = ""
    """Folder of a finished run of the same backbone, to go on with: more pictures, or new classes. Its weights are the
    start, and the head keeps the rows of the classes that both have."""
    image_size: ImageSize = 224
    """Side of the square pictures that the backbone gets, in pixels."""
    labels: Count | None = None
    """Pictures of each class to learn from, drawn from train by the seed; all there are of a class with fewer. The rest
    of train is not looked at; by default all are learnt from. There are then none to choose by: every training keeps
    its last epoch, and validation pictures only compare the files with the model."""
    balanced: bool = False
    """Rare classes count as much in the loss as frequent ones, see `kerastl.training.class_weights`."""
    seed: Seed = 0
    """Of weights, order, augmentation, split, and of which pictures are learnt from."""
    augmentation: Augmentation = Augmentation(
        rotation=0.04, translation=0.1, zoom=0.2, horizontal_flip=True, brightness=0.15, contrast=0.2, fill="reflect"
    )
    """Usual for photographs; not tuned. Where left and right mean something: --no-horizontal-flip."""
    epochs: CountOrNone | None = None
    """Of fine-tuning; by default planned from the number of pictures. 0 trains the head alone."""
    learning_rate: Positive | None = None
    """Of fine-tuning, at its peak and for the head; by default the plan's."""
    batch_size: Count = 32
    """Pictures a step."""
    dropout: Part = 0.3
    """Share of the features dropped before the head."""
    integer: bool = True
    """Whether a file of integers throughout is made as well. A large transformer's numbers may lie too far apart for 8
    bits, and the proof stops the run; --no-integer leaves this file out."""
    calibrate: bool = False
    """Temperature scaling (Guo et al. 2017): the logits are divided, in every file, by the number that makes
    probabilities the shares of validation pictures that are right. Which class is answered stays."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.01, max_quantization_drop=0.01, min_agreement=0.95, max_saturation=0.01
    )
    """A point of validation accuracy against the float model, a point of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.2, min_agreement=0.7, max_saturation=0.1)
        sizes: dict[str, Any] = {"image_size": 96, "labels": 3 if cls.labels else None, "epochs": 1, "batch_size": 8}
        return cls(**sizes, reading=PictureReading(max_train_examples=56), accept=accept)


@dataclasses.dataclass(frozen=True)
class FewLabels(Config):
    """Ten labelled pictures a class to a verified file for the phone: many views of each, a probe, gentle fine-tuning.

    The frozen backbone looks once at every picture and at seven random views of it, and a linear head learns from these
    features; then everything learns, the early layers least. The report shows the probe beside the result.

    Minutes: 15
    Data: groceries, or your folder
    Command: kerastl run image_few_labels --data FOLDER --labels 10
    Expect: 0.75 (0.72 to 0.78) on 661 test pictures of 14 kinds of fruit, learnt from 140, in 3.6 MB; the probe 0.73
    """

    name: ClassVar[str] = "image_few_labels"
    labels: Count | None = 10
    """Pictures of each class to learn from: another seed draws others, and has another score."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.02, max_quantization_drop=0.02, min_agreement=0.95, max_saturation=0.02
    )
    """A picture of the groceries' 73 that validate; few pictures say less of the range that calibration finds."""


ALIASES = {"image_few_labels": FewLabels}


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, plan, probe, fine-tune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe=config.name, tag=folder.name, config=config) as run:
        whole = load(config)
        run.use_dataset(whole)
        data = whole if config.labels is None else draw_labels(config, whole)
        kerastl.runs.starting.tell(config.start_from, data)
        plan = kerastl.training.transfer.plan_for(
            data.train, batch_size=config.batch_size, epochs=config.epochs, learning_rate=config.learning_rate
        )
        print(plan.why)
        backbone = kerastl.models.pretrained.names.contents(config.backbone)
        basis = [config.seed, config.labels, config.augmentation, backbone, data.digest]
        basis += kerastl.runs.starting.key(config.start_from)

        features = run.stage("features", lambda at: cache_features(config, data, plan, at), key=[basis, plan.views])
        probe = run.stage(
            "linear_probe",
            lambda at: train_probe(config, data, plan, features, at),
            key=[plan.probe, config.dropout, config.balanced, run.stage_key("features")],
        )
        trained = {"linear_probe": probe}
        if plan.fine_tune:  # the probe knows of balanced classes
            key = [basis, plan.fine_tune, plan.layer_decay, run.stage_key("linear_probe")]
            tune = functools.partial(fine_tune, config, data, plan, probe.model)
            trained["fine_tuned"] = run.stage("fine_tuned", tune, key=key)
        best = kerastl.runs.best_on_validation(trained, data.validation if config.labels is None else None)
        model = kerastl.runs.calibrated(best.model, data.validation, wanted=config.calibrate)
        integer = ["static_int8"] if config.integer else []
        techniques, some = ["float32", "float16", "dynamic_int8", *integer], data.train.take(500).inputs
        candidates = kerastl.runs.post_training(model, data.task, techniques=techniques, calibration=some)
        candidates += best.left_behind(data.task)
        curves = [stage.curves for stage in trained.values()]
        return kerastl.runs.publish(run, data, model=model, candidates=candidates, curves=curves, accept=config.accept)


def load(config: Config) -> Dataset:
    """The pictures at the backbone's size."""
    return kerastl.data.loading.pictures(
        config.data, size=(config.image_size, config.image_size), reading=config.reading, seed=config.seed
    )


def draw_labels(config: Config, data: Dataset) -> Dataset:
    """The data set with so many training pictures of each class and no others; validation and test stay whole."""
    return data.drawn(kerastl.data.splits.per_class(data.train.labels, count=config.labels, seed=config.seed))


def weights(config: Config, data: Dataset) -> dict[int, float] | None:
    """How much each class counts in the loss, ``None`` where all count as they come."""
    return kerastl.training.class_weights(data.train.labels, data.task.target) if config.balanced else None


def built(config: Config, data: Dataset):
    """The backbone with its weights and a new head, or the model of the run that this one goes on with."""
    kerastl.training.set_seed(config.seed)
    pretrained = kerastl.models.pretrained
    backbone = pretrained.load(config.backbone, image_size=config.image_size)
    model = pretrained.backbone.with_head(backbone, data.task, dropout=config.dropout)
    return kerastl.runs.starting.begun(model, config.start_from, data.task)


def cache_features(config: Config, data: Dataset, plan, at: Workspace):
    """Features of every training picture and of its views, and of validation pictures to choose by: computed once."""
    transfer, body = kerastl.training.transfer, kerastl.training.transfer.feature_extractor(built(config, data))
    batches = functools.partial(kerastl.data.pipeline.batches, batch_size=64)
    kind = kerastl.inputs.numbers.Numbers(body.output_shape[1:])
    features = functools.partial(transfer.extract_features, body, workspace=at, features_kind=kind)
    changed = features(
        batches(data.train, augment=config.augmentation.build(config.seed)), views=plan.views, name="views"
    )
    train = transfer.concatenate(features(batches(data.train)), changed)
    return (train, features(batches(data.validation), name="validation")) if config.labels is None else (train,)


def train_probe(config: Config, data: Dataset, plan, features, at: Workspace):
    """The backbone as it came, with a head that has learnt from its features."""
    train, *validation = features
    return kerastl.training.lp_ft.linear_probe(
        built(config, data),
        train,
        schedule=plan.probe,
        seed=config.seed,
        dropout=config.dropout,
        validation=validation[0] if validation else None,
        workspace=at,
        class_weight=weights(config, data),
        keep_head=bool(config.start_from),
    )


def fine_tune(config: Config, data: Dataset, plan, probe, at: Workspace):
    """Everything learns, the early layers least; the statistics of the backbone stay as they came."""
    model = built(config, data)
    model.set_weights(probe.get_weights())  # a copy: the report shows the probe as it was
    batches = kerastl.data.pipeline.batches(
        data.train,
        batch_size=plan.fine_tune.batch_size,
        shuffle=True,
        augment=config.augmentation.build(config.seed + 1),
        seed=config.seed,
    )
    return kerastl.training.lp_ft.fine_tune(
        model,
        batches,
        schedule=plan.fine_tune,
        groups=[[layer.name for layer in group.layers] for group in kerastl.models.pretrained.backbone.groups(model)],
        layer_decay=plan.layer_decay,
        validation=data.validation if config.labels is None else None,
        workspace=at,
        class_weight=weights(config, data),
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
