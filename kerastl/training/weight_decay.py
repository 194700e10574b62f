"""Weight decay that asks for the learning rate once a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


def ask_once(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer, which now decays all variables by one answer of its schedule: bitwise as before, and sooner.

    Keras 3 asks the schedule anew for each variable's decay. Of a warm-up cosine, a condition with two branches in the
    graph, that are hundreds of operations for the one number: a quarter of the time that a training takes to begin, and
    some of every step. The optimizer itself is changed, and not its class, for a saved model names the class.

    Args:
        optimizer: any of Keras, in TensorFlow.

    Returns:
        The same object.
    """
    decay, ask = optimizer._apply_weight_decay, optimizer._get_current_learning_rate

    def decay_all(variables: Sequence[Any]) -> None:
        rate = ask()
        optimizer._get_current_learning_rate = lambda: rate
        try:
            decay(variables)
        finally:
            optimizer._get_current_learning_rate = ask

    optimizer._apply_weight_decay = decay_all
    return optimizer
