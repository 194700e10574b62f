"""Multi-task learning in Keras: the loss of one of several tasks, of the examples that have a label of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerastl")
class LabelledLoss(keras.losses.Loss):
    """The mean of a loss over those examples of a batch that have a label; 0 of a batch in which none has.

    An example without a label has no gradient. The mean is over those that have one, so that a task that few examples
    have a label of counts as much as one that all have.

    Args:
        loss: of the task, with a value an example.
        integer: whether labels are integers, of which those below 0 are none; of other numbers NaN is none.
        class_weight: class index -> how much an example of it counts, for labels that are one class an example.
        reduction, name, dtype: as for every loss of Keras.
    """

    def __init__(
        self,
        loss: keras.losses.Loss,
        *,
        integer: bool,
        class_weight: Mapping[int, float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "labelled_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.loss, self.integer = loss, integer
        self.class_weight = None if class_weight is None else {int(key): value for key, value in class_weight.items()}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        missing = ops.less(y_true, 0) if self.integer else ops.isnan(y_true)
        # filled in before the loss: what is NaN there has a gradient that is NaN, though it counts nothing
        filled = ops.where(missing, ops.zeros_like(y_true), y_true)
        values = self.loss.call(filled, y_pred)
        rows = ops.shape(values)[0]
        there = ops.logical_not(ops.any(ops.reshape(missing, (rows, -1)), axis=-1))
        weights = ops.cast(there, values.dtype)
        share = ops.sum(weights) / ops.cast(rows, values.dtype)
        if self.class_weight is not None:
            table = [self.class_weight[index] for index in range(len(self.class_weight))]
            classes = ops.cast(ops.reshape(filled, (rows,)), "int32")
            weights = weights * ops.take(ops.convert_to_tensor(table, values.dtype), classes)
        # where none has a label all weights are 0, whatever they are divided by
        return values * weights / ops.maximum(share, ops.cast(keras.config.epsilon(), values.dtype))

    def get_config(self) -> dict[str, Any]:
        weights = None if self.class_weight is None else {str(key): one for key, one in self.class_weight.items()}
        inner = keras.saving.serialize_keras_object(self.loss)
        return {**super().get_config(), "loss": inner, "integer": self.integer, "class_weight": weights}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LabelledLoss:
        return cls(**{**config, "loss": keras.saving.deserialize_keras_object(config["loss"])})
