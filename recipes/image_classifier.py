"""Your own pictures to a verified file for the phone: a pretrained backbone, probed first, then fine-tuned.

A folder with a folder a class goes in. The frozen backbone's features are computed once and a head learns from them;
then everything learns, gently, from randomly changed pictures (LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
How long and how far is planned from the number of pictures. Without a folder: 14 kinds of fruit in a shop.

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
    """Settings of the run; every field is a flag of `kerastl run image_classifier`."""

    data: str | None = None
    """Folder with a folder a class, or with train, validation and test folders; a table, an archive, a parquet file or
    a folder of them. The groceries where there is none."""
    path_column: str = "path"
    """A table's column of pictures."""
    label_column: str = "label"
    """A table's or a parquet file's column of classes."""
    split_column: str = "split"
    """Their column of train, validation and test, which is respected; it may be absent."""
    label_separator: str | None = None
    """Stands between the classes of a picture, "|" say, in a table of pictures that may have none, one or several."""
    label_columns: tuple[str, ...] = ()
    """Instead, the names of a table's or a parquet file's columns of 0 and 1, one a class. A parquet file's label may
    also be a list."""
    policy: str = "fail"
    """Pictures that cannot be read: "fail" lists them and stops, "skip" leaves them out."""
    backbone: str = "efficientnet_lite0"
    """A foundation model, see `kerastl.models.pretrained.load`; "mobilenet_v2" is a third smaller and less accurate.
    "preset:vit_base_patch16_224_imagenet" is a vision transformer; it wants pictures of whole patches."""
    image_size: int = 224
    """Side of the square pictures that the backbone gets, in pixels."""
    validation: float = 0.1
    """Share of the pictures held out of train; every choice is made on them."""
    limit: int | None = None
    """Keeps only so many training pictures."""
    balanced: bool = False
    """Rare classes count as much in the loss as frequent ones, see `kerastl.training.class_weights`."""
    seed: int = 0
    """Of weights, order, views and split."""
    views: Views = Views()
    """Usual for photographs; not tuned."""
    epochs: int | None = None
    """Of fine-tuning; by default planned from the number of pictures. 0 trains the head alone."""
    learning_rate: float | None = None
    """Of fine-tuning, at its peak and for the head; by default the plan's."""
    batch_size: int = 32
    """Pictures a step."""
    dropout: float = 0.3
    """Share of the features dropped before the head."""
    integer: bool = True
    """Whether a file of integers throughout is made as well. A large transformer's numbers may lie too far apart for 8
    bits, and the proof stops the run; --no-integer leaves this file out."""
    prefer: str = "smallest"
    """What the phone gets among the files within the budget: "smallest" or "fastest"."""
    budget: float = 0.01
    """Validation accuracy that the chosen file may lose against the float model: a point."""
    score_drop: float = 0.01
    """Accuracy that an int8 file may lose against its own float model: a point."""
    agreement: float = 0.95
    """Least share of pictures on which an int8 file answers like its float model."""
    clipped: float = 0.01
    """Share of a layer's numbers that may lie outside the range found by calibration on the training pictures."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        return cls(
            image_size=96, limit=56, epochs=1, batch_size=8, budget=1.0, score_drop=0.2, agreement=0.7, clipped=0.1
        )


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, plan, probe, fine-tune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="image_classifier", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        plan = planned(config, data)
        print(plan.why)
        backbone = kerastl.models.pretrained.names.contents(config.backbone)
        basis = [config.seed, config.views, backbone, data.digest]

        features = run.stage(
            "features",
            lambda at: cached(config, data, plan, at),
            key=[basis, plan.views],
            save=kerastl.training.transfer.save,
            load=functools.partial(
                kerastl.training.transfer.load, task=data.task, inputs_of=kerastl.inputs.numbers.Numbers
            ),
        )
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        probe = run.stage(
            "probe",
            lambda at: probed(config, data, plan, features, at),
            key=[plan.probe, config.dropout, config.balanced, run.stage_key("features")],
            **models,
        )
        trained = [probe]
        if plan.fine_tune:
            tuned = run.stage(
                "fine_tuned",
                lambda at: fine_tuned(config, data, plan, probe.model, at),
                key=[
                    basis,
                    plan.fine_tune,
                    plan.decay,
                    run.stage_key("probe"),
                ],  # whose key knows whether it is balanced
                **models,
            )
            trained.append(tuned)
        model, ptq = trained[-1].model, kerastl.compress.ptq
        float32 = kerastl.export.tflite.convert(model, data.task)
        contents = {"float32": float32, "float16": ptq.float16(float32), "dynamic_int8": ptq.dynamic_int8(float32)}
        if config.integer:
            contents["static_int8"] = ptq.static_int8(float32, calibration=data.train.take(500).inputs)
        return kerastl.runs.publish(
            run,
            data,
            model=model,
            candidates=[kerastl.runs.Candidate(name, name, content, model) for name, content in contents.items()],
            curves=[stage.curves for stage in trained],
            accept=kerastl.runs.Acceptance(
                prefer=config.prefer,
                max_score_drop=config.budget,
                max_quantization_drop=config.score_drop,
                min_agreement=config.agreement,
                max_saturation=config.clipped,
            ),
        )


def load(config: Config) -> Dataset:
    """The pictures at the backbone's size."""
    table = str(config.data).endswith((".csv", ".tsv", ".txt"))
    parquet = config.data is not None and kerastl.data.parquet_table.is_set(Path(config.data))
    if (config.label_separator and not table) or (config.label_columns and not (table or parquet)):
        raise ValueError(f"Pictures of several classes are listed in a table. Received: --data {config.data}.")
    settings = {
        "size": (config.image_size, config.image_size),
        "seed": config.seed,
        "validation": config.validation,
        "limit": config.limit,
    }
    if config.data is None:
        return kerastl.data.groceries.load(**settings)
    settings |= {"policy": config.policy, "label_columns": config.label_columns}
    settings |= {"label_column": config.label_column, "split_column": config.split_column}
    if parquet:
        return kerastl.data.arrays.load(config.data, **settings)
    return kerastl.data.image_folder.load(
        config.data, path_column=config.path_column, label_separator=config.label_separator, **settings
    )


