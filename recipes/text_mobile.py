"""A text classifier of less than a megabyte: a convolution over words, distilled from a fine-tuned MiniLM.

The teacher reads BERT's pieces of words, its student the most frequent words of the training texts: these are loaded
with either vocabulary, and the teacher's logits for them are computed once. A word or two decide most texts, so words,
their neighbourhoods, maximum and mean go far (Kim 2014, https://arxiv.org/abs/1408.5882; Hinton, Vinyals & Dean 2015,
https://arxiv.org/abs/1503.02531). The same student is trained without the teacher as well, and the better one on
validation is taken.

Fine-tuning the teacher takes an hour or two: a finished run of `text_classifier` on the same texts saves them, all but
the half hour in which it answers. One that may have seen the student's test texts is refused.

Minutes: 45
Data: movie_reviews
Command: kerastl run text_mobile --teacher saved_models/text_classifier/default
Expect: 0.903 (0.891 to 0.914) in a file of 892,000 bytes, as the teacher of 23.6 MB has, and as without the teacher
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.data.reading import TextReading
from kerastl.models.pretrained.encoders import Encoder
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, EncoderTokens, Part, Place, Positive, Seed, Share, Tokens


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_mobile`."""

    data: str = ""
    """A .csv, .tsv or .jsonl file of sentences; by default 25,000 movie reviews are fetched."""
    reading: TextReading = TextReading()
    """How it is read and divided: columns, splits, rows that cannot be used. A text has one class."""
    seed: Seed = 0
    """Of weights, dropout, order and split; a finished teacher has to have the same."""
    teacher: Place = ""
    """Folder of a finished run of `text_classifier` on the same split; by default one is trained here, as there."""
    encoder: Encoder = "minilm_l6"
    """Of the teacher that is trained here, as in `text_classifier`: "minilm_l6", a preset, a folder, or "small"."""
    teacher_length: EncoderTokens = 256
    """Tokens that it reads of a text, 512 at most: it takes twice as long for twice as many."""
    fine_tune: Schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-5, weight_decay=0.01)
    """Its schedule, that of `text_classifier`."""
    sequence_length: Tokens = 512
    """Tokens that the student reads: a short run without a teacher came to 0.900 on validation, with 256 to 0.876."""
    vocabulary_size: Count = 10_000
    """Words, and letters to spell the others, that the student knows: nine tenths of its bytes, 0.89 MB with int8."""
    kernel_size: Count = 8
    """Words that a pattern of the student spans: with 5 it learnt as well, with 3 a point worse; one seed each."""
    word_dropout: Part = 0.4
    """Share of the words that it does not see in training: without, it was at its best after two epochs of four."""
    student: Schedule = Schedule(epochs=10, batch_size=64, peak_learning_rate=2e-3, weight_decay=1e-2)
    """Patience pays (Beyer et al. 2022, figure 3); at 1e-3 it was a point behind. The control gets the same."""
    control: bool = True
    """Whether the same student is trained without a teacher as well, for as long; `--no-control` saves its time."""
    temperature: Positive = 2.0
    """Softens the teacher's answers, as in `distil_logits`."""
    teacher_weight: Share = 0.7
    """Share of the teacher in the loss; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, half a point of an int8 file as well."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=1e-3)
        sizes: dict[str, Any] = {"teacher_length": 32, "sequence_length": 48, "vocabulary_size": 1000}
        accept = Acceptance(max_score_drop=0.2, max_quantization_drop=0.2, min_agreement=0.8)
        some = TextReading(max_train_examples=300)
        return cls(reading=some, encoder="small", **sizes, fine_tune=tiny, student=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load twice, take or train a teacher, cache its logits, distil, train without it, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_mobile", tag=folder.name, config=config) as run:
        words: dict[str, Any] = {"vocabulary": None, "vocabulary_size": config.vocabulary_size}
        data = load(config, sequence_length=config.sequence_length, **words)
        run.use_dataset(data)
        texts = load_for_teacher(config, data)
        encoder = kerastl.models.pretrained.names.contents(config.encoder)
        finished = Path(config.teacher, "model.keras") if config.teacher else None

        teacher = run.stage(
            "teacher",
            lambda at: load_teacher(config, texts, at),
            key=[config.seed, encoder, config.fine_tune, texts.digest, finished],
        )
        splits = run.stage(
            "teacher_logits",
            lambda at: cache_teacher_logits(teacher.model, texts, at),
            key=[run.stage_key("teacher"), texts.digest],
        )
        logits = {split.name: split.inputs for split in splits}
        basis = [config.seed, config.kernel_size, config.word_dropout, config.student, data.digest]
        student = run.stage(
            "student",
            lambda at: train_student(config, data, at, logits=logits["train"]),
            key=[basis, config.temperature, config.teacher_weight, run.stage_key("teacher_logits")],
        )
        alone = []
        if config.control:
            alone = [run.stage("student_without_teacher", lambda at: train_student(config, data, at), key=basis)]
        students = {"student_without_teacher": alone, "student": student}
        best = kerastl.runs.best_on_validation(students, data.validation)
        steps = config.student.steps(len(data.train), drop_remainder=False)
        made = kerastl.runs.post_training(best.model, data.task, techniques=("float32", "float16", "dynamic_int8"))
        made += best.left_behind(data.task)
        curves = [stage.curves for stage in (teacher, student, *alone)]
        control = kerastl.runs.Baseline(
            logits, distilled=[student], trained_alone=alone, seeds=[config.seed], steps=steps
        )
        return kerastl.runs.publish(
            run, data, model=best.model, candidates=made, curves=curves, accept=config.accept, control=control
        )


def load(config: Config, **words: Any) -> Dataset:
    """The file that was named, or movie reviews; `words` says how texts become ids, and moves none of them."""
    options: dict[str, Any] = {"reading": config.reading, "single_label": True, "seed": config.seed}
    return kerastl.data.loading.texts(config.data, **options, **words)


def load_for_teacher(config: Config, data: Dataset) -> Dataset:
    """The same texts in the same places, as ids of the teacher's vocabulary; a teacher of other ones is refused."""
    if config.teacher:
        return kerastl.runs.teachers.load_data(config.teacher, student=data)
    vocabulary = kerastl.models.pretrained.encoders.vocabulary(config.encoder)
    texts = load(config, sequence_length=config.teacher_length, vocabulary=vocabulary)
    kerastl.runs.teachers.check_same_split(texts, student=data, where="texts that changed meanwhile")
    return texts


