"""Logits as they are stored: 2 bytes a class, or those of the likeliest classes alone."""

from __future__ import annotations

import numpy as np


def kind_of(storage: str, *, classes: int, top: int | None = None) -> np.dtype:
    """The element type of an array of answers, as `encoded` fills it.

    Args:
        storage: ``"float16"`` or ``"top_k"``.
        classes: how many there are.
        top: how many of them are kept by ``"top_k"``.

    Raises:
        ValueError: another word, or a ``top`` that does not go with it.
    """
    if storage == "float16" and top is None:
        return np.dtype("<f2")
    if storage == "top_k" and top is not None and 1 <= top < classes:
        index = "<u2" if classes <= 2**16 else "<u4"
        return np.dtype([("classes", index, (top,)), ("logits", "<f2", (top,)), ("rest", "<f2")])
    raise ValueError(
        f"Wanted 'float16', or 'top_k' with a `top` from 1 to {classes - 1}. Received: storage={storage!r}, top={top}."
    )


def encoded(logits: np.ndarray, *, kind: np.dtype, temperature: float = 1.0) -> np.ndarray:
    """Logits as they are stored.

    With ``kind`` float16 they are rounded. A record of the ``top`` likeliest classes holds their indices, their logits,
    and the logit that each other class is given: with T the temperature and C classes,

        rest = T (logsumexp over the others of logit / T - log(C - top)),

    so that the softmax at T gives the likeliest classes the probability that they had, and all others the mean of
    theirs: the "marginal smoothing" of Shen & Xing 2021 (https://arxiv.org/abs/2112.01528), written as logits.

    Args:
        logits: ``(batch, classes)``.
        kind: the element type of the stored array.
        temperature: T.

    Returns:
        ``(batch, classes)`` float16, or ``(batch,)`` records.

    Raises:
        ValueError: a logit is not finite or beyond float16.
    """
    largest = np.abs(logits).max(initial=0)
    if not largest <= np.finfo(np.float16).max:
        raise ValueError(f"Wanted logits that are finite, and at most 65,504 of size. Received: one of {largest}.")
    if kind.names is None:
        return logits.astype(kind)
    top = kind["classes"].shape[0]
    order = np.argsort(-logits, axis=1, kind="stable")
    likeliest, others = order[:, :top], np.take_along_axis(logits, order[:, top:], 1).astype(np.float64) / temperature
    peak = others.max(1, keepdims=True)
    mean = np.log(np.exp(others - peak).mean(1)) + peak[:, 0]
    found = np.empty(len(logits), kind)
    found["classes"], found["logits"] = likeliest, np.take_along_axis(logits, likeliest, 1)
    found["rest"] = temperature * mean
    return found


def decoded(stored: np.ndarray, *, classes: int) -> np.ndarray:
    """Logits float32 ``(batch, classes)`` out of what `encoded` made."""
    if stored.dtype.names is None:
        return stored.astype(np.float32)
    logits = np.repeat(stored["rest"].astype(np.float32)[:, None], classes, axis=1)
    np.put_along_axis(logits, stored["classes"].astype(np.int64), stored["logits"].astype(np.float32), axis=1)
    return logits
