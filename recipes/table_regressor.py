"""A table of your own to a verified file for the phone: plain numbers go in, a number in its unit comes out.

Columns of numbers and of categories are standardized inside the file, so that the phone feeds them as they stand in the
table. A multilayer perceptron learns from the rows, and the smallest file that answers like it is chosen. Where the
column to be known holds words, or few different numbers, classes are learned instead. Without a table: how many bikes a
city rents in an hour, from the hour, the season and the weather.

Minutes: 1
Data: bike_rentals, or your table
Command: kerastl run table_regressor --data TABLE.csv --label-columns PRICE --unit EUR
Expect: a mean absolute error of 27 bikes an hour (always answering the mean: 106) in a file of 11,500 bytes
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import kerastl
from kerastl.data.reading import TableReading
from kerastl.runs import Acceptance
from kerastl.types import Schedule, Split, Task, Workspace
from kerastl.types.settings import Count, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run table_regressor`."""

    data: str | None = None
    """A table: .csv, .tsv or JSON lines, with names in the first line. The bike rentals where there is none;
    "adult_census" tells incomes, the usual set to measure fairness on."""
    reading: TableReading = TableReading()
    """What is to be known of it, and what goes in."""
    group_column: str = ""
    """A column of groups to balance training by, sex say; it need not go in."""
    balance: Literal["no", "group", "cell", "reweighted"] = "no"
    """What is learnt from: rows as they are; as many of each "group"; as many of each group with each class ("cell");
    or so that classes are as frequent in every group ("reweighted", Kamiran & Calders 2012)."""
    seed: Seed = 0
    """Decides weights, order and split."""
    widths: tuple[Count, ...] = (64, 64)
    """Hidden layers; two of 64 are usual for some thousand rows (Gorishniy et al. 2021, appendix, MLP)."""
    pretrain: Schedule = Schedule(epochs=0, batch_size=256, peak_learning_rate=1e-3)
    """Of telling numbers that were swapped for those of other rows (Yoon et al. 2020), before a label is looked at;
    0 epochs is not at all."""
    train: Schedule = Schedule(epochs=60, batch_size=64, peak_learning_rate=3e-3, weight_decay=1e-4)
    """A minute on two cores; 30 epochs were 2 bikes worse on validation."""
    calibrate: bool = False
    """Temperature scaling (Guo et al. 2017): the logits are divided, in every file, by the number that makes
    probabilities the shares of validation rows that are right. For classes alone."""
    accept: Acceptance = Acceptance(max_score_drop=0.02, max_quantization_drop=0.02, min_agreement=0.9)
    """In standard deviations of the labels, see `kerastl.tasks.regression`; agreement is within a tenth of one."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        loose = Acceptance(max_score_drop=0.5, max_quantization_drop=0.5, min_agreement=0.5)
        tiny = Schedule(epochs=2, batch_size=64, peak_learning_rate=3e-3)
        return cls(pretrain=Schedule(epochs=1, batch_size=256), train=tiny, accept=loose)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train, quantize, verify, choose, report."""
    with kerastl.runs.Run(folder, recipe="table_regressor", tag=folder.name, config=config) as run:
        data = kerastl.data.loading.tables(config.data, reading=config.reading, seed=config.seed)
        run.use_dataset(data)
        data = kerastl.runs.balanced_by_group(data, column=config.group_column, by=config.balance, seed=config.seed)
        basis = [config.seed, config.widths, config.group_column, config.balance, data.digest]
        make = functools.partial(pretrain, config, data.train)
        begun = run.stage("pretrained", make, key=[*basis, config.pretrain]) if config.pretrain.epochs else None
        trained = run.stage(
            "trained",
            lambda at: kerastl.training.train(
                lambda: build(config, data.task, begun and begun.model),
                data.train,
                schedule=config.train,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
            ),
            key=[*basis, config.train, begun and config.pretrain],
        )
        model = kerastl.runs.calibrated(trained.model, data.validation, wanted=config.calibrate)
        return kerastl.runs.publish(
            run,
            data,
            model=model,
            candidates=kerastl.runs.post_training(
                model, data.task, techniques=("float32", "float16", "weight_only_int8", "dynamic_int8")
            ),
            curves=[*([begun.curves] if begun else []), trained.curves],
            accept=config.accept,
        )


def build(config: Config, task: Task, encoder=None):
    """The perceptron, on the weights of a pretrained one where there is such."""
    model = kerastl.models.multilayer_perceptron.build(task, widths=config.widths)
    if encoder is not None:
        kerastl.training.transfer.feature_extractor(model).set_weights(encoder.get_weights())
    return model


def pretrain(config: Config, rows: Split, at: Workspace):
    """An encoder of rows that has learnt which numbers go together."""
    kerastl.training.set_seed(config.seed)
    encoder = kerastl.training.transfer.feature_extractor(build(config, rows.task))
    scale, offset = rows.task.inputs.scaling()
    model = kerastl.pretraining.masked_features.MaskedFeatures(encoder, scale=scale, offset=offset, seed=config.seed)
    batches = kerastl.data.pipeline.training_batches(rows, schedule=config.pretrain, seed=config.seed)
    curves = kerastl.training.fit(model, batches, schedule=config.pretrain, workspace=at, keep="last")
    return kerastl.training.Trained(encoder, curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
