"""Memory that TensorFlow would hold until the process ends.

It registers the gradient of every `custom_gradient` that is traced (Keras' optimizers trace one a training) in a table
of the process and never takes it out again, and each entry holds its whole graph with all that the graph caught: 4 to
8 MB a `fit` of a tiny network, measured over a dozen of them. Compiled operations stay in a cache beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tensorflow.python.eager import context
from tensorflow.python.framework import ops


@contextlib.contextmanager
def released() -> Iterator[None]:
    """Whatever was traced inside is let go of at the end.

    A `tf.function` that was traced inside and holds a custom gradient still runs afterwards, but cannot be
    differentiated any more without being traced again.
    """
    # Private names, for there are no public ones. Without them nothing breaks, and the soak test says what it costs.
    table = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
    before = set(table)
    try:
        yield
    finally:
        for name in set(table) - before:
            if name.startswith("CustomGradient-"):
                del table[name]
        context.context().clear_kernel_cache()
