"""How much a pretrained encoder learns from in the end, as settings of a recipe: few labels, several learning rates."""

from __future__ import annotations

import dataclasses

from kerastl.types import Schedule
from kerastl.types.settings import Count, Positive


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
