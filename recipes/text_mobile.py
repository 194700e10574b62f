"""A text classifier of less than a megabyte: a convolution over words, taught by a fine-tuned MiniLM.

The teacher reads BERT's pieces of words, its student the most frequent words of the training texts: these are loaded
with either vocabulary, and the teacher's answers to them are computed once. A word or two decide most texts, so words,
their neighbourhoods, maximum and mean go far (Kim 2014, https://arxiv.org/abs/1408.5882; Hinton, Vinyals & Dean 2015,
https://arxiv.org/abs/1503.02531). The same student is trained alone as well; the report says what the teacher gave.

Fine-tuning the teacher takes an hour or two: a finished run of `text_classifier` on the same texts saves them, all but
the half hour in which it answers. One that may have seen the student's test texts is refused.

Minutes: 45
Data: movie_reviews
Command: kerastl run text_mobile --teacher saved_models/text_classifier/default
Expect: 0.903 (0.891 to 0.914) in a file of 892,000 bytes, as the teacher of 23.6 MB; alone it learnt the test as well
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.types import Dataset, History, Schedule, Workspace

_READING = ("sequence_length", "vocabulary", "vocabulary_size")
"""Arguments of a data set in which teacher and student may differ."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_mobile`."""

    data: str = ""
    """A .csv, .tsv or .jsonl file of sentences; by default 25,000 movie reviews are fetched."""
    text_column: str = "text"
    """Its column of sentences."""
    label_column: str = "label"
    """Its column of labels, text or numbers."""
    split_column: str = "split"
    """Its column of train, validation and test, which is respected; it may be absent."""
    policy: str = "fail"
    """What becomes of rows without text or label: "fail" lists them and stops, "skip" leaves them out."""
    seed: int = 0
    """Of weights, dropout, order and split; a finished teacher has to have the same."""
    validation: float = 0.1
    """Share of the texts held out to choose by."""
    test: float = 0.1
    """Share of the texts held out to measure on."""
    limit: int | None = None
    """Keeps only so many training texts."""
    teacher: str = ""
    """Folder of a finished run of `text_classifier` on the same split; by default one is trained here, as there."""
    encoder: str = "minilm_l6"
    """Of the teacher that is trained here, as in `text_classifier`: "minilm_l6", a preset, a folder, or "small"."""
    teacher_length: int = 256
    """Tokens that it reads of a text, 512 at most: it takes twice as long for twice as many."""
    fine_tune: Schedule = Schedule(epochs=2, batch_size=32, peak_learning_rate=5e-5, weight_decay=0.01)
    """Its schedule, that of `text_classifier`."""
    sequence_length: int = 512
    """Tokens that the student reads: a short run alone came to 0.900 on validation, with 256 to 0.876."""
    vocabulary_size: int = 10_000
    """Words, and letters to spell the others, that the student knows: nine tenths of its bytes, 0.89 MB with int8."""
    kernel_size: int = 8
    """Words that a pattern of the student spans: with 5 it learnt as well, with 3 a point worse; one seed each."""
    word_dropout: float = 0.4
    """Share of the words that it does not see in training: without, it was at its best after two epochs of four."""
    student: Schedule = Schedule(epochs=10, batch_size=64, peak_learning_rate=2e-3, weight_decay=1e-2)
    """Patience pays (Beyer et al. 2022, figure 3); at 1e-3 it was a point behind. The control gets the same."""
    temperature: float = 2.0
    """Softens the teacher's answers, as in `fashion_mobile`."""
    teacher_weight: float = 0.7
    """Share of the teacher in the loss; the labels have the rest."""
    budget: float = 0.005
    """Validation accuracy that the chosen file may lose against the float model: half a point."""
    score_drop: float = 0.005
    """Accuracy that an int8 file may lose against the float model: half a point."""
    agreement: float = 0.98
    """Least share of texts on which an int8 file answers like the float model."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=32, peak_learning_rate=1e-3)
        small = cls(encoder="small", teacher_length=32, limit=300, fine_tune=tiny, student=tiny)
        small = dataclasses.replace(small, sequence_length=48, vocabulary_size=1000)
        return dataclasses.replace(small, budget=0.2, score_drop=0.2, agreement=0.8)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load twice, take or train a teacher, let it answer, distil, train alone, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_mobile", tag=folder.name, config=config) as run:
        size = config.vocabulary_size
        data = load(config, sequence_length=config.sequence_length, vocabulary=None, vocabulary_size=size)
        run.use_dataset(data)
        lessons = as_the_teacher_reads(config, data)
        models = {"save": kerastl.training.save, "load": kerastl.training.load}
        finished = Path(config.teacher, "model.keras") if config.teacher else None
        contents = kerastl.models.pretrained.names.contents

        teacher = run.stage(
            "teacher",
            lambda at: taught(config, lessons, at),
            key=[config.seed, contents(config.encoder), config.fine_tune, lessons.digest, finished],
            **models,
        )
        answers = run.stage(
            "answers",
            lambda at: answered(teacher.model, lessons, at),
            key=[run.stage_key("teacher"), lessons.digest],
            save=kerastl.training.transfer.save,
            load=kerastl.training.transfer.load,
        )
        answers = {split.name: split.inputs for split in answers}
        basis = [config.seed, config.kernel_size, config.word_dropout, config.student, data.digest]
        student = run.stage(
            "student",
            lambda at: learn(config, data, at, answers=answers["train"]),
            key=[basis, config.temperature, config.teacher_weight, run.stage_key("answers")],
            **models,
        )
        alone = run.stage("alone", lambda at: learn(config, data, at), key=basis, **models)

        float32 = kerastl.export.tflite.convert(student.model)
        control = kerastl.export.tflite.convert(alone.model)
        ptq, candidate = kerastl.compress.ptq, functools.partial(kerastl.runs.Candidate, model=student.model)
        return kerastl.runs.publish(
            run,
            data,
            model=student.model,
            candidates=[
                kerastl.runs.Candidate("alone_float32", "float32", control, alone.model, eligible=False),
                candidate("float32", "float32", float32),
                candidate("float16", "float16", ptq.float16(float32)),
                candidate("dynamic_int8", "dynamic_int8", ptq.dynamic_int8(float32)),
            ],
            curves=[teacher.curves, student.curves, alone.curves],
            max_score_drop=config.budget,
            max_quantization_drop=config.score_drop,
            min_agreement=config.agreement,
            control=kerastl.runs.Baseline(
                answers,
                distilled=[student.model],
                trained_alone=[alone.model],
                seeds=[config.seed],
                steps=config.student.epochs * math.ceil(len(data.train) / config.student.batch_size),
            ),
        )


def load(config: Config, **reading: Any) -> Dataset:
    """The file that was named, or movie reviews; `reading` says how texts become ids, and moves none of them.

    Raises:
        ValueError: the file cannot be used, or its texts may have none or several of the classes.
    """
    settings = {"validation": config.validation, "test": config.test, "seed": config.seed, "limit": config.limit}
    if not config.data:
        return kerastl.data.movie_reviews.load(**settings, **reading)
    settings |= {"text_column": config.text_column, "label_column": config.label_column, "policy": config.policy}
    settings["split_column"] = config.split_column
    return one_each(kerastl.data.text_csv.load(config.data, **settings, **reading), where=config.data)


def one_each(data: Dataset, *, where: str) -> Dataset:
    """The data set itself. Raises `ValueError` where a text may have none or several of the classes."""
    if data.task.multi_label:
        raise ValueError(
            "A teacher's answers to a text sum to one, so that texts have one class each. Received: texts of none or "
            f"several classes in {where}; `kerastl run text_classifier --encoder small "
            "--schedule.peak-learning-rate 1e-3 --schedule.epochs 10` learns them without a teacher."
        )
    return data


def as_the_teacher_reads(config: Config, data: Dataset) -> Dataset:
    """The same texts in the same places, as ids of the teacher's vocabulary.

    Raises:
        FileNotFoundError: the folder of the teacher holds no finished run.
        ValueError: its data cannot be had as it was, or it learnt from another split.
    """
    if config.teacher:
        files = ("config.json", "report.json", "model.keras")
        if lacking := [name for name in files if not Path(config.teacher, name).is_file()]:
            raise FileNotFoundError(
                f"A teacher is a finished run. Received: {config.teacher} without {', '.join(lacking)}."
            )
        stated = json.loads(Path(config.teacher, "config.json").read_text())["data"]
        lessons = getattr(kerastl.data, stated["source"]).load(**stated["arguments"])
        if lessons.digest != stated["digest"]:
            raise ValueError(
                f"The texts of a teacher have to be as they were. Received: {config.teacher}, which learnt from those "
                f"of digest {stated['digest']}; {stated['source']} gives {lessons.digest} today."
            )
        one_each(lessons, where=config.teacher)
    else:
        vocabulary = kerastl.models.pretrained.encoders.vocabulary(config.encoder)
        lessons = load(config, sequence_length=config.teacher_length, vocabulary=vocabulary)
    if (lessons.origin, lessons.task.class_names) != (data.origin, data.task.class_names):
        mine, its = ({"source": one.source, **one.arguments} for one in (data, lessons))
        other = [
            f"{name} {its.get(name)!r} where the student has {mine.get(name)!r}"
            for name in sorted({*mine, *its})
            if name not in _READING and its.get(name) != mine.get(name)
        ]
        raise ValueError(
            "A teacher and its student learn from the same texts: the teacher's other ones may be those that the "
            f"student is measured on. Received: {config.teacher or 'texts that changed meanwhile'}, with "
            f"{', '.join(other) or 'other texts in the file'}."
        )
    return lessons


def taught(config: Config, lessons: Dataset, workspace: Workspace):
    """The teacher: that of the finished run, or an encoder fine-tuned here as `text_classifier` does."""
    if config.teacher:
        model = kerastl.training.load_model(Path(config.teacher, "model.keras"))
        return kerastl.training.Trained(kerastl.export.serving.with_logits(model), History(workspace.stage, {}))
    kerastl.training.set_seed(config.seed)
    model = kerastl.models.pretrained.encoders.load(config.encoder, lessons.task)
    batches, size = kerastl.data.pipeline.batches, config.fine_tune.batch_size
    curves = kerastl.training.fit(
        model,
        batches(lessons.train, batch_size=size, shuffle=True, seed=config.seed),
        schedule=config.fine_tune,
        workspace=workspace,
        validation=batches(lessons.validation, batch_size=50),
    )
    return kerastl.training.Trained(model, curves)


def answered(teacher, lessons: Dataset, workspace: Workspace):
    """The teacher's logits for every text, split by split. Those of test are for the report and for nothing else."""
    batches = kerastl.data.pipeline.batches
    features = functools.partial(kerastl.training.transfer.extract_features, teacher, workspace=workspace)
    splits = (lessons.train, lessons.validation, lessons.test)
    return tuple(features(batches(split, batch_size=50), name=split.name) for split in splits)


def learn(config: Config, data: Dataset, workspace: Workspace, *, answers: Any = None):
    """A student from the labels, and from the teacher's answers where there are any; else all is the same."""
    kerastl.training.set_seed(config.seed + 1)
    student = model = kerastl.models.text.text_cnn.build(
        data.task, kernel_size=config.kernel_size, word_dropout=config.word_dropout
    )
    if answers is not None:
        soft = functools.partial(kerastl.distil.losses.kl_divergence, temperature=config.temperature)
        model = kerastl.distil.distiller.Distiller(
            student=student, teacher=None, loss=soft, weight=config.teacher_weight
        )
    batches, size = kerastl.data.pipeline.batches, config.student.batch_size
    curves = kerastl.training.fit(
        model,
        batches(data.train, batch_size=size, shuffle=True, seed=config.seed, answers=answers),
        schedule=config.student,
        workspace=workspace,
        validation=batches(data.validation, batch_size=500),
    )
    return kerastl.training.Trained(student, curves)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
