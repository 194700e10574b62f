"""Boxes out of a map of cells, as operators that every runtime has: decoding and non-maximum suppression in the graph.

Everything is built of Keras' operations, so that a saved model opens without kerastl and a file has built-in operators
only, and of a fixed size: candidates are the cells of the highest scores, and suppression is a few products of
matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

ROUNDS = 12
"""Rounds of suppression. One round settles the boxes that nothing suppresses, the next those that these leave ...: as
many as the longest chain has in which each box would suppress the next one."""


def cell_centres(grid: Sequence[int]) -> np.ndarray:
    """Centres of a grid's cells row by row, y and x as shares of the sides, float32 ``(cells, 2)``."""
    rows, columns = np.mgrid[: grid[0], : grid[1]].reshape(2, -1)
    return np.stack([(rows + 0.5) / grid[0], (columns + 0.5) / grid[1]], -1).astype("float32")


def boxes_of(outputs: Any, *, grid: Sequence[int], unit: float) -> Any:
    """Boxes ``(batch, cells, 4)`` of a model's first four outputs: distances of the sides from the cell's centre.

    A distance is ``unit * (elu(x) + 1)``: positive, and linear where it is large, which integers hold well.
    """
    reach = ops.multiply(ops.add(ops.elu(outputs[..., :4]), 1.0), unit)
    centres = np.tile(cell_centres(grid), (1, 2))[None]
    return ops.add(ops.multiply(reach, np.array([-1, -1, 1, 1], "float32")), centres)


def suppressed(boxes: Any, kinds: Any, *, overlap: float, rounds: int = ROUNDS) -> Any:
    """Non-maximum suppression: 1 for each box that stays, else 0, ``(batch, boxes)``.

    A box goes where one of its class that comes before it, and stays, overlaps it by more (greedy suppression, as in
    Felzenszwalb et al. 2010, section 7.2).

    Args:
        boxes: ``(batch, boxes, 4)``, the highest score first.
        kinds: their classes as floats, ``(batch, boxes)``.
        overlap: intersection over union.
        rounds: see `ROUNDS`.
    """
    count = boxes.shape[1]
    first, last = boxes[..., :2], boxes[..., 2:]
    near = ops.maximum(ops.expand_dims(first, 2), ops.expand_dims(first, 1))
    far = ops.minimum(ops.expand_dims(last, 2), ops.expand_dims(last, 1))
    sides = ops.relu(ops.subtract(far, near))
    shared = ops.multiply(sides[..., 0], sides[..., 1])
    own = ops.relu(ops.subtract(last, first))
    areas = ops.multiply(own[..., 0], own[..., 1])
    # not `ops.add`, which takes (1, 1, boxes) for a bias and makes what the converter cannot read
    whole = ops.subtract(ops.expand_dims(areas, 2), ops.subtract(shared, ops.expand_dims(areas, 1)))
    over = ops.cast(ops.greater(shared, ops.multiply(whole, overlap)), "float32")
    apart = ops.absolute(ops.subtract(ops.expand_dims(kinds, 2), ops.expand_dims(kinds, 1)))
    alike = ops.relu(ops.subtract(1.0, apart))
    before = np.triu(np.ones((1, count, count), "float32"), 1)  # rows suppress columns
    over = ops.multiply(ops.multiply(over, alike), before)
    kept = ops.add(ops.multiply(ops.expand_dims(areas, 1), 0.0), 1.0)
    for _ in range(rounds):
        kept = ops.relu(ops.subtract(1.0, ops.matmul(kept, over)))
    return kept[:, 0]


def decoded(outputs: Any, *, grid: Sequence[int], unit: float, candidates: int, detections: int, overlap: float) -> Any:
    """Boxes, classes and scores of a model's outputs, ``(batch, detections, 6)``, the highest score first.

    Args:
        outputs: ``(batch, cells, 4 + classes)``: see `boxes_of`, and a logit a class.
        grid: rows and columns of the cells.
        unit: of distances, see `boxes_of`.
        candidates: cells of the highest scores that are looked at.
        detections: boxes that come out; of those that were suppressed the score is 0.
        overlap: from which on one box suppresses another of its class.
    """
    cells = grid[0] * grid[1]
    scores = ops.sigmoid(outputs[..., 4:])
    best = ops.max(scores, axis=-1, keepdims=True)
    # not `ops.argmax`, whose bits of negative zeros are no built-in operator
    numbers = np.arange(outputs.shape[-1] - 4, dtype="float32").reshape(1, 1, -1)
    named = ops.cast(ops.greater_equal(scores, best), "float32")
    kinds = ops.max(ops.multiply(named, numbers), axis=-1, keepdims=True)
    whole = ops.concatenate([boxes_of(outputs, grid=grid, unit=unit), kinds], axis=-1)
    best, places = ops.top_k(best[..., 0], candidates)
    picked = ops.matmul(ops.one_hot(places, cells, dtype="float32"), whole)
    kept = suppressed(picked[..., :4], picked[..., 4], overlap=overlap)
    left, places = ops.top_k(ops.multiply(best, kept), detections)
    found = ops.matmul(ops.one_hot(places, candidates, dtype="float32"), picked)
    boxes = ops.minimum(ops.relu(found[..., :4]), 1.0)
    return ops.concatenate([boxes, found[..., 4:], ops.expand_dims(left, -1)], axis=-1)