def load_teacher(config: Config, texts: Dataset, at: Workspace):
    """The teacher: that of the finished run, or an encoder fine-tuned here as `text_classifier` does."""
    if config.teacher:
        return kerastl.runs.teachers.load_model(config.teacher, task=texts.task, stage=at.stage)
    load, options = kerastl.models.pretrained.encoders.load, {"schedule": config.fine_tune, "seed": config.seed}
    return kerastl.training.train(
        lambda: load(config.encoder, texts.task), texts.train, workspace=at, validation=texts.validation, **options
    )


def cache_teacher_logits(teacher, texts: Dataset, at: Workspace):
    """The teacher's logits for every text, split by split. Those of test are for the report and for nothing else."""
    kind = kerastl.inputs.numbers.Numbers(teacher.output_shape[1:])
    options: dict[str, Any] = {"workspace": at, "features_kind": kind}
    return tuple(
        kerastl.training.transfer.extract_features(
            teacher, kerastl.data.pipeline.batches(split, batch_size=50), name=split.name, **options
        )
        for split in (texts.train, texts.validation, texts.test)
    )


def train_student(config: Config, data: Dataset, at: Workspace, *, logits=None):
    """A student from the labels, and from the teacher's logits where there are any; else all is the same."""
    schedule, settings = config.student, {"kernel_size": config.kernel_size, "word_dropout": config.word_dropout}
    batches = kerastl.data.pipeline.training_batches(
        data.train, schedule=schedule, seed=config.seed, drop_remainder=False, answers=logits
    )
    under = kerastl.distil.distiller.under_logits(None, temperature=config.temperature, weight=config.teacher_weight)
    options: dict[str, Any] = {"validation": data.validation, "under": None if logits is None else under}
    return kerastl.training.train(
        lambda: kerastl.models.text.text_cnn.build(data.task, **settings),
        batches,
        schedule=schedule,
        seed=config.seed + 1,
        workspace=at,
        **options,
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
