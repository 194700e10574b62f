"""How much a pretrained encoder learns from in the end, as settings of a recipe: few labels, several learning rates."""

from __future__ import annotations

import dataclasses
from typing import Literal

from kerastl.types import Schedule
from kerastl.types.settings import Count, Part, Positive, Share, Some


@dataclasses.dataclass(frozen=True)
class FewLabels:
    """Fine-tuning on a few labels of each class, with pretraining and without; see `runs.encoders.fine_tuned`."""

    labels: Count = 45
    """Examples of each class to learn from, drawn from train by the seed; nobody looks at the labels of the others."""
    probe: Schedule = Schedule(epochs=60, batch_size=64, peak_learning_rate=3e-3, weight_decay=1e-3)
    """Of a linear head on frozen features, from which fine-tuning begins."""
    schedule: Schedule = Schedule(epochs=100, batch_size=64, weight_decay=1e-3)
    """Of fine-tuning; its learning rate is the next setting's."""
    learning_rates: tuple[Positive, ...] = (3e-4, 1e-3, 4e-3)
    """Each is tried with pretraining and without, and of either the best on validation is compared."""
    control: bool = True
    """Whether the net is probed and fine-tuned without pretraining as well; `--no-control` saves its time."""


@dataclasses.dataclass(frozen=True)
class SelfTraining:
    """Learning from examples without labels after fine-tuning; see `runs.self_training.self_trained`."""

    by: Literal["none", "fixmatch", "pseudo_labels", "noisy_student"] = "none"
    """"fixmatch": the classes that a weaker view is sure of, anew in every step (Sohn et al. 2020); "pseudo_labels":
    sure answers as labels, once (Lee 2013); "noisy_student": soft answers, as many of each class, for the same net
    begun again (Xie et al. 2020)."""
    schedule: Schedule = Schedule(epochs=20, batch_size=128, peak_learning_rate=1e-3, weight_decay=1e-3)
    """Over all examples without labels, and those with labels again and again."""
    labelled_share: Some = 0.2
    """Of the examples, those with labels: each comes as often as that takes."""
    threshold: Share = 0.9
    """Least probability of a class that counts; the noisy student's own is 0.3, as in its paper."""
    decay: Part = 0.99
    """Of FixMatch's moving average, which names the classes and is what is kept."""
