"""The machine that a number was measured on."""

from __future__ import annotations

import platform
from pathlib import Path


def processor() -> str:
    """Name of the processor, as it calls itself; of one that does not say, its kind (``"arm64"``)."""
    return _said("model name") or platform.processor() or platform.machine()


def features() -> frozenset[str]:
    """What the processor can do beyond its kind, as Linux names it (``"avx512_bf16"``); elsewhere nothing is known."""
    return frozenset((_said("flags") or _said("Features")).split())


def _said(name: str) -> str:
    """What Linux says of the first processor that says anything."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    said = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in said if key.strip() == name and value.strip()), "")
