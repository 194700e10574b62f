"""Additive angular margin (Deng et al. 2019, "ArcFace", https://arxiv.org/abs/1801.07698)."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

PROXIES = True


def loss(cosines: Any, groups: Any, *, margin: float = 0.5, scale: float = 30.0) -> Any:
    """Cross-entropy over groups, where an example's own proxy has to be nearer by an angle.

    ``-log softmax(s * c')`` at the own group, with ``c' = cos(theta + m)`` there and the cosines elsewhere (eq. 3).
    Where theta + m passes pi the cosine would rise again: there ``cos(theta) - m * sin(m)`` goes on falling, as in the
    authors' code.

    Args:
        cosines: of each vector with each proxy, ``(batch, groups)``.
        groups: integers ``(batch,)``.
        margin: in radians.
        scale: what cosines are multiplied by.

    Returns:
        ``(batch,)``.
    """
    cosines = ops.cast(cosines, "float32")
    own = ops.one_hot(ops.reshape(groups, (-1,)), cosines.shape[-1], dtype="float32")
    sines = ops.sqrt(ops.maximum(1 - ops.square(cosines), 1e-12))  # whose slope at 0 would be without end
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    turned = ops.where(cosines > math.cos(math.pi - margin), turned, cosines - margin * math.sin(margin))
    logits = scale * ops.where(own > 0, turned, cosines)
    return ops.logsumexp(logits, axis=-1) - ops.sum(own * logits, axis=-1)
