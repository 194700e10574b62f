"""Threads of TensorFlow that read examples in Python, and the end of the interpreter."""

from __future__ import annotations

import atexit
import functools
import threading
import time


class Gate:
    """Through which TensorFlow's threads come to read; closed before the interpreter ends.

    An iterator that was not read to its end goes on reading ahead. A thread of it that is inside Python when the
    interpreter ends never comes back, and TensorFlow waits for it for ever.
    """

    _QUIET = 0.2  # seconds without a reader after which none is on its way: whoever comes now is turned away at once

    def __init__(self) -> None:
        self._inside, self._last, self._closed, self._lock = 0, 0.0, False, threading.Lock()

    def __enter__(self) -> bool:
        self._count(1)
        return not self._closed

    def __exit__(self, *_: object) -> None:
        self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self._inside += step
            self._last = time.monotonic()

    def close(self) -> None:
        self._closed = True
        patience = time.monotonic() + 10
        while (self._inside or time.monotonic() - self._last < self._QUIET) and time.monotonic() < patience:
            time.sleep(0.01)


@functools.cache
def gate() -> Gate:
    """The one of the process, which closes when the interpreter ends."""
    made = Gate()
    atexit.register(made.close)
    return made
