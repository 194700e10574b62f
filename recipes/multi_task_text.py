"""Several questions to one sentence in one file: is a review positive, from which of two sites, what is asked beside.

A column of labels is a task, and the files of `--beside` bring tasks of their own: each data set lacks the others'
labels, and how often each is drawn from is said by `--sampling`. One trunk reads for all tasks (hard parameter sharing,
Caruana 1997): a table of words with a convolution, or an encoder. Every task is learnt alone for as many steps as well,
unless there is `--no-control`, and stands beside it in the report.

Minutes: 40
Data: movie_reviews, or your files
Command: kerastl run multi_task_text --beside banking77/train.csv --label-columns sentiment source category
Expect: not measured yet
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.data.reading import TextTasksReading
from kerastl.data.sampling import Sampling
from kerastl.models.pretrained.encoders import Encoder
from kerastl.models.sharing.ways import SharingName
from kerastl.runs import Acceptance
from kerastl.training.balancing_rules import RuleName
from kerastl.types import Dataset, Schedule, Task, Workspace
from kerastl.types.settings import Count, Part, Place, Seed, Tokens


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run multi_task_text`."""

    data: str = ""
    """A .csv, .tsv or .jsonl file of sentences; by default 33,530 movie reviews of IMDB and Rotten Tomatoes."""
    beside: tuple[Place, ...] = ()
    """Further files, whose sentences are asked for other things."""
    reading: TextTasksReading = TextTasksReading()
    """How they are read and divided: the tasks, which are columns of labels, splits, rows that cannot be used."""
    sampling: Sampling = Sampling()
    """How often each data set is drawn from: those sentences are one that have labels of the same tasks."""
    rule: RuleName = "fixed"
    """How much each task counts, as in `multi_task_images`."""
    sharing: SharingName = "hard"
    """What tasks share: "hard" is one trunk; "adapters" puts a small block of a task's own between trunk and head;
    "cross_stitch" is a trunk a task, and learnt shares of the others' maps: nothing is saved (docs/multi_task.md)."""
    control: bool = True
    """Whether each task is learnt alone as well, by a network of its own."""
    encoder: Encoder | None = None
    """The trunk: by default a small one that knows nothing; or as in `text_classifier`, with its schedule: --encoder
    minilm_l6 --schedule.epochs 2 --schedule.peak-learning-rate 5e-5."""
    sequence_length: Tokens = 256
    """Tokens that are read of a text; half of IMDB's reviews are longer than 200."""
    vocabulary_size: Count = 10_000
    """Words of a small trunk, as in `text_mobile`; an encoder brings its own."""
    word_dropout: Part = 0.4
    """Share of the words that a small trunk does not see in training, as in `text_mobile`."""
    file_per_task: bool = False
    """Whether each task gets a file of its own beside that of all, in `heads/`, for who asks one question at a time."""
    seed: Seed = 0
    """Of weights, dropout, order and split."""
    schedule: Schedule = Schedule(epochs=6, batch_size=64, peak_learning_rate=2e-3, weight_decay=1e-2)
    """Of all trainings: that of `text_mobile`'s student, but for fewer epochs."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.97)
    """Half a point of the mean over tasks; a text agrees where every task does."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.0)
        sizes: dict[str, Any] = {"sequence_length": 24, "vocabulary_size": 300}
        some = TextTasksReading(max_train_examples=200)
        tiny = Schedule(epochs=1, batch_size=20, peak_learning_rate=5e-3)
        return cls(reading=some, schedule=tiny, accept=accept, sampling=Sampling("round_robin"), **sizes)


def load(config: Config) -> Dataset:
    """The files that were named, or movie reviews; token ids of the vocabulary that the trunk reads."""
    encoders = kerastl.models.pretrained.encoders
    return kerastl.data.loading.text_tasks(
        config.data,
        beside=config.beside,
        sequence_length=config.sequence_length,
        vocabulary=None if config.encoder is None else encoders.vocabulary(config.encoder),
        vocabulary_size=config.vocabulary_size,
        reading=config.reading,
        seed=config.seed,
    )


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, train all tasks together and each alone, quantize, verify, choose, compare, report."""
    with kerastl.runs.Run(folder, recipe="multi_task_text", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        trunk = (
            config.word_dropout if config.encoder is None else kerastl.models.pretrained.names.contents(config.encoder)
        )
        basis = [config.seed, trunk, config.schedule, data.digest]
        make = functools.partial(train, config, data, config.schedule, config.sampling)
        together = run.stage("all_tasks", make, key=[config.rule, config.sharing, config.sampling, *basis])
        alone = {}
        for name in data.task.target.names if config.control else ():
            one, schedule = kerastl.runs.single_tasks.alone(data, name, schedule=config.schedule)
            make = functools.partial(train, config, one, schedule, None)
            alone[name] = run.stage(f"only_{name}", make, key=[name, *basis])
        techniques = ("float32", "float16", "dynamic_int8")
        return kerastl.runs.publish(
            run,
            data,
            model=together.model,
            candidates=kerastl.runs.post_training(together.model, data.task, techniques=techniques),
            curves=[together.curves, *(one.curves for one in alone.values())],
            single=alone,
            file_per_task=config.file_per_task,
        )


def train(config: Config, data: Dataset, schedule: Schedule, sampling: Sampling | None, at: Workspace):
    """The network of the tasks that the data have: of several by the rule, of one by its own loss."""
    batches = kerastl.data.pipeline.training_batches(data, schedule=schedule, seed=config.seed, sampling=sampling)
    under = kerastl.training.balancing_rules.under(config.rule, batches)
    build = functools.partial(kerastl.models.sharing.ways.build, config.sharing)
    make = functools.partial(build, functools.partial(network, config), data.task)
    return kerastl.training.train(make, batches, seed=config.seed, workspace=at, under=under)


def network(config: Config, task: Task):
    """The trunk and a head a task."""
    if config.encoder is None:
        return kerastl.models.text.text_cnn.build(task, word_dropout=config.word_dropout)
    return kerastl.models.pretrained.encoders.load(config.encoder, task)


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
