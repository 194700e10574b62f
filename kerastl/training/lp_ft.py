"""Linear probing, then fine-tuning (LP-FT): a head on frozen features first, then everything, gently.

Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
https://arxiv.org/abs/2202.10054. How long and how far each of the two goes is a `transfer.Plan`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from kerastl.training import fitting, transfer
from kerastl.types import Schedule, Split, Workspace

if TYPE_CHECKING:
    import tensorflow as tf


def linear_probe(
    model: keras.Model,
    features: Split,
    *,
    schedule: Schedule,
    seed: int,
    dropout: float = 0.0,
    validation: Split | None = None,
    workspace: Workspace | None = None,
    keep_head: bool = False,
    **options: Any,
) -> fitting.Trained:
    """A classifier whose head has learnt from its own cached features, the rest as it came.

    Args:
        model: a classifier with layers ``pool`` and ``logits``; its head is trained in place.
        features: of the training examples and their views, see `transfer.extract_features`.
        schedule: of the head; one epoch is a pass over all views.
        seed: of the order of the features.
        dropout: share of the features dropped before the head.
        validation: features to choose the best epoch by; without them the last one is kept.
        workspace: of the stage.
        keep_head: whether the head goes on from the model's own, which knows some classes already.
        options: of `fitting.fit`, ``class_weight`` for example.

    Raises:
        ValueError: features of another width than the head's; or as `fitting.fit`.
    """
    head = transfer.head(features.task, features.task.inputs.shape[0], dropout=dropout)
    if keep_head:
        transfer.set_head_weights(head, model)
    options |= {"validation": validation, "keep": "last" if validation is None else "best"}
    curves = fitting.fit(head, features, schedule=schedule, seed=seed, workspace=workspace, **options)
    transfer.set_head_weights(model, head)
    return fitting.Trained(model, curves)


def fine_tune(
    model: keras.Model,
    data: tf.data.Dataset | Split,
    *,
    schedule: Schedule,
    groups: Sequence[Sequence[str]],
    layer_decay: float,
    keep: str = "last",
    validation: tf.data.Dataset | Split | None = None,
    workspace: Workspace | None = None,
    **options: Any,
) -> fitting.Trained:
    """A classifier in which everything has learnt, the early layers least, and statistics stayed as they came.

    By default the last epoch is kept: validation pictures of the same shootings are soon all right, and the first such
    epoch is far from the best. On shootings that were held out whole, accuracy rose to the end of the schedule.

    Args:
        model: a classifier with a head that fits its features, as `linear_probe` leaves it; trained in place.
        data: batches, or a split.
        schedule: whose learning rate is that of the last group.
        groups: names of layers from the input to the head, see `transfer.layer_rates`.
        layer_decay: factor of the learning rate from one group to the one before it.
        keep: ``"last"``; or ``"best"``, the epoch that is best on validation, for examples that are apart from those of
            train, as texts are.
        validation: scored after every epoch.
        workspace: of the stage.
        options: of `fitting.fit`, ``class_weight`` for example.

    Raises:
        ValueError: as `transfer.layer_rates` and `fitting.fit`.
    """
    transfer.freeze_batch_norm(model)
    optimizer = functools.partial(transfer.LayerwiseAdamW, rates=transfer.layer_rates(groups, layer_decay=layer_decay))
    options |= {"validation": validation, "workspace": workspace, "keep": keep}
    curves = fitting.fit(model, data, schedule=schedule, optimizer=optimizer, **options)
    return fitting.Trained(model, curves)
