"""JSON of strangers: bounded in size, and whatever is wrong with it is a `ValueError` in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LARGEST = 32_000_000
"""Bytes of JSON that are read at most: what is nothing but brackets takes thirty times as much memory."""


def loads(text: str | bytes) -> Any:
    """As `json.loads`, with a `ValueError` also for what is too long, or nested deeper than Python's stack reaches."""
    if len(text) > LARGEST:
        raise ValueError(f"it has {len(text):,} bytes, more than the {LARGEST:,} that are read")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def read(path: Path) -> Any:
    """What a JSON file in UTF-8 holds.

    Raises:
        FileNotFoundError: there is no such file; a device or a pipe is none.
        ValueError: naming the file, if it is larger than `LARGEST`, no UTF-8, no JSON, or nested too deep.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"Wanted at most {LARGEST:,} bytes of JSON. Received: {path} of more.")
    try:
        return loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error


def read_object(path: Path) -> dict[str, Any]:
    """As `read`, of a file that holds settings by their names.

    Raises:
        FileNotFoundError: as `read`.
        ValueError: as `read`; or it holds something else than an object.
    """
    content = read(path)
    if not isinstance(content, dict):
        raise ValueError(f"Wanted an object of JSON. Received: {path}, which holds a {type(content).__name__}.")
    return content
