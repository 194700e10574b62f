"""An optimizer that asks for the learning rate, and makes what Adam takes of it, once a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops


def ask_once(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer, which now takes one answer of its schedule for a step: bitwise as before, and sooner.

    Keras 3 asks the schedule anew for each variable's decay, and for the step itself. Of a warm-up cosine, a condition
    with two branches in the graph, that are hundreds of operations for the one number: a quarter of the time that a
    training takes to begin, and some of every step. Adam makes a dozen operations more of it for each variable, which
    give all of them the same number. The optimizer itself is changed, and not its class, for a saved model names the
    class.

    Args:
        optimizer: any of Keras, in TensorFlow.

    Returns:
        The same object.
    """
    apply, ask = optimizer._backend_apply_gradients, optimizer._get_current_learning_rate
    adam = _Adam(optimizer) if type(optimizer).update_step is keras.optimizers.Adam.update_step else None

    def apply_by_one_rate(gradients: Sequence[Any], variables: Sequence[Any]) -> None:
        rate = ask()
        optimizer._get_current_learning_rate = lambda: rate
        if adam:
            adam.rates.clear()
        try:
            apply(gradients, variables)
        finally:
            optimizer._get_current_learning_rate = ask

    optimizer._backend_apply_gradients = apply_by_one_rate
    if adam:
        optimizer.update_step = adam.update_step
    return optimizer


class _Adam:
    """Keras' own step of one variable, but for the step size, which is that of the variable before."""

    def __init__(self, optimizer: Any) -> None:
        self._optimizer = optimizer
        self._each = optimizer.update_step
        self.rates: dict[str, Any] = {}

    def update_step(self, gradient: Any, variable: Any, rate: Any) -> None:
        own = self._optimizer
        if own.amsgrad or own._distribution_strategy.num_replicas_in_sync > 1:  # a number is of one device
            self._each(gradient, variable, rate)
            return
        dtype = keras.backend.standardize_dtype(variable.dtype)
        if dtype not in self.rates:
            self.rates[dtype] = self._step_size(rate, dtype)
        place = own._get_variable_index(variable)
        m, v = own._momentums[place], own._velocities[place]
        gradient = ops.cast(gradient, dtype)
        own.assign_add(m, ops.multiply(ops.subtract(gradient, m), 1 - own.beta_1))
        own.assign_add(v, ops.multiply(ops.subtract(ops.square(gradient), v), 1 - own.beta_2))
        size = self.rates[dtype]
        own.assign_sub(variable, ops.divide(ops.multiply(m, size), ops.add(ops.sqrt(v), own.epsilon)))

    def _step_size(self, rate: Any, dtype: str) -> Any:
        own = self._optimizer
        step = ops.cast(own.iterations + 1, dtype)
        first, second = (ops.power(ops.cast(beta, dtype), step) for beta in (own.beta_1, own.beta_2))
        return ops.cast(rate, dtype) * ops.sqrt(1 - second) / (1 - first)