def planned(config: Config, data: Dataset) -> kerastl.training.transfer.Plan:
    """The plan for so many pictures, with what the settings say otherwise."""
    strata = data.task.target.strata(data.train.labels)
    plan = kerastl.training.transfer.plan(
        examples=len(data.train),
        classes=data.task.target.outputs,
        batch_size=config.batch_size,
        epochs=config.epochs,
        each=float(strata.sum(0).mean()) if strata.ndim == 2 else None,  # of which a picture may have several
    )
    if plan.fine_tune and config.learning_rate:
        tuned = dataclasses.replace(plan.fine_tune, peak_learning_rate=config.learning_rate)
        plan = dataclasses.replace(plan, fine_tune=tuned)
    return plan


def weights(config: Config, data: Dataset) -> dict[int, float] | None:
    """How much each class counts in the loss, ``None`` where all count as they come."""
    return kerastl.training.class_weights(data.train.labels, data.task.target) if config.balanced else None


def built(config: Config, data: Dataset):
    """The backbone with its weights and a new head."""
    kerastl.training.set_seed(config.seed)
    pretrained = kerastl.models.pretrained
    backbone = pretrained.load(config.backbone, image_size=config.image_size)
    return pretrained.backbone.with_head(backbone, data.task, dropout=config.dropout)


def cached(config: Config, data: Dataset, plan, workspace: Workspace):
    """Features of every training picture and of its views, and of every validation picture: computed once."""
    transfer = kerastl.training.transfer
    body = transfer.feature_extractor(built(config, data))
    batches = functools.partial(kerastl.data.pipeline.batches, batch_size=64)
    changed = batches(
        data.train, augment=kerastl.inputs.augmentation.image_augmentation(**vars(config.views), seed=config.seed)
    )
    features = functools.partial(
        transfer.extract_features,
        body,
        workspace=workspace,
        features_kind=kerastl.inputs.numbers.Numbers(body.output_shape[1:]),
    )
    train = transfer.concatenate(features(batches(data.train)), features(changed, views=plan.views, name="views"))
    return train, features(batches(data.validation), name="validation")


def probed(config: Config, data: Dataset, plan, features, workspace: Workspace):
    """The backbone as it came, with a head that has learnt from its features."""
    train, validation = features
    batches = kerastl.data.pipeline.batches
    model = built(config, data)
    head = kerastl.training.transfer.head(data.task, train.inputs.shape[1], dropout=config.dropout)
    curves = kerastl.training.fit(
        head,
        batches(train, batch_size=plan.probe.batch_size, shuffle=True, seed=config.seed),
        schedule=plan.probe,
        workspace=workspace,
        validation=batches(validation, batch_size=500),
        class_weight=weights(config, data),
    )
    kerastl.training.transfer.set_head_weights(model, head)
    return kerastl.training.Trained(model, curves)


def fine_tuned(config: Config, data: Dataset, plan, model, workspace: Workspace):
    """Everything learns, the early layers least; the statistics of the backbone stay as they came."""
    batches, transfer = kerastl.data.pipeline.batches, kerastl.training.transfer
    kerastl.training.set_seed(config.seed)
    transfer.freeze_batch_norm(model)
    groups = [[layer.name for layer in group.layers] for group in kerastl.models.pretrained.backbone.groups(model)]
    curves = kerastl.training.fit(
        model,
        batches(
            data.train,
            batch_size=plan.fine_tune.batch_size,
            shuffle=True,
            augment=kerastl.inputs.augmentation.image_augmentation(**vars(config.views), seed=config.seed + 1),
            seed=config.seed,
        ),
        schedule=plan.fine_tune,
        optimizer=functools.partial(transfer.LayerwiseAdamW, rates=transfer.layer_rates(groups, decay=plan.decay)),
        workspace=workspace,
        validation=batches(data.validation, batch_size=64),
        # Validation pictures of the same shootings are soon all right, and the first such epoch is far from the best:
        # on shootings that were held out whole, accuracy rose to the end of the schedule.
        keep="last",
        class_weight=weights(config, data),
    )
    return kerastl.training.Trained(model, curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
