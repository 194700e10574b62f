"""Multi-label classification in Keras: the weighted loss and the metric, which saved models name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kerastl.tasks import multi_label


@keras.saving.register_keras_serializable(package="kerastl")
class WeightedBinaryCrossentropy(keras.losses.Loss):
    """Mean binary cross-entropy of all classes in which those that an example has count their weight.

    With ``p = sigmoid(logit)`` a class costs ``-(weight * y * log(p) + (1 - y) * log(1 - p))``. Where the weight is
    negatives / positives, those that have a class count as much as those that do not (Rajpurkar et al. 2017, "CheXNet",
    section 2.1, up to a factor; https://arxiv.org/abs/1711.05225).

    Args:
        weights: of each class, positive.
        reduction, name, dtype: as for every loss of Keras.

    Raises:
        ValueError: a weight is not a positive number.
    """

    def __init__(
        self,
        weights: Sequence[float],
        *,
        reduction: str = "sum_over_batch_size",
        name: str = "positive_weights",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.weights = [float(weight) for weight in weights]
        if not all(0 < weight < float("inf") for weight in self.weights):
            raise ValueError(f"Weights of classes are positive numbers. Received: {self.weights}.")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        there = ops.cast(y_true, y_pred.dtype)
        weights = ops.convert_to_tensor(self.weights, y_pred.dtype)
        entropy = ops.binary_crossentropy(there, y_pred, from_logits=True)
        return ops.mean(entropy * (1 + (weights - 1) * there), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weights": self.weights}


# Files of version 0.1 call it so.
keras.saving.get_custom_objects()["kerastl>PositiveWeights"] = WeightedBinaryCrossentropy


@keras.saving.register_keras_serializable(package="kerastl")
def exact_match(labels: Any, logits: Any) -> Any:
    """1 for each example of which all classes are answered right, float32 ``(batch,)``; both ``(batch, classes)``."""
    there = ops.greater_equal(ops.sigmoid(logits), multi_label.THRESHOLD)
    return ops.cast(ops.all(ops.equal(there, ops.cast(labels, "bool")), axis=-1), "float32")
