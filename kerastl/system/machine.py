"""The machine: its processor, which a number was measured on, and the memory that it has left."""

from __future__ import annotations

import contextlib
import platform
from pathlib import Path

_LIBRARIES = 5_000_000_000
"""Bytes of addresses that TensorFlow, its threads and NumPy's arrays of a small data set take before any training."""
_BFLOAT16_UNITS = {"avx512_bf16": "AVX-512 BF16", "amx_bf16": "AMX"}


def processor() -> str:
    """Name of the processor, as it calls itself; of one that does not say, its kind (``"arm64"``)."""
    return _said("model name") or platform.processor() or platform.machine()


def features() -> frozenset[str]:
    """What the processor can do beyond its kind, as Linux names it (``"avx512_bf16"``); elsewhere nothing is known."""
    return frozenset((_said("flags") or _said("Features")).split())


def bfloat16_units() -> tuple[str, ...]:
    """Units of the processor that multiply matrices of bfloat16 as such, by their makers' names; elsewhere bfloat16 is
    emulated, many times slower.
    """
    known = features()
    return tuple(name for flag, name in _BFLOAT16_UNITS.items() if flag in known)


def _said(name: str) -> str:
    """What Linux says of the first processor that says anything."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    said = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in said if key.strip() == name and value.strip()), "")


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take: of the machine, of its control group, of its own limit (`ulimit -v`).

    Args:
        root: where ``proc`` and ``sys`` are found.
    """
    free = [1 << 62]
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = (root / "proc/meminfo").read_text().splitlines()
        free += [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    for limit, used in (
        ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"),
        ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # ValueError: "max"
            free.append(int((root / limit).read_text()) - int((root / used).read_text()))
    with contextlib.suppress(ImportError):  # Windows has no such limits
        import resource

        addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
        if addresses != resource.RLIM_INFINITY:
            free.append(addresses - _LIBRARIES)
    return max(min(free), 1 << 28)
