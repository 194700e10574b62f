"""Spoken words to a verified file for the phone: a pretrained speech embedding, a linear probe, then fine-tuning.

Without a single recording: the words that are typed are said by synthetic voices, and a linear layer on the embedding
that has heard nothing else recognizes people (Lin et al. 2020, "Training Keyword Spotters with Limited and Synthesized
Speech", https://arxiv.org/abs/2002.01322). Or from a folder with a folder of recordings a word. Samples go into the
file; its spectrogram computes in float32, the rest with 8-bit weights. By default: the ten digits.

Minutes: 5
Data: spoken_words, or your folder
Command: kerastl run keyword_spotting --words yes no stop go
Expect: 0.978 (0.944 to 0.991) on 180 digits of 18 voices unheard in 401,104 bytes; 30 of 30 recordings of people
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any, ClassVar

import kerastl
from kerastl.runs import Acceptance
from kerastl.types import Dataset, Schedule, Workspace
from kerastl.types.settings import Count, CountOrNone, Part, Pattern, Place, Positive, Seed, Share, Word


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run keyword_spotting`."""

    name: ClassVar[str] = "keyword_spotting"
    data: Place = ""
    """Folder with a folder of recordings a word, or a table of paths and words; by default synthetic voices speak."""
    group_pattern: Pattern | None = None
    """Regular expression that finds who speaks in a recording's name, ``"^([^_]+)_"``: nobody stands in two splits."""
    words: tuple[Word, ...] = ()
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
    epochs: CountOrNone | None = 4
    """Of fine-tuning: synthetic voices are soon learnt by heart, and people sound otherwise. 0 trains a head alone."""
    learning_rate: Positive | None = None
    """Of fine-tuning, at its peak and for the head; by default the plan's."""
    batch_size: Count = 32
    """Clips a step."""
    dropout: Part = 0.3
    """Share of the embedding dropped before the head in fine-tuning."""
    distil: bool = False
    """Whether a DS-CNN of 23,000 parameters learns from its labels and from the embedding's answers, and is the model
    that goes to the phone."""
    student: Schedule = Schedule(epochs=25, batch_size=64, peak_learning_rate=3e-3, weight_decay=1e-4)
    """Of that student; not tuned."""
    temperature: Positive = 2.0
    """Softens the teacher's answers, as in `distil_logits`."""
    teacher_weight: Share = 0.7
    """Share of the teacher in the loss; the labels have the rest."""
    accept: Acceptance = Acceptance(max_score_drop=0.005, max_quantization_drop=0.005, min_agreement=0.98)
    """Half a point of validation accuracy against the float model, and of an int8 file against its own."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=1.0, min_agreement=0.5)
        student = Schedule(epochs=2, batch_size=8, peak_learning_rate=3e-3)
        tune = 0 if cls.distil else 1
        return cls(words=("yes", "no"), voices=16, epochs=tune, batch_size=8, student=student, accept=accept)


@dataclasses.dataclass(frozen=True)
class Mobile(Config):
    """Spoken words in 60,000 bytes: a DS-CNN distilled from the speech embedding, its network in integers.

    Zhang et al. 2017, "Hello Edge: Keyword Spotting on Microcontrollers" (https://arxiv.org/abs/1711.07128), in the
    topology of MLPerf Tiny. The teacher is that of `keyword_spotting`; the report shows it beside the student. A
    student that has heard synthetic voices alone understands people badly: for these it needs recordings, `--data`.

    Minutes: 12
    Data: spoken_words
    Command: kerastl run keyword_mobile --words yes no stop go
    Expect: of 160 voices 0.950 (0.915 to 0.971) on 240 digits in 57,472 bytes, its teacher 0.979; 19 of 30 people's
    """

    name: ClassVar[str] = "keyword_mobile"
    voices: Count = 240
    """Synthetic speakers; a student needs more than its teacher."""
    epochs: CountOrNone | None = 0
    """Of fine-tuning the teacher, which by default is a linear probe."""
    distil: bool = True
    """The student is the model."""
    accept: Acceptance = Acceptance(max_score_drop=0.02, max_quantization_drop=0.02, min_agreement=0.95)
    """Two points of validation accuracy against the float student, and of an int8 file against its own."""


ALIASES = {"keyword_mobile": Mobile}


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Load, plan, probe, fine-tune, quantize, export, verify, report."""
    with kerastl.runs.Run(folder, recipe=config.name, tag=folder.name, config=config) as run:
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
        best, curves = (
            kerastl.runs.best_on_validation(trained, data.validation),
            [one.curves for one in trained.values()],
        )
        model, candidates = best.model, files(best.model, data) + best.left_behind(data.task)
        if config.distil:
            key = [config.student, config.temperature, config.teacher_weight, run.stage_key(best.name)]
            student = run.stage("student", lambda at: distil(config, data, best.model, at), key=key)
            model, candidates = student.model, student_files(student.model, best.model, data)
            curves.append(student.curves)
        return kerastl.runs.publish(run, data, model=model, candidates=candidates, curves=curves, accept=config.accept)


def files(model, data: Dataset):
    """The embedding's files; its spectrogram computes in float32."""
    before = kerastl.models.pretrained.speech_embedding.SPECTROGRAM
    techniques = ["float32", "float16", "dynamic_int8"]
    return kerastl.runs.post_training(model, data.train, techniques=techniques, front_end=before)


def student_files(student, teacher, data: Dataset):
    """The student's, with integers behind its spectrogram; and for the table the teacher's."""
    techniques = ["float32", "float16", "dynamic_int8", "static_int8"]
    made = kerastl.runs.post_training(student, data.train, techniques=techniques, front_end="front_end_image")
    return made + kerastl.runs.post_training(
        teacher, data.train, techniques=["float32"], prefix="teacher_", eligible=False
    )


def distil(config: Config, data: Dataset, teacher, at: Workspace):
    """A DS-CNN under the stored logits of its teacher (Hinton, Vinyals & Dean 2015)."""
    kind = kerastl.inputs.numbers.Numbers(teacher.output_shape[1:])
    clips = kerastl.data.pipeline.batches(data.train, batch_size=64)
    logits = kerastl.training.transfer.extract_features(teacher, clips, features_kind=kind, name="teacher")
    batches = kerastl.data.pipeline.training_batches(
        data, schedule=config.student, seed=config.seed, drop_remainder=False, answers=logits.inputs
    )
    under = kerastl.distil.distiller.under_logits(None, temperature=config.temperature, weight=config.teacher_weight)
    build = functools.partial(kerastl.models.audio.ds_cnn.small, data.task)
    return kerastl.training.train(build, batches, seed=config.seed + 1, workspace=at, under=under)


def load(config: Config) -> Dataset:
    """The recordings of a folder, or words said by synthetic voices."""
    if config.data and config.words:
        raise ValueError(
            f"Wanted recordings or words to be spoken. Received: --data {config.data} and --words "
            f"{' '.join(config.words)}; the words of a folder are its folders' names."
        )
    if config.data:
        return kerastl.data.audio_folder.load(
            config.data, seconds=config.seconds, group_pattern=config.group_pattern, seed=config.seed
        )
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
