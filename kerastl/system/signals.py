"""What asks a process to end, as an exception, so that it ends in order."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def sigterm_exits() -> Iterator[None]:
    """Within it SIGTERM raises `SystemExit`, so that temporary folders and children go, and a training keeps a
    checkpoint; who trains has a handler of its own. In another thread than the main one, as a notebook may run it,
    nothing changes: none can be set there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
