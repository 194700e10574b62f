"""What the report of a private training says: the guarantee, the score against epsilon, attacks on what ships."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerastl import verify
from kerastl.evaluate.privacy import membership_inference
from kerastl.evaluate.privacy.membership_inference import Answer
from kerastl.export import serving
from kerastl.training import fitting
from kerastl.training.private import guarantee
from kerastl.training.private.guarantee import Mechanism, Privacy
from kerastl.types import Dataset, Task


def of_training(
    mechanism: Mechanism,
    trained: fitting.Trained,
    *,
    privacy: Privacy,
    steps: int,
    task: Task,
    attacks: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """What `publishing.publish` takes as ``privacy``.

    Args:
        mechanism: under which it was trained.
        trained: with curves of epsilon and of the validation score.
        privacy: what was asked for.
        steps: of the optimizer.
        task: what the model is asked.
        attacks: as `attacked` makes them.

    Raises:
        ValueError: the curves end at another epsilon than so many steps spend: these are no curves of this training.
    """
    found, curves = guarantee.described(mechanism, steps=steps, privacy=privacy), trained.curves.values
    if abs(curves["epsilon"][-1] - found["epsilon"]) > 1e-4 * found["epsilon"]:
        raise ValueError(
            f"Wanted a training that spent {found['epsilon']:.5f}. Received: curves that end at "
            f"{curves['epsilon'][-1]:.5f}."
        )
    metric = getattr(task.target.training_metric(), "name", "loss")
    points = [list(point) for point in zip(curves["epsilon"], curves[f"val_{metric}"], strict=True)]
    return {**found, "metric": metric, "points": points, "attacks": attacks or [], "limits": list(guarantee.LIMITS)}


def attacked(answers: Mapping[str, Any], dataset: Dataset, *, examples: int, seed: int) -> list[dict[str, Any]]:
    """Membership inference by the loss, a row for each attack and each of ``answers``.

    Training examples are the members; those of validation are the others, half of which the attacker has. Of fewer than
    200 of these, of whose other half one in a hundred is none, nothing is measured.

    Args:
        answers: Keras models, and files as bytes, by name.
        dataset: of one class index an example.
        examples: members that are judged, at most, drawn by ``seed``; of the others all.
        seed: see above.
    """
    draw = np.random.default_rng(seed).permutation(len(dataset.train))[:examples]
    members, others = dataset.train.subset(np.sort(draw)), dataset.validation
    rows = []
    if len(others) < 200:
        return rows
    for name, one in answers.items():
        found = membership_inference.by_loss(
            answering(one, dataset.task), (members.inputs, members.labels), (others.inputs, others.labels), seed=seed
        )
        rows += [{"of": name, **dataclasses.asdict(attack), "words": attack.words} for attack in found]
    return rows


def answering(one: Any, task: Task) -> Answer:
    """What answers with probabilities: a Keras model that gives logits, or a file."""
    if isinstance(one, bytes):
        return lambda inputs: verify.predict_tflite(one, inputs, kind=task.inputs)
    served = serving.with_answers(one, task)
    return lambda inputs: fitting.predict(served, inputs, task=task)
