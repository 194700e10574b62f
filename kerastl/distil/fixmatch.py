"""FixMatch: of examples without labels those are learnt that a view changed a little is sure of."""

from __future__ import annotations

import functools

import keras

from kerastl.distil import losses, schedules, teachers, terms
from kerastl.distil.distiller import Distiller


def distiller(
    student: keras.Model,
    *,
    labelled_share: float,
    threshold: float = 0.95,
    weight: float = 1.0,
    ramp_steps: int = 0,
    decay: float = 0.0,
    align: float | None = None,
    no_label: int = -1,
) -> Distiller:
    """What trains a student on labels, and on its own sure answers to examples without: ``L = l_s + w l_u``.

    ``l_s`` is the mean cross-entropy of the examples with labels, ``l_u`` the mean over a batch of the cross-entropy of
    the class that the weaker view is given with a probability of ``threshold`` at least, else 0. Sohn et al. 2020,
    "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", eqs. 3 and 4. There ``l_u`` is of
    examples without labels alone; here it is of all in a batch, whose own labels the student has anyway, so that the
    paper's weight of 1 is ``1 / (1 - labelled_share)``. The weak view is what batches bring; the strong one is what the
    student itself makes of it in training: see `inputs.augmentation.with_augmentation`.

    Args:
        student: emits logits ``(batch, classes)``; trained in place.
        labelled_share: of the examples of a batch, above 0 and at most 1, those that have a label.
        threshold: least probability of a class that is named.
        weight: w.
        ramp_steps: steps over which w grows from 0, as in Tarvainen & Valpola 2017, "Mean teachers are better role
            models"; 0 begins with all of it.
        decay: of the student's moving average, which names the classes; 0 lets the student of the last step name them,
            as in the paper.
        align: how slowly answers are brought to where all classes come equally often, see `distribution_alignment`;
            ``None`` leaves them.
        no_label: stands where an example has none.

    Raises:
        ValueError: a share or the threshold is out of range; or as `Distiller`.
    """
    if not 0 < labelled_share <= 1 or not 0 <= threshold <= 1 or ramp_steps < 0:
        raise ValueError(
            "Wanted a share of labelled examples above 0 and at most 1, a probability as threshold, and no or some "
            f"steps. Received: labelled_share={labelled_share}, threshold={threshold}, ramp_steps={ramp_steps}."
        )
    sure = functools.partial(losses.pseudo_label_cross_entropy, threshold=threshold)
    growing = schedules.linear(0.0, weight, steps=ramp_steps) if ramp_steps else weight
    return Distiller(
        student=student,
        teacher=teachers.EMATeacher(decay, align=align),
        losses={
            # rows without a label count as zeros in the mean
            "labels": terms.LabelLoss(1 / labelled_share, ignore_label=no_label),
            "sure": terms.LogitLoss(sure, growing),
        },
    )
