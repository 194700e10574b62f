"""Configurations of strangers: a model that describes far more numbers than its files hold is not built."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from typing import Any

import keras

_FEW = 2_500_000  # ten megabytes: no model is too large for these


class DeclaredSizeError(ValueError):
    """A configuration of a model that is too large for its weights."""


@contextlib.contextmanager
def bounded(held: int) -> Iterator[None]:
    """Ends the building of a model as soon as it has far more numbers than there are for it, before they take memory.

    Every variable that this thread makes in the block is counted before it has a value.

    Args:
        held: numbers that the model's files hold; twice as many may be made.

    Raises:
        DeclaredSizeError: it wanted more, whatever Keras made of the error on its way.
    """
    kind: Any = keras.Variable
    before, own = kind.__init__, "__init__" in vars(kind)
    thread, most, made = threading.get_ident(), max(_FEW, 2 * held), 0

    def counted(self: Any, initializer: Any, shape: Any = None, *arguments: Any, **options: Any) -> None:
        nonlocal made
        if threading.get_ident() == thread:
            sizes = [shape] if isinstance(shape, int) else [size for size in shape or () if isinstance(size, int)]
            made += math.prod(sizes)
            if made > most:
                raise DeclaredSizeError(_words(made, held))
        before(self, initializer, shape, *arguments, **options)

    kind.__init__ = counted
    try:
        yield
    except Exception as error:
        if made > most:
            raise DeclaredSizeError(_words(made, held)) from error
        raise
    finally:
        if own:
            kind.__init__ = before
        else:
            del kind.__init__


def _words(made: int, held: int) -> str:
    return f"its configuration describes {made:,} numbers or more, and it holds {held:,}"
