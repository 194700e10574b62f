"""Additive cosine margin (Wang et al. 2018, "CosFace", https://arxiv.org/abs/1801.09414)."""

from __future__ import annotations

from typing import Any

from keras import ops

PROXIES = True


def loss(cosines: Any, groups: Any, *, margin: float = 0.35, scale: float = 30.0) -> Any:
    """Cross-entropy over groups, where an example's own proxy has to be nearer by so much of a cosine (eq. 4).

    Args:
        cosines: of each vector with each proxy, ``(batch, groups)``.
        groups: integers ``(batch,)``.
        margin: taken from the cosine of the own group.
        scale: what cosines are multiplied by.

    Returns:
        ``(batch,)``.
    """
    cosines = ops.cast(cosines, "float32")
    own = ops.one_hot(ops.reshape(groups, (-1,)), cosines.shape[-1], dtype="float32")
    logits = scale * (cosines - margin * own)
    return ops.logsumexp(logits, axis=-1) - ops.sum(own * logits, axis=-1)
