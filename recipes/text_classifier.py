"""MiniLM fine-tuned on sentences, movie reviews or a CSV of one's own: a verified file of 23 MB that reads token ids.

All six layers learn at a low rate behind a warm-up (Devlin et al. 2019, appendix A.3); the epoch that is best on
validation is kept, and a linear probe of the same encoder stands beside it. Weights and vocabulary are of uncased
English; for another language give `--encoder small --schedule.peak-learning-rate 1e-3 --schedule.epochs 10`, which
trains from nothing with a vocabulary of the texts' own.
Labels that are numbers are estimated with `--task regression`.
A class needs three different texts, or nothing can be measured; `--evaluate-on-train` tries a toy set of two sentences.

Minutes: 100
Data: movie_reviews
Command: kerastl run text_classifier --data FILE.csv --text-column text --label-column label
Expect: 0.903 (0.891 to 0.914) on 2,490 test reviews, in 23.6 MB with int8 weights; measured in bfloat16, an hour
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, Literal

import kerastl
from kerastl.data.reading import TextReading
from kerastl.models.pretrained.encoders import Encoder
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, EncoderTokens, Seed

PROBE = Schedule(epochs=30, batch_size=64, peak_learning_rate=3e-3, weight_decay=1e-2)
"""Of the linear probe: as that of pictures, see `kerastl.training.transfer.plan`."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_classifier`."""

    data: str = ""
    """A .csv, .tsv or .jsonl file of sentences; by default 25,000 movie reviews are fetched."""
    reading: TextReading = TextReading()
    """How it is read and divided: columns, several classes a text, splits, rows that cannot be used."""
    sequence_length: EncoderTokens = 256
    """Tokens that are read of a text, 512 at most; time grows with it. Half of the reviews are longer than 200."""
    encoder: Encoder = "minilm_l6"
    """Pretrained "minilm_l6"; an uncased model of BERT's kind: a keras-hub preset, "bert_tiny_en_uncased" say, its
    folder, or a folder of the Hugging Face hub; or "small", trained from nothing, for other languages."""
    pooling: Literal["mean", "cls"] = "mean"
    """What the head sees: the "mean" of all tokens, as MiniLM was trained, or its "cls" token."""
    lora_rank: Count | None = None
    """Of the matrices beside queries and values that learn alone (LoRA, Hu et al. 2022), with the head; by default
    everything learns. They want a higher rate: --schedule.peak-learning-rate 1e-3."""
    probe: CountOrNone = 2000
    """Training texts from whose features a linear probe learns beside it, five minutes; the better one on validation is
    taken. 0 leaves the probe out; so do "small", which knows nothing yet, and "cls"."""
    seed: Seed = 0
    """Of head, dropout, order and split."""
    balanced: bool = False
    """Rare classes count as much in the loss as frequent ones, see `kerastl.training.class_weights`."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What training computes in: "mixed_bfloat16" is 1.6 times as fast where `kerastl doctor` finds units for it. The
    files come from the same weights in float32."""
    schedule: Schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-5, weight_decay=0.01)
    """BERT's own range: 2 to 4 epochs, 32 a batch, 2e-5 to 5e-5 (Devlin et al. 2019). Not tuned: validation went from
    0.892 after the first epoch to 0.903."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, half a point of an int8 file as well."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: a minute on a small machine, no score worth reading."""
        schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=1e-3)
        accept = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8)
        some = TextReading(max_train_examples=300)
        return cls(reading=some, sequence_length=32, encoder="small", schedule=schedule, accept=accept)


def load(config: Config) -> Dataset:
    """The file that was named, or movie reviews; token ids of the vocabulary that the encoder reads."""
    length, vocabulary = config.sequence_length, kerastl.models.pretrained.encoders.vocabulary(config.encoder)
    return kerastl.data.loading.texts(
        config.data, sequence_length=length, vocabulary=vocabulary, reading=config.reading, seed=config.seed
    )


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, fine-tune, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_classifier", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        weights = kerastl.training.class_weights(data.train.labels, data.task.target) if config.balanced else None
        encoder = kerastl.models.pretrained.names.contents(config.encoder)
        adapted, trained = [encoder, config.pooling, config.lora_rank, config.precision], {}
        if config.probe and config.encoder != "small" and config.pooling == "mean":
            probe = functools.partial(train_probe, config, data, weights)
            key = [config.seed, encoder, config.precision, config.probe, weights, data.digest]
            trained["linear_probe"] = run.stage("linear_probe", probe, key=key)
        trained["fine_tuned"] = run.stage(
            "classifier",
            lambda at: kerastl.training.train(
                lambda: build(config, data),
                data.train,
                schedule=config.schedule,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
                class_weight=weights,
            ),
            key=[config.seed, adapted, config.schedule, weights, data.digest],
        )
        models = {name: kerastl.training.precision.as_float32(one.model) for name, one in trained.items()}
        best = kerastl.runs.best_on_validation(models, data.validation)
        curves = [one.curves for one in trained.values()]
        made = kerastl.runs.post_training(best.model, data.task, techniques=("float32", "float16", "dynamic_int8"))
        made += best.left_behind(data.task)
        return kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=curves)


def train_probe(config: Config, data: Dataset, weights, at: Workspace):
    """The encoder as it came, with a head that has learnt from its features of some of the texts."""
    kerastl.training.set_seed(config.seed)
    model = build(dataclasses.replace(config, lora_rank=None), data)
    transfer, batches = kerastl.training.transfer, functools.partial(kerastl.data.pipeline.batches, batch_size=50)
    body = transfer.feature_extractor(model)
    features = functools.partial(
        transfer.extract_features, body, features_kind=kerastl.inputs.numbers.Numbers(body.output_shape[1:])
    )
    return kerastl.training.lp_ft.linear_probe(
        model,
        features(batches(data.train.take(config.probe))),
        schedule=PROBE,
        seed=config.seed,
        validation=features(batches(data.validation), name="validation"),
        workspace=at,
        class_weight=weights,
    )


def build(config: Config, data: Dataset):
    """The encoder with its weights and a new head, or with low-rank matrices that learn in its place."""
    with kerastl.training.precision.dtype_policy(config.precision):
        model = kerastl.models.pretrained.encoders.load(config.encoder, data.task, pooling=config.pooling)
    if config.lora_rank is not None:
        kerastl.training.transfer.add_lora(model, rank=config.lora_rank)
    return model


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
