"""Squared error in standard deviations, which tasks of plain numbers are trained to."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@functools.cache
def standardized() -> type[keras.losses.Loss]:
    """The loss as a class of Keras, which is imported only where somebody trains."""
    import keras
    from keras import ops

    @keras.saving.register_keras_serializable(package="kerastl")
    class StandardizedSquaredError(keras.losses.Loss):
        """``mean(((y - y') / spread)^2)`` over all numbers of an example, of which one may lack its axis.

        Args:
            spread: positive, one for all numbers or one a place of the last axis.
        """

        def __init__(self, spread: Sequence[float], **options: Any) -> None:
            super().__init__(**{"name": "standardized_squared_error", **options})
            self.spread = [float(value) for value in spread]

        def call(self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor) -> keras.KerasTensor:
            wanted = ops.reshape(ops.cast(y_true, y_pred.dtype), ops.shape(y_pred))
            squares = ops.square((y_pred - wanted) / ops.convert_to_tensor(self.spread, y_pred.dtype))
            return ops.mean(squares, axis=tuple(range(1, len(squares.shape))))

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "spread": self.spread}

    return StandardizedSquaredError
