"""A score of features while they are pretrained: what their nearest labelled neighbours say of held-out examples."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kerastl.pretraining import probe


class NeighbourScore(keras.callbacks.Callback):
    """Adds ``knn_accuracy`` to the logs of every epoch, and so to curves, TensorBoard and the progress bar.

    Nothing is trained for it, and no label reaches the objective. See `probe.nearest_neighbour_accuracy`.

    The model that is trained has its ``encoder``, as `two_views.TwoViews` has.

    Args:
        known, labels: examples whose class indices are known.
        inputs, actual: held-out ones; a thousand say enough.
        neighbours: that vote.
        batch_size: examples that the encoder looks at at once.

    Raises:
        ValueError: there is no example, or not a label for each.
    """

    def __init__(
        self,
        known: Any,
        labels: np.ndarray,
        *,
        inputs: Any,
        actual: np.ndarray,
        neighbours: int = 20,
        batch_size: int = 250,
    ) -> None:
        super().__init__()
        counts = [len(one) for one in (known, labels, inputs, actual)]
        if counts[0] != counts[1] or counts[2] != counts[3] or not min(counts):
            raise ValueError(f"Wanted examples, known and held out, with a label each. Received: {counts} of them.")
        self._known, self._labels, self._inputs, self._actual = known, labels, inputs, actual
        self._neighbours, self._batch_size = neighbours, batch_size

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Scores the features as they are now."""
        if logs is not None:
            known, found = self._features(self._known), self._features(self._inputs)
            logs["knn_accuracy"] = probe.nearest_neighbour_accuracy(
                found, self._actual, known=known, labels=self._labels, neighbours=self._neighbours
            )

    def _features(self, inputs: Any) -> np.ndarray:
        """In inference mode, float32 ``(examples, width)``; what is lazy is read a batch at a time."""
        starts = range(0, len(inputs), self._batch_size)
        parts = (inputs[start : start + self._batch_size] for start in starts)
        encoder = self.model.encoder
        tensors = (keras.ops.convert_to_tensor(part, encoder.inputs[0].dtype) for part in parts)
        return np.concatenate([np.asarray(encoder(one, training=False), np.float32) for one in tensors])
