"""JSON of strangers: whatever is wrong with it is a `ValueError` in words."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """As `json.loads`, with a `ValueError` also for what is nested deeper than Python's stack reaches."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
