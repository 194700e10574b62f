"""How a pretrained encoder of texts is adapted to a task: a head on its frozen features first, then everything.

BERT's two to four epochs (Devlin et al. 2019, appendix A.3) are for tens of thousands of texts: of 1,540 texts in 77
classes they are 200 steps, after which a fresh head knows less than a linear model of words. What counts is the number
of steps (Mosbach et al. 2021, "On the Stability of Fine-tuning BERT", https://arxiv.org/abs/2006.04884; Zhang et al.
2021, "Revisiting Few-sample BERT Fine-tuning", https://arxiv.org/abs/2006.05987), and where the head begins (LP-FT,
Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
"""

from __future__ import annotations

import dataclasses
import math

from kerastl.types import Schedule, Split

LEAST = 5
"""Texts of a class below which everything would only learn them by heart: the head alone is trained."""
FEW = 100
"""Texts of a class below which they are seen in smaller batches, at a higher rate, the early layers least and the
embeddings not at all: half of an encoder's numbers, of which so few texts show only some."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to adapt an encoder to so many texts.

    Attributes:
        probe: whether a head on cached features comes first; an encoder that knows nothing yet has none to probe.
        fine_tune: schedule of the whole model, or ``None`` where the probe is all that so few texts can teach.
        layer_decay: factor of the learning rate from one layer to the one before it.
        embeddings: whether those of the words learn as well.
        why: the reasons, in words.
    """

    probe: bool
    fine_tune: Schedule | None
    layer_decay: float
    embeddings: bool
    why: str


def plan(
    *,
    examples: int,
    outputs: int,
    each: float | None = None,
    pretrained: bool = True,
    lora: bool = False,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
) -> Plan:
    """A plan chosen from the number of texts and classes, and said in words.

    Args:
        examples: texts to train on.
        outputs: classes among which they are, or numbers that are asked for.
        each: texts that a class has on average, where a text may have none or several.
        pretrained: whether the encoder knows anything yet; one that does not has no features to probe.
        lora: whether low-rank matrices learn in place of the encoder (`transfer.add_lora`): they want a higher rate.
        epochs, learning_rate, batch_size: of fine-tuning, where they are decided already; 0 epochs train the head
            alone.

    Raises:
        ValueError: no text, or no output; or no epoch of an encoder that has to learn everything.
    """
    if examples < 1 or outputs < 1:
        raise ValueError(f"Wanted a text and an output at least. Received: {examples} texts, {outputs} outputs.")
    if not pretrained:
        return _from_nothing(examples, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    each = examples / outputs if each is None else each
    few = each < FEW
    words = f"{examples:,} texts, {each:.0f} for each output: a head on frozen features"
    batch_size = batch_size or (16 if examples < 4000 else 32)
    if epochs is None:
        steps = min(max(70 * math.sqrt(outputs), 300), 1500)
        least = 2 if outputs < 10 else 4  # of many classes each is a small part of an epoch
        epochs = 0 if each < LEAST else min(max(round(steps * batch_size / examples), least), 20)
        words += "; fine-tuning would learn so few by heart" if epochs == 0 else ""
    if epochs == 0:
        return Plan(True, None, 1.0, embeddings=False, why=f"{words}.")
    layer_decay = 1.0 if lora or not few else 0.9
    rate = learning_rate or (5e-4 if lora else 1e-4 if few else 5e-5)
    fine_tune = Schedule(epochs, batch_size=batch_size, peak_learning_rate=rate, weight_decay=0.01)
    everything = "of all but the embeddings" if few else "of everything"
    what = "of low-rank matrices and the head" if lora else everything
    decay = "" if layer_decay == 1 else f", each layer at {layer_decay} of the rate of the one behind it"
    why = f"{words}, then {_said(fine_tune, examples)} {what}{decay}."
    return Plan(True, fine_tune, layer_decay, embeddings=lora or not few, why=why)


def plan_for(
    train: Split,
    *,
    pretrained: bool = True,
    lora: bool = False,
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
) -> Plan:
    """The `plan` for a training split.

    Args:
        train: texts, and what is asked of them.
        pretrained, lora, epochs, learning_rate, batch_size: as for `plan`.

    Raises:
        ValueError: as `plan`.
    """
    strata = train.task.target.strata(train.labels)
    return plan(
        examples=len(train),
        outputs=train.task.target.outputs,
        each=float(strata.sum(0).mean()) if strata.ndim == 2 else None,  # of which a text may have several
        pretrained=pretrained,
        lora=lora,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
    )


def _from_nothing(examples: int, *, epochs: int | None, learning_rate: float | None, batch_size: int | None) -> Plan:
    """An encoder without weights of anybody has everything to learn: at BERT's own rate it learns nothing."""
    if epochs == 0:
        raise ValueError("An encoder that knows nothing has to learn: wanted one epoch or more. Received: epochs=0.")
    schedule = Schedule(
        epochs or 10, batch_size=batch_size or 32, peak_learning_rate=learning_rate or 1e-3, weight_decay=0.01
    )
    return Plan(
        False, schedule, 1.0, True, f"{examples:,} texts, an encoder from nothing: {_said(schedule, examples)}."
    )


def _said(schedule: Schedule, examples: int) -> str:
    steps = schedule.steps(examples, drop_remainder=False)
    rate = f"{schedule.peak_learning_rate:g} at most"
    return f"{schedule.epochs} epochs ({steps:,} steps of {schedule.batch_size}, rate {rate})"
