"""Memory that TensorFlow would hold until the process ends, and what is said where memory runs out.

It registers the gradient of every `custom_gradient` that is traced (Keras' optimizers trace one a training) in a table
of the process and never takes it out again, and each entry holds its whole graph with all that the graph caught: 4 to
8 MB a `fit` of a tiny network, measured over a dozen of them. Compiled operations stay in a cache beside it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import ops


@contextlib.contextmanager
def release_graphs() -> Iterator[None]:
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


@contextlib.contextmanager
def explain_out_of_memory(doing: str) -> Iterator[None]:
    """Says in words what to do where memory runs out, on whichever device.

    Raises:
        MemoryError: in place of what TensorFlow, or Python, raises inside.
    """
    try:
        yield
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        asked = re.search(r"(shape ?[\[(][\d, ]+[\])].*?)( by|$)", str(error), re.MULTILINE)
        wanted = f" Received: a request for {asked[1]}." if asked else ""
        raise MemoryError(f"Out of memory while {doing}: a smaller batch needs less.{wanted}") from error
