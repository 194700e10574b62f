"""Proxies as anchors (Kim et al. 2020, "Proxy Anchor Loss for Deep Metric Learning", https://arxiv.org/abs/2003.13911)."""

from __future__ import annotations

from typing import Any

from keras import ops

PROXIES = True
_NEVER = -1e9


def loss(cosines: Any, groups: Any, *, margin: float = 0.1, scale: float = 32.0) -> Any:
    """Each proxy draws the hardest of its own examples of the batch, and repels the hardest of all others (eq. 4).

    ``1/|P+| sum_P+ log(1 + sum_X+ exp(-s (c - m))) + 1/|P| sum_P log(1 + sum_X- exp(s (c + m)))``: P are all proxies,
    P+ those with an example in the batch, X+ and X- a proxy's own examples and the others.

    Args:
        cosines: of each vector with each proxy, ``(batch, groups)``.
        groups: integers ``(batch,)``.
        margin, scale: m and s.

    Returns:
        ``(batch,)``, the loss of the batch for each: it is no sum over examples.
    """
    cosines = ops.cast(cosines, "float32")
    own = ops.one_hot(ops.reshape(groups, (-1,)), cosines.shape[-1], dtype="float32")
    drawn = ops.where(own > 0, -scale * (cosines - margin), _NEVER)
    repelled = ops.where(own > 0, _NEVER, scale * (cosines + margin))
    # log(1 + sum exp) without overflow
    drawn, repelled = (ops.softplus(ops.logsumexp(one, axis=0)) for one in (drawn, repelled))
    there = ops.cast(ops.max(own, axis=0) > 0, "float32")
    found = ops.sum(there * drawn) / ops.maximum(ops.sum(there), 1.0) + ops.mean(repelled)
    return found * ops.ones_like(own[:, 0])
