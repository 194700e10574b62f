"""Self-training: what a model is sure of in examples without labels goes on teaching it, as one more arm of a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kerastl.data import pipeline, splits
from kerastl.distil import distiller, fixmatch, noisy_student, pseudo_labels
from kerastl.inputs import augmentation as views_of
from kerastl.inputs.augmentation import Augmentation
from kerastl.runs import model_selection, store
from kerastl.runs.few_labels import SelfTraining
from kerastl.training import fitting, seeded, transfer
from kerastl.types import Dataset, Split, Workspace

if TYPE_CHECKING:
    import keras

ARM = "self_trained"
"""Name of the arm, and of its stage."""


def self_trained(
    run: store.Run,
    data: Dataset,
    models: Mapping[str, Any],
    unlabelled: Split,
    *,
    build: Callable[[], keras.Model],
    settings: SelfTraining,
    augmentation: Augmentation | None,
    strong: Augmentation,
) -> dict[str, Any]:
    """The same models and, where settings ask for it, one more: what the best of them on validation teaches.

    Chen et al. 2020, "Big Self-Supervised Models are Strong Semi-Supervised Learners", section 2: pretrained without
    labels, fine-tuned on few, then taught by its own answers to the rest. Its last epoch counts: whether it is better
    than what it began with, validation says as of all arms.

    Args:
        run: in whose stage ``self_trained`` it is made.
        data: of few labels; of one class an example.
        models: as `encoders.fine_tuned` gives them.
        unlabelled: examples like those of ``data``, whose labels, if any, are not looked at.
        build: makes the net anew.
        settings: how it learns.
        augmentation: of fine-tuning: the weaker view.
        strong: what changes pictures further while they are learnt: FixMatch's other view, the noise of the student.

    Raises:
        ValueError: as the way's functions in `distil`: nothing is sure enough, for example.
    """
    if settings.by == "none":
        return dict(models)
    with_labels = [arm for arm in models if not arm.endswith("_alone")]  # the others are there to be compared with
    best = model_selection.best_on_validation({arm: models[arm] for arm in with_labels}, data.validation)
    stage = f"{best.name}_{best.place}" if isinstance(models[best.name], list) else best.name
    rest = dataclasses.replace(
        unlabelled, labels=np.full(len(unlabelled), splits.NO_LABEL, np.int32), task=data.task, origins=None
    )
    make = functools.partial(
        {"fixmatch": _by_fixmatch, "pseudo_labels": _by_pseudo_labels, "noisy_student": _by_noisy_student}[settings.by],
        dataclasses.replace(data.train, origins=None),
        rest,
        _Learning(build, best.model, settings, augmentation, strong, run.metadata["seed"]),
    )
    key = [run.stage_key(stage), splits.digest(rest), settings, augmentation, strong]
    return {**models, ARM: run.stage(ARM, make, key=key)}


@dataclasses.dataclass(frozen=True, eq=False)
class _Learning:
    """What all ways take."""

    build: Callable[[], keras.Model]
    teacher: keras.Model
    settings: SelfTraining
    augmentation: Augmentation | None
    strong: Augmentation
    seed: int

    def begun(self) -> keras.Model:
        """A copy of what teaches."""
        model = self.build()
        model.set_weights(self.teacher.get_weights())
        return model

    def answers(self, rest: Split) -> np.ndarray:
        """Its logits, without noise."""
        return fitting.predict(self.teacher, rest.inputs, task=rest.task)

    def again(self, few: Split, rest: int) -> Split:
        """The examples with labels, as often as their share of all takes."""
        share = self.settings.labelled_share
        return splits.repeated(few, max(round(rest * share / (1 - share)) if share < 1 else 0, len(few)))

    def batches(self, split: Split, augmentation: Augmentation | None, **options: Any) -> Any:
        """Training batches of the schedule."""
        settings = {"schedule": self.settings.schedule, "seed": self.seed, "augmentation": augmentation}
        return pipeline.training_batches(split, **settings, **options)


def _by_fixmatch(few: Split, rest: Split, learning: _Learning, at: Workspace) -> fitting.Trained:
    settings, model = learning.settings, learning.begun()
    labelled = learning.again(few, len(rest))
    batches = learning.batches(transfer.concatenate(rest, labelled), learning.augmentation)
    views = learning.strong.build(learning.seed + 100)
    student = model if views is None else views_of.with_augmentation(model, views)
    steps = settings.schedule.epochs * int(batches.cardinality())
    network = fixmatch.distiller(
        student,
        labelled_share=len(labelled) / (len(rest) + len(labelled)),
        threshold=settings.threshold,
        ramp_steps=max(steps // 10, 1),
        decay=settings.decay,
    )
    curves = fitting.fit(network, batches, schedule=settings.schedule, workspace=at, keep="last")
    average = network.average
    kept = student if average is None else average
    return fitting.Trained(kept if views is None else kept.get_layer(model.name), curves)


def _by_pseudo_labels(few: Split, rest: Split, learning: _Learning, at: Workspace) -> fitting.Trained:
    sure = pseudo_labels.pseudo_labelled(rest, learning.answers(rest), threshold=learning.settings.threshold)
    both = transfer.concatenate(sure, learning.again(few, len(sure))) if len(sure) else few
    batches = learning.batches(both, learning.augmentation)
    return seeded.train(learning.begun, batches, seed=learning.seed, workspace=at, keep="last")


def _by_noisy_student(few: Split, rest: Split, learning: _Learning, at: Workspace) -> fitting.Trained:
    classes = few.task.target.outputs
    found = noisy_student.balanced(learning.answers(rest), each=-(-len(rest) // classes))
    labelled = learning.again(few, len(found.rows))
    known = noisy_student.labels_as_logits(np.asarray(labelled.labels), classes=classes)
    batches = learning.batches(
        transfer.concatenate(rest.subset(found.rows), labelled),
        learning.strong,
        answers=np.concatenate([found.logits, known]),
    )
    under = distiller.under_cached_logits(known, temperature=1.0, weight=1.0)
    options: dict[str, Any] = {"under": under, "keep": "last", "metrics": []}
    return seeded.train(learning.build, batches, seed=learning.seed, workspace=at, **options)
