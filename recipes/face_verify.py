"""A face verifier of less than a megabyte: the published embedding distilled from its answers on any face pictures.

Faces are found, brought upright by 468 landmarks, and answered by dlib's published embedding (King 2017); a small net
learns to answer the same (Reimers & Gurevych 2020, https://arxiv.org/abs/2004.09813, did so for sentences). No names
are needed: of pictures without a folder a person each face is its own group, and its views have to find each other.
People of train stand in no other split. `kerastl enrol RUN NAME picture` and `kerastl predict RUN picture` then verify.
There is no liveness check: a photograph of a face is a face.

Minutes: 3
Data: your folder of pictures with faces; without one 21 faces, for nothing but a try
Command: kerastl run face_verify --data FOLDER
Expect: not measured on many people: no registry has a set of them; with 21 faces a try, not a verifier
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import numpy as np

import kerastl
from kerastl.runs import Acceptance
from kerastl.tasks import embedding, pair_metrics
from kerastl.tasks.agreement import Agreement
from kerastl.types import Dataset, Schedule, Split, Workspace
from kerastl.types.settings import Count, Part, Seed

NOTES = (
    "There is no liveness check: a photograph, a screen or a mask of a face is taken for the face.",
    "It must not be used for surveillance, for naming people who did not agree, or as the only key to anything.",
    "Enrol nobody without consent: vectors of faces are biometric data, and laws ask for it (GDPR, article 9).",
    "The published embedding errs more often on groups that its training pictures had few of: women, children and "
    "people with dark skin among them. Measure on the people who will use it, group by group.",
)
"""What the card says of every such file."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the run; every field is a flag of `kerastl run face_verify`."""

    data: str | None = None
    """Folder of pictures with faces, of a folder a person where persons are known."""
    views: Count = 8
    """Of each face: as it is, and mirrored, turned, shifted, nearer, darker."""
    unseen: Part = 0.3
    """Share of the people, or faces, that are only measured on; of the rest a quarter chooses."""
    width: Count = 24
    """Channels of the student's first layer; it has eight times as many in the last."""
    seed: Seed = 0
    """Of weights, views and splits."""
    schedule: Schedule = Schedule(epochs=40, batch_size=32, peak_learning_rate=1e-3, weight_decay=0.01)
    """Of distillation."""
    false_accept_rate: Part = 0.01
    """Share of searches by unknown people that may be taken for somebody, by which the threshold is set."""
    accept: Acceptance = Acceptance(
        max_score_drop=0.03, max_quantization_drop=0.03, min_agreement=0.9, max_saturation=0.05
    )
    """Held-out faces may be few: one of them is a point or more."""

    @classmethod
    def smoke(cls) -> Config:
        """Everything tiny: no score worth reading."""
        accept = Acceptance(max_score_drop=1.0, max_quantization_drop=0.5, min_agreement=0.3, max_saturation=0.5)
        return cls(width=8, schedule=Schedule(epochs=2, batch_size=16, peak_learning_rate=2e-3), accept=accept)


def run(config: Config, folder: Path) -> dict[str, Any]:
    """Find and align faces, ask the published net, distil, quantize, verify, report, begin the index."""
    with kerastl.runs.Run(folder, recipe="face_verify", tag=folder.name, config=config) as run:
        data = load(config)
        run.use_dataset(data)
        key = [config.seed, config.width, config.schedule, data.digest, config.unseen]
        student = run.stage("student", lambda at: distil(config, data, at), key=key)
        techniques = ["float32", "float16", "weight_only_int8", "dynamic_int8"]
        made = kerastl.runs.post_training(student.model, data.task, techniques=techniques)
        notes = [*NOTES, against_teacher(student.model, data)]
        report = kerastl.runs.publish(
            run, data, model=student.model, candidates=made, curves=[student.curves], notes=notes
        )
    kerastl.runs.enrolling.begin(kerastl.open(folder), data.validation, false_accept_rate=config.false_accept_rate)
    return report


def load(config: Config) -> Dataset:
    """Aligned faces; nobody stands in two splits."""
    found = kerastl.data.face_pictures.load(config.data, views=config.views, seed=config.seed)
    return embedding.grouped(kerastl.data.unseen_classes.divide(found, unseen=config.unseen, seed=config.seed))


def answers(data: Split) -> np.ndarray:
    """What the published net answers, brought to length 1."""
    found = kerastl.training.predict(kerastl.models.pretrained.face_embedding.load(), data.inputs)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def distil(config: Config, data: Dataset, at: Workspace):
    """A small net that learns the published net's vectors, counted from their mean; the last epoch is kept."""
    import keras  # settings are read without it

    kerastl.training.set_seed(config.seed)
    student = kerastl.models.face_student.build(data.task, width=config.width)
    wanted = answers(data.train)
    # all faces lie in one cone, where a student that always answers its axis has a cosine of 0.8 already
    wanted = wanted - wanted.mean(0)
    wanted /= np.linalg.norm(wanted, axis=-1, keepdims=True)
    asked = dataclasses.replace(data.task, target=Agreement.of(wanted, names=("embedding",)))
    curves = kerastl.training.fit(
        student,
        (data.train.inputs, wanted),
        task=asked,
        schedule=config.schedule,
        loss=keras.losses.CosineSimilarity(),
        workspace=at,
        seed=config.seed,
        keep="last",
    )
    return kerastl.training.Trained(student, curves)


def against_teacher(student, data: Dataset) -> str:
    """The published net's scores on the test faces beside the student's, in a sentence."""
    words = []
    for name, vectors in (
        ("the published net", answers(data.test)),
        ("the student before quantization", kerastl.training.predict(student, data.test.inputs, task=data.task)),
    ):
        recall = data.task.target.score(vectors, data.test.labels).value
        rate, _ = pair_metrics.equal_error_rate(pair_metrics.pairs(vectors, np.asarray(data.test.labels)))
        words.append(f"{name} finds the same face first in {recall:.1%} and has an equal error rate of {rate:.1%}")
    people = len(np.unique(np.asarray(data.test.labels)))
    return f"On {len(data.test)} pictures of {people} faces that nothing was learnt from, {', '.join(words)}."


if __name__ == "__main__":
    raise SystemExit(kerastl.cli.main(["run", __file__, *sys.argv[1:]]))
