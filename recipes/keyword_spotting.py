"""Spoken words to a verified file for the phone: a pretrained speech embedding, a linear probe, then fine-tuning.

Without a single recording: the words that are typed are said by synthetic voices, and a linear layer on the embedding
that has heard nothing else recognizes people (Lin et al. 2020, "Training Keyword Spotters with Limited and Synthesized
Speech", https://arxiv.org/abs/2002.01322). Or from a folder with a folder of recordings a word. Samples go into the
file; its spectrogram computes in float32, the rest with 8-bit weights. By default: the ten digits.

Minutes: 4
Data: spoken_words, or your folder
Command: kerastl run keyword_spotting --words yes no stop go
Expect: not measured at full size yet
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import kerastl
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Workspace
from kerastl.types.settings import Count, CountOrNone, Part, Positive, Seed


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run keyword_spotting`."""

    words: tuple[str, ...] = ()
    """Words to be told apart, spelled as they are spoken, said by synthetic voices; by default the ten digits."""
    voices: Count = 120
    """Synthetic speakers; 15 % of them test, and 15 % of the others validate, whole."""
    background: bool = False
    """Whether there are two more classes, other words and no speech at all, which an application that listens all day
    has to have (Warden 2018, "Speech Commands", section 4)."""
    seconds: Positive = 1.0
    """Of a clip, 0.8 at least; a shorter recording stands in the middle of silence."""
    seed: Seed = 0
    """Of voices, head, order and split."""
    epochs: CountOrNone | None = None
    """Of fine-tuning; by default planned from the number of clips. 0 trains the head alone."""
    learning_rate: Positive | None = None
    """Of fine-tuning, at its peak and for the head; by default the plan's."""
    batch_size: Count = 32
    """Clips a step."""
    dropout: Part = 0.3
    """Share of the embedding dropped before the head in fine-tuning."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, and of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.5)
        return cls(words=("yes", "no"), voices=16, epochs=1, batch_size=8, accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, plan, probe, fine-tune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe="keyword_spotting", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        plan = kerastl.training.transfer.plan_for(
            data.train, batch_size=config.batch_size, epochs=config.epochs, learning_rate=config.learning_rate
        )
        print(plan.why)
        features = run.stage("features", lambda at: cache_features(config, data, at), key=[config.seed, data.digest])
        probe = run.stage(
            "linear_probe",
            lambda _: train_probe(config, data, features),
            key=[run.stage_key("features")],
        )
        trained = {"linear_probe": probe}
        if plan.fine_tune:
            key = [plan.fine_tune, plan.layer_decay, run.stage_key("linear_probe")]
            tune = functools.partial(fine_tune, config, data, plan, probe.model)
            trained["fine_tuned"] = run.stage("fine_tuned", tune, key=key)
        best = kerastl.runs.best_on_validation(trained, data.validation)
        candidates = kerastl.runs.post_training(
            best.model,
            data.train,
            techniques=["float32", "float16", "dynamic_int8"],
            front_end=kerastl.models.pretrained.speech_embedding.SPECTROGRAM,
        )
        candidates += best.left_behind(data.task)
        curves = [stage.curves for stage in trained.values()]
        return kerastl.runs.publish(
            run, data, model=best.model, candidates=candidates, curves=curves, accept=config.accept
        )


def load(config: Config) -> Dataset:
    """The words, said by synthetic voices."""
    source = kerastl.data.spoken_words
    return source.load(
        words=config.words or source.DIGITS,
        voices=config.voices,
        background=config.background,
        seconds=config.seconds,
        seed=config.seed,
    )


def built(config: Config, data: Dataset):
    """The embedding with its weights and a new head."""
    kerastl.training.set_seed(config.seed)
    return kerastl.models.pretrained.speech_embedding.classifier(data.task, dropout=config.dropout)


def cache_features(config: Config, data: Dataset, at: Workspace):
    """Mean embeddings of every clip of train and validation, computed once."""
    body = kerastl.training.transfer.feature_extractor(built(config, data))
    kind = kerastl.inputs.numbers.Numbers(body.output_shape[1:])
    return tuple(
        kerastl.training.transfer.extract_features(
            body,
            kerastl.data.pipeline.batches(split, batch_size=64),
            features_kind=kind,
            name=split.name,
            workspace=at,
        )
        for split in (data.train, data.validation)
    )


def train_probe(config: Config, data: Dataset, features):
    """The embedding as it came, with the best linear head of its features: its loss is convex, and solved for."""
    train, validation = features
    return kerastl.training.linear_head.linear_probe(built(config, data), train, validation=validation)


def fine_tune(config: Config, data: Dataset, plan, probe, at: Workspace):
    """Everything learns but the spectrogram, the early layers least."""
    model = built(config, data)
    model.set_weights(probe.get_weights())  # a copy: the report shows the probe as it was
    batches = kerastl.data.pipeline.batches(
        data.train, batch_size=plan.fine_tune.batch_size, shuffle=True, seed=config.seed
    )
    return kerastl.training.lp_ft.fine_tune(
        model,
        batches,
        schedule=plan.fine_tune,
        groups=[[layer.name for layer in group.layers] for group in kerastl.models.pretrained.backbone.groups(model)],
        layer_decay=plan.layer_decay,
        validation=data.validation,
        workspace=at,
    )


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
