"""Triplet loss with mining inside the batch (Schroff et al. 2015, "FaceNet", https://arxiv.org/abs/1503.03832)."""

from __future__ import annotations

from typing import Any

from keras import ops

PROXIES = False
_FAR = 1e9


def loss(vectors: Any, groups: Any, *, margin: float = 0.2, mining: str = "semi_hard") -> Any:
    """Each example is to be nearer to those of its group than to any other, by a margin.

    ``max(0, d(a, p) - d(a, n) + margin)`` with squared distances of vectors of length 1. Which negative a pair meets is
    mined: ``"semi_hard"`` takes for every pair the nearest that is further away than the positive one, and where there
    is none the furthest of all (FaceNet, section 3.2); ``"hard"`` takes for every anchor its furthest positive and its
    nearest negative (Hermans et al. 2017, "In Defense of the Triplet Loss", eq. 5, https://arxiv.org/abs/1703.07737).

    Args:
        vectors: ``(batch, width)``, of any length: they are brought to length 1.
        groups: integers ``(batch,)``.
        margin: of squared distance, which lies in 0..4.
        mining: one of the two words.

    Returns:
        ``(batch,)``, whose mean is that over all pairs (``"semi_hard"``) or anchors (``"hard"``) which have both a
        positive and a negative; zeros where the batch has none.

    Raises:
        ValueError: an unknown way of mining.
    """
    if mining not in ("semi_hard", "hard"):
        raise ValueError(f"Mining is 'semi_hard' or 'hard'. Received: {mining!r}.")
    units = ops.normalize(ops.cast(vectors, "float32"), axis=-1)
    apart = ops.maximum(2 - 2 * ops.matmul(units, ops.transpose(units)), 0.0)
    groups = ops.reshape(groups, (-1,))
    count = ops.cast(ops.shape(groups)[0], "float32")
    same = ops.equal(groups[:, None], groups[None])
    others = 1 - ops.eye(ops.shape(groups)[0], dtype="float32")
    positive, negative = ops.cast(same, "float32") * others, 1 - ops.cast(same, "float32")
    there = ops.cast(ops.max(negative, axis=-1) > 0, "float32")
    if mining == "hard":
        there = there * ops.max(positive, axis=-1)
        furthest = ops.max(apart * positive, axis=-1)
        nearest = ops.min(apart + _FAR * (1 - negative), axis=-1)
        losses = there * ops.maximum(furthest - nearest + margin, 0.0)
        return losses * count / ops.maximum(ops.sum(there), 1.0)
    beyond = negative[:, None, :] * ops.cast(apart[:, None, :] > apart[:, :, None], "float32")  # (anchor, positive, n)
    semi_hard = ops.min(apart[:, None, :] + _FAR * (1 - beyond), axis=-1)
    furthest = ops.max(apart * negative, axis=-1)[:, None]
    met = ops.where(semi_hard < _FAR / 2, semi_hard, furthest)
    pairs = positive * there[:, None]
    losses = ops.sum(pairs * ops.maximum(apart - met + margin, 0.0), axis=-1)
    return losses * count / ops.maximum(ops.sum(pairs), 1.0)
