"""Ten labelled pictures a class to a verified file for the phone: many views of each, a probe, then gentle fine-tuning.

The frozen backbone looks once at every picture and at seven random views of it, and a head learns from these features;
then everything learns, the early layers least (LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054). With so few
labels there are none to choose by: epochs and rates are planned from the number of pictures, the last epoch is kept,
and validation pictures only compare the exported files with the model. The report shows the probe beside the result.

Minutes: 15
Data: groceries, or your folder
Command: kerastl run image_few_labels --data FOLDER --labels 10
Expect: 0.75 (0.72 to 0.78) on 661 test pictures of 14 kinds of fruit, learnt from 140, in 3.6 MB; the probe has 0.73
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.types import Dataset, Workspace


@dataclasses.dataclass(frozen=True)
class Views:
    """How training pictures are changed at random; see `kerastl.inputs.augmentation.image_augmentation`."""

    rotation: float = 0.04
    """Turns to either side: 14 degrees."""
    translation: float = 0.1
    """Share of height and width."""
    zoom: float = 0.2
    """Share of the scale."""
    horizontal_flip: bool = True
    """Off where left and right mean something: --views.no-horizontal-flip."""
    brightness: float = 0.15
    """Share of the range, to either side."""
    contrast: float = 0.2
    """Share of the distance from the mean, to either side."""
    fill: str = "reflect"
    """What stands outside a moved picture."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run image_few_labels`."""

    data: str | None = None
    """Folder with a folder a class, or with train, validation and test folders; a table, an archive, a parquet file or
    a folder of them. The groceries where there is none."""
    path_column: str = "path"
    """A table's column of pictures."""
    label_column: str = "label"
    """A table's or a parquet file's column of classes."""
    split_column: str = "split"
    """Their column of train, validation and test, which is respected; it may be absent."""
    policy: str = "fail"
    """Pictures that cannot be read: "fail" lists them and stops, "skip" leaves them out."""
    labels: int = 10
    """Pictures of each class to learn from, drawn from train by the seed; all there are of a class with fewer. The rest
    of train is not looked at."""
    backbone: str = "efficientnet_lite0"
    """A foundation model, see `kerastl.models.pretrained.load`; "mobilenet_v2" is a third smaller and less accurate."""
    image_size: int = 224
    """Side of the square pictures that the backbone gets, in pixels."""
    validation: float = 0.1
    """Share of the pictures held out of train. They choose between files of the same model, and nothing before."""
    limit: int | None = None
    """Keeps only so many training pictures to draw from, and the other splits in proportion."""
    seed: int = 0
    """Of weights, order, views, split, and of which pictures are learnt from: another seed, another score."""
    views: Views = Views()
    """Usual for photographs; not tuned."""
    epochs: int | None = None
    """Of fine-tuning; by default planned from the number of pictures. 0 trains the head alone."""
    batch_size: int = 32
    """Pictures a step."""
    dropout: float = 0.3
    """Share of the features dropped before the head."""
    integer: bool = True
    """Whether a file of integers throughout is made as well; see `image_classifier`."""
    budget: float = 0.02
    """Validation accuracy that the chosen file may lose against the float model: a picture of the groceries' 73."""
    score_drop: float = 0.02
    """Accuracy that an int8 file may lose against its own float model: the same."""
    agreement: float = 0.95
    """Least share of pictures on which an int8 file answers like its float model."""
    clipped: float = 0.02
    """Share of a layer's numbers that may lie outside the range found by calibration: few pictures say less of it."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        small = cls(image_size=96, limit=56, labels=3, epochs=1, batch_size=8)
        return dataclasses.replace(small, budget=1.0, score_drop=0.2, agreement=0.7, clipped=0.1)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, draw the labelled pictures, plan, probe, fine-tune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="image_few_labels", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        data = labelled(config, data)
        plan = kerastl.training.transfer.plan(
            examples=len(data.train), classes=data.task.num_classes, batch_size=config.batch_size, epochs=config.epochs
        )
        print(plan.why)
        backbone = kerastl.models.pretrained.names.contents(config.backbone)
        basis = [config.seed, config.labels, config.views, backbone, data.digest]

        features = run.stage(
            "features",
            lambda at: cached(config, data, plan, at),
            key=[basis, plan.views],
            save=kerastl.training.transfer.save,
            load=kerastl.training.transfer.load,
        )
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        probe = run.stage(
            "probe",
            lambda at: probed(config, data, plan, features, at),
            key=[plan.probe, config.dropout, run.stage_key("features")],
            **models,
        )
        trained = [probe]
        if plan.fine_tune:
            tuned = run.stage(
                "fine_tuned",
                lambda at: fine_tuned(config, data, plan, probe.model, at),
                key=[plan.fine_tune, plan.decay, run.stage_key("probe")],
                **models,
            )
            trained.append(tuned)
        model, ptq = trained[-1].model, kerastl.compress.ptq
        float32 = kerastl.export.tflite.convert(model)
        candidate = functools.partial(kerastl.runs.Candidate, model=model)
        candidates = [
            candidate("float32", "float32", float32),
            candidate("float16", "float16", ptq.float16(float32)),
            candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
        ]
        if config.integer:
            integer = ptq.static_int8(float32, calibration=data.train.inputs[:500])
            candidates.append(candidate("static_int8", "static_int8", integer))
        if plan.fine_tune:
            before = kerastl.export.tflite.convert(probe.model)
            candidates.append(candidate("probe_float32", "float32", before, model=probe.model, eligible=False))
        return kerastl.runs.publish(
            run,
            data,
            model=model,
            candidates=candidates,
            curves=[stage.curves for stage in trained],
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
            max_saturation=config.clipped,
        )


def load(config: Config) -> Dataset:
    """The pictures at the backbone's size."""
    settings = {
        "size": (config.image_size, config.image_size),
        "seed": config.seed,
        "validation": config.validation,
        "limit": config.limit,
    }
    if config.data is None:
        return kerastl.data.groceries.load(**settings)
    settings |= {"policy": config.policy, "label_column": config.label_column, "split_column": config.split_column}
    if kerastl.data.parquet_table.is_set(Path(config.data)):
        return kerastl.data.arrays.load(config.data, **settings)
    return kerastl.data.image_folder.load(config.data, path_column=config.path_column, **settings)


