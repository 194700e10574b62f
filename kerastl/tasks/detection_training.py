"""Object detection in Keras: focal loss, overlap loss, and what each cell of a map is to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kerastl.tasks import detection_decoding

_REACH = 0.54
"""Share of a box over which cells learn it (Liu et al. 2020, "Training-Time-Friendly Network for Real-Time Object
Detection", section 3.2, https://arxiv.org/abs/1909.00700)."""
_SIDES_WEIGHT = 5.0  # of the overlap loss beside the focal loss, as there


def focal(logits: Any, wanted: Any) -> Any:
    """Penalty-reduced focal loss of each number (Zhou et al. 2019, "Objects as Points", equation 1).

    ``-(1 - p) ** 2 * log(p)`` where 1 is wanted, ``-(1 - wanted) ** 4 * p ** 2 * log(1 - p)`` elsewhere, with ``p =
    sigmoid(logit)``.
    """
    p = ops.sigmoid(logits)
    there = ops.cast(ops.greater_equal(wanted, 1.0 - 1e-6), logits.dtype)
    positive = ops.square(1 - p) * ops.softplus(-logits)
    negative = ops.power(1 - wanted, 4) * ops.square(p) * ops.softplus(logits)
    return there * positive + (1 - there) * negative


def giou_loss(boxes: Any, wanted: Any) -> Any:
    """One less the generalized intersection over union of pairs of boxes ``(..., 4)``, from 0 to 2.

    Rezatofighi et al. 2019, "Generalized Intersection over Union" (https://arxiv.org/abs/1902.09630).
    """
    shared = ops.minimum(boxes[..., 2:], wanted[..., 2:]) - ops.maximum(boxes[..., :2], wanted[..., :2])
    shared = ops.prod(ops.relu(shared), axis=-1)
    areas = [ops.prod(ops.relu(one[..., 2:] - one[..., :2]), axis=-1) for one in (boxes, wanted)]
    whole = areas[0] + areas[1] - shared + 1e-9
    hull = ops.maximum(boxes[..., 2:], wanted[..., 2:]) - ops.minimum(boxes[..., :2], wanted[..., :2])
    hull = ops.prod(ops.relu(hull), axis=-1) + 1e-9
    return 1 - shared / whole + (hull - whole) / hull


def targets(labels: Any, *, grid: Sequence[int]) -> tuple[Any, Any, Any]:
    """What each cell is to say: how near it is to a box's centre, of which class, and the box.

    Each box has a Gaussian around the cell of its centre, which has 1 there; a cell learns the box whose value is the
    largest, of equal ones the smaller box.

    Args:
        labels: ``(batch, boxes, 5)``; those of class -1 are none.
        grid: rows and columns.

    Returns:
        Values 0..1 ``(batch, cells)``, classes ``(batch, cells)``, boxes ``(batch, cells, 4)``.
    """
    sizes = np.array(grid, "float32")
    centres = detection_decoding.cell_centres(grid)[None, :, None]
    first, last = labels[..., :2], labels[..., 2:4]
    own = (ops.floor((first + last) / 2 * sizes) + 0.5) / sizes
    spread = ops.maximum((last - first) * _REACH / 6 * 2, 0.25 / sizes)[:, None]
    distance = ops.sum(ops.square((centres - own[:, None]) / spread), axis=-1) / 2
    values = ops.exp(-distance) * ops.cast(labels[:, None, :, 4] >= 0, "float32")  # (batch, cells, boxes)
    area = ops.prod(last - first, axis=-1)[:, None]
    chosen = ops.one_hot(ops.argmax(values - 1e-4 * area, axis=-1), labels.shape[1], dtype="float32")
    learnt = ops.matmul(chosen, labels)
    return ops.sum(values * chosen, axis=-1), learnt[..., 4], learnt[..., :4]


@keras.saving.register_keras_serializable(package="kerastl")
class DetectionLoss(keras.losses.Loss):
    """Focal loss of the classes of all cells, and the overlap loss of the boxes of those near a centre.

    Args:
        grid: rows and columns of the cells.
        unit: of distances, see `detection_decoding.boxes_of`.
        reduction, name, dtype: as for every loss of Keras.
    """

    def __init__(
        self,
        grid: Sequence[int],
        *,
        unit: float,
        reduction: str = "sum_over_batch_size",
        name: str = "detection_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.grid, self.unit = (int(grid[0]), int(grid[1])), float(unit)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        labels, outputs = ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")
        values, kinds, boxes = targets(labels, grid=self.grid)
        classes = outputs.shape[-1] - 4
        asked = ops.one_hot(ops.cast(ops.maximum(kinds, 0), "int32"), classes, dtype="float32")
        count = ops.maximum(ops.sum(ops.cast(labels[..., 4] >= 0, "float32"), axis=-1), 1.0)
        named = ops.sum(focal(outputs[..., 4:], asked * values[..., None]), axis=(1, 2)) / count
        given = detection_decoding.boxes_of(outputs, grid=self.grid, unit=self.unit)
        weights = values * ops.cast(values > 0.2, "float32")
        sides = ops.sum(giou_loss(given, boxes) * weights, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1.0)
        return named + _SIDES_WEIGHT * sides

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "grid": list(self.grid), "unit": self.unit}
