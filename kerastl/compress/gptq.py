"""The integers of one kernel whose products are nearest: optimal brain quantization.

A kernel is there to be multiplied with inputs, and what its rounding errs in a product is on the mean ``d H d'``, of
the errors ``d`` of a row's weights and the second moments ``H`` of its inputs (Hassibi & Stork 1993, "Second order
derivatives for network pruning: Optimal Brain Surgeon"). So weights are rounded in turn, and those that are still to
come make up for what the last one missed. In the same order for every row, all these steps are one triangle (GPTQ,
Frantar et al. 2022, https://arxiv.org/abs/2210.17323, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DAMPING = 0.01
"""Share of the mean second moment that is added to each: what some hundred examples never showed is no reason to move a
weight far (GPTQ, section 3.3)."""
_SHARES = np.geomspace(1.0, 0.2, 17)  # of the largest weight, that the largest integer may stand for
_NOTHING = 1e-30  # a row of no larger weights becomes zeros: its scale would be no float32
_BLOCK = 64  # weights that are rounded before what they missed is carried past them, in one product


class Rounded(NamedTuple):
    """A kernel of integers.

    Attributes:
        integers: ``(groups, rows, columns)``, whole numbers.
        scales: ``(groups, rows)``, or ``(groups, rows, blocks)``; a weight is its integer times the scale of its row,
            or of its block of a row.
    """

    integers: np.ndarray
    scales: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """What the integers stand for, ``(groups, rows, columns)``."""
        return self.integers * _by_column(self.scales, self.integers.shape[-1])


def damped(moments: np.ndarray) -> np.ndarray:
    """Second moments that can be inverted, whatever the inputs were.

    Args:
        moments: ``(groups, columns, columns)``.
    """
    mean = np.trace(moments, axis1=-2, axis2=-1) / moments.shape[-1]
    added = np.where(mean > 0, DAMPING * mean, 1.0)
    return moments + added[:, None, None] * np.eye(moments.shape[-1])


def rounded(
    weights: np.ndarray,
    moments: np.ndarray,
    *,
    largest: int,
    one_scale: bool = False,
    zeros: np.ndarray | None = None,
    block: int | None = None,
    stored: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Rounded:
    """The rows of a kernel as integers, with those of the scales tried that err least.

    A scale at which the largest weights are cut off leaves all others finer steps, and is often the better one. Weights
    that are simply rounded to the nearest integer are tried as well, so that none errs more than they do.

    Args:
        weights: ``(groups, rows, columns)``; each group has inputs of its own.
        moments: of the inputs of each group, ``(groups, columns, columns)``, positive definite (see `damped`).
        largest: integers are ``-largest`` to ``largest``.
        one_scale: whether all rows have the same scale, or each its own.
        zeros: which weights are to be zero, as ``weights``; ``None``: none has to.
        block: weights of a row in turn that have a scale of their own; ``None``: all of a row have one.
        stored: what becomes of scales where they are held in fewer bits.
    """
    counts = np.ones(weights.shape) if zeros is None else ~zeros
    limits = np.abs(weights if block is None else weights.reshape(*weights.shape[:-1], -1, block)).max(-1)
    limits = np.full_like(limits, limits.max()) if one_scale else limits
    limits = np.where(limits > _NOTHING, limits, 1.0)
    triangle = _triangle(moments)
    best, least = Rounded(np.zeros_like(weights), limits / largest), np.full(weights.shape[:-1], np.inf)
    for share in _SHARES:
        scales = limits * share / largest
        scales = scales if stored is None else stored(scales).astype(np.float64)
        columns = _by_column(scales, weights.shape[-1])
        nearest = np.clip(np.rint(weights / columns), -largest, largest) * counts
        for integers in (nearest, _in_turn(weights, triangle, columns, largest=largest, counts=counts)):
            errors = error(weights - integers * columns, moments)
            errors = np.full_like(errors, errors.sum()) if one_scale else errors
            better = errors < least
            best.integers[better], best.scales[better] = integers[better], scales[better]
            least = np.minimum(errors, least)
    return best


def _by_column(scales: np.ndarray, columns: int) -> np.ndarray:
    """The scale of every weight, ``(groups, rows, columns)``."""
    scales = scales.reshape(*scales.shape[:2], -1)
    return np.repeat(scales, columns // scales.shape[-1], -1)


def error(difference: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Mean square of the products of each row with the inputs, ``(groups, rows)``."""
    return np.einsum("grc,grc->gr", difference @ moments, difference)


def _triangle(moments: np.ndarray) -> np.ndarray:
    """The upper triangle ``U`` with ``U'U`` the inverse of the moments.

    The row of a weight holds by how much those behind it make up for it.
    """
    last_first = np.linalg.cholesky(moments[:, ::-1, ::-1])
    return np.linalg.inv(last_first[:, ::-1, ::-1])


def _in_turn(
    weights: np.ndarray, triangle: np.ndarray, scales: np.ndarray, *, largest: int, counts: np.ndarray
) -> np.ndarray:
    """Column after column to the nearest integers; those behind it make up for what is missed.

    Args:
        weights, scales, counts: ``(groups, rows, columns)``.
        triangle: of `_triangle`.
        largest: as in `rounded`.
    """
    left, integers = weights.copy(), np.empty_like(weights)
    for start in range(0, weights.shape[-1], _BLOCK):
        stop = min(start + _BLOCK, weights.shape[-1])
        missed = np.empty((*weights.shape[:-1], stop - start))
        for column in range(start, stop):
            now, row = left[..., column], triangle[:, None, column, column:stop]
            scale = scales[..., column]
            integers[..., column] = np.clip(np.rint(now / scale), -largest, largest) * counts[..., column]
            missed[..., column - start] = (now - integers[..., column] * scale) / row[..., 0]
            left[..., column:stop] -= missed[..., column - start, None] * row
        left[..., stop:] -= missed @ triangle[:, start:stop, stop:]
    return integers