def labelled(config: Config, data: Dataset) -> Dataset:
    """The data set with so many training pictures of each class and no others; validation and test stay whole.

    Its digest stays that of all the pictures, from which it can be drawn again.
    """
    rows = kerastl.data.splits.per_class(data.train.labels, count=config.labels, seed=config.seed)
    return dataclasses.replace(data, train=data.train.subset(rows))


def built(config: Config, data: Dataset):
    """The backbone with its weights and a new head."""
    kerastl.training.set_seed(config.seed)
    pretrained = kerastl.models.pretrained
    backbone = pretrained.load(config.backbone, image_size=config.image_size)
    return pretrained.backbone.with_head(backbone, data.task, dropout=config.dropout)


def cached(config: Config, data: Dataset, plan, workspace: Workspace):
    """Features of every labelled picture and of its views, computed once."""
    transfer, batches = kerastl.training.transfer, kerastl.data.pipeline.batches
    body = transfer.feature_extractor(built(config, data))
    changed = batches(
        data.train,
        batch_size=64,
        augment=kerastl.inputs.augmentation.image_augmentation(**vars(config.views), seed=config.seed),
    )
    features = functools.partial(transfer.extract_features, body, workspace=workspace)
    plain = features(batches(data.train, batch_size=64))
    return (transfer.concatenate(plain, features(changed, views=plan.views, name="views")),)


def probed(config: Config, data: Dataset, plan, features, workspace: Workspace):
    """The backbone as it came, with a head that has learnt from its features."""
    (train,) = features
    model = built(config, data)
    head = kerastl.training.transfer.head(data.task, train.inputs.shape[1], dropout=config.dropout)
    curves = kerastl.training.fit(
        head,
        kerastl.data.pipeline.batches(train, batch_size=plan.probe.batch_size, shuffle=True, seed=config.seed),
        schedule=plan.probe,
        workspace=workspace,
        keep="last",
    )
    kerastl.training.transfer.set_head_weights(model, head)
    return kerastl.training.Trained(model, curves)


def fine_tuned(config: Config, data: Dataset, plan, probe, workspace: Workspace):
    """Everything learns, the early layers least; the statistics of the backbone stay as they came."""
    transfer, model = kerastl.training.transfer, built(config, data)
    model.set_weights(probe.get_weights())  # a copy: the report shows the probe as it was
    transfer.freeze_batch_norm(model)
    groups = [[layer.name for layer in group.layers] for group in kerastl.models.pretrained.backbone.groups(model)]
    curves = kerastl.training.fit(
        model,
        kerastl.data.pipeline.batches(
            data.train,
            batch_size=plan.fine_tune.batch_size,
            shuffle=True,
            augment=kerastl.inputs.augmentation.image_augmentation(**vars(config.views), seed=config.seed + 1),
            seed=config.seed,
        ),
        schedule=plan.fine_tune,
        optimizer=functools.partial(transfer.LayerwiseAdamW, rates=transfer.layer_rates(groups, decay=plan.decay)),
        workspace=workspace,
        keep="last",
    )
    return kerastl.training.Trained(model, curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
