"""A text classifier of less than a megabyte: a convolution over words, distilled from a fine-tuned MiniLM.

The teacher reads BERT's pieces of words, its student the most frequent words of the training texts: these are loaded
with either vocabulary, and the teacher's logits for them are computed once. A word or two decide most texts, so words,
their neighbourhoods, maximum and mean go far (Kim 2014, https://arxiv.org/abs/1408.5882; Hinton, Vinyals & Dean 2015,
https://arxiv.org/abs/1503.02531). The same student is trained without the teacher as well, and the better one on
validation is taken.

The teacher is adapted as in `text_classifier`, which takes an hour or two of long texts: a finished run of it on the
same texts saves them, all but the half hour in which it answers. One that may have seen the student's test texts is
refused.

Minutes: 45
Data: movie_reviews
Command: kerastl run text_mobile --teacher saved_models/text_classifier/default
Expect: 0.903 (0.891 to 0.914) in a file of 892,000 bytes, as the teacher of 23.6 MB has, and as without the teacher
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.data.reading import TextReading
from kerastl.models.pretrained.encoders import Encoder
from kerastl.runs import Acceptance, FineTuning
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
    teacher_length: EncoderTokens | None = None
    """Tokens that it reads of a text, 512 at most: it takes twice as long for twice as many. By default as in
    `text_classifier`: as many as nearly all texts have, 256 at most."""
    fine_tune: FineTuning = FineTuning()
    """How it is fine-tuned, as in `text_classifier`: planned from texts and classes, behind a linear probe."""
    balanced: bool = False
    """Rare classes count as much in the loss as frequent ones, of teacher and student alike."""
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
        tune = FineTuning(epochs=2)
        return cls(reading=some, encoder="small", **sizes, fine_tune=tune, student=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load twice, take or train a teacher, cache its logits, distil, train without it, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_mobile", tag=folder.name, config=config) as run:
        words: dict[str, Any] = {"vocabulary": None, "vocabulary_size": config.vocabulary_size}
        data = load(config, sequence_length=config.sequence_length, **words)
        run.use_dataset(data)
        texts = load_for_teacher(config, data)
        teacher, made_in, learnt = find_teacher(config, texts, run)
        splits = run.stage(
            "teacher_logits",
            lambda at: cache_teacher_logits(teacher, texts, at),
            key=[made_in, texts.digest],
        )
        logits = {split.name: split.inputs for split in splits}
        basis = [config.seed, config.kernel_size, config.word_dropout, config.student, config.balanced, data.digest]
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
        curves = [stage.curves for stage in (*learnt, student, *alone)]
        control = kerastl.runs.Baseline(
            logits, distilled=[student], trained_alone=alone, seeds=[config.seed], steps=steps
        )
        notes = kerastl.runs.sentences.notes([best.taken.curves], task=data.task, flag="--student.epochs")
        return kerastl.runs.publish(
            run, data, model=best.model, candidates=made, curves=curves, control=control, notes=notes
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


def find_teacher(config: Config, texts: Dataset, run: kerastl.runs.Run):
    """The teacher, the key of the stage that it came out of, and what was trained for it: that of the finished run, or
    an encoder adapted here as `text_classifier` does.
    """
    if config.teacher:
        found = run.stage(
            "teacher",
            lambda at: kerastl.runs.teachers.load_model(config.teacher, task=texts.task, stage=at.stage),
            key=[texts.digest, Path(config.teacher, "model.keras")],
        )
        return found.model, run.stage_key("teacher"), [found]
    sentences, pretrained = kerastl.runs.sentences, kerastl.models.pretrained
    trained = sentences.adapted(
        run,
        texts,
        functools.partial(pretrained.encoders.load, config.encoder, texts.task),
        plan=sentences.plan(texts, encoder=config.encoder, settings=config.fine_tune),
        key=[pretrained.names.contents(config.encoder)],
        seed=config.seed,
        class_weight=weights(config, texts),
        prefix="teacher_",
    )
    best = kerastl.runs.best_on_validation(trained, texts.validation)
    return best.model, run.stage_key(f"teacher_{best.name}"), list(trained.values())


def weights(config: Config, data: Dataset) -> dict[int, float] | None:
    """How much each class counts in the loss, ``None`` where all count as they come."""
    return kerastl.training.class_weights(data.train.labels, data.task.target) if config.balanced else None


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
    options["class_weight"] = weights(config, data)
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
