"""What litert-quantizer says while it works, kept from the user's terminal: our own progress is what he reads."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

from litert_quantizer.utils import progress_utils


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Within it the quantizer draws no bar, and LiteRT does not warn that calibration keeps all tensors.

    Calibration cannot be told to draw none, and the quantizer's last step forgets what it was told (litert-quantizer
    0.11). That every tensor is kept is what calibration is; the warning speaks to those who debug.
    """
    bar = progress_utils.ProgressBar
    progress_utils.ProgressBar = lambda *words, **options: bar(*words, **{**options, "enable": False})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors")
            yield
    finally:
        progress_utils.ProgressBar = bar
