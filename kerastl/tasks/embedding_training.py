"""The loss of embeddings in Keras, which saved models name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kerastl")
class SupervisedContrastive(keras.losses.Loss):
    """Each example is to be nearer to those of its group in the batch than to all others.

    ``-1 / |P(i)| * sum_p log(exp(z_i z_p / T) / sum_{a != i} exp(z_i z_a / T))`` of example i, with P(i) the others of
    its group (Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2, https://arxiv.org/abs/2004.11362). An
    example without another of its group in the batch says nothing: the mean is that over all others.

    Args:
        temperature: above 0, by which cosines are divided; 0.1 in the paper.
        reduction, name, dtype: as for every loss of Keras.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        *,
        reduction: str = "sum_over_batch_size",
        name: str = "supervised_contrastive",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.temperature = float(temperature)
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"A temperature is above 0. Received: {temperature}.")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Groups ``(batch,)`` and vectors ``(batch, width)`` to the loss of each example, ``(batch,)``."""
        vectors = ops.normalize(ops.cast(y_pred, "float32"), axis=-1)
        groups = ops.reshape(y_true, (-1,))
        cosines = ops.matmul(vectors, ops.transpose(vectors)) / self.temperature
        others = 1 - ops.eye(ops.shape(groups)[0], dtype="float32")
        same = ops.cast(ops.equal(groups[:, None], groups[None]), "float32") * others
        scaled = ops.where(others > 0, cosines, -1e9)  # the example itself is no candidate
        log_shares = cosines - ops.logsumexp(scaled, axis=-1, keepdims=True)
        count = ops.sum(same, axis=-1)
        losses = -ops.sum(same * log_shares, axis=-1) / ops.maximum(count, 1)
        there = ops.sum(ops.cast(count > 0, "float32"))
        return losses * ops.cast(ops.shape(groups)[0], "float32") / ops.maximum(there, 1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "temperature": self.temperature}
