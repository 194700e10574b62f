from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from kerastl.system import machine


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("processor : 0\nmodel name\t: AMD EPYC 7\nmodel name\t: another\n", "AMD EPYC 7"),
        ("processor : 0\nCPU implementer : 0x41\n", "arm64"),  # an ARM kernel gives no name
        ("model name :\n", "arm64"),
    ],
)
def test_the_processors_own_name_or_its_kind(said, name, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, **_: said)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert machine.processor() == name


def test_where_there_is_no_such_file(monkeypatch):
    def missing(path, **_):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "Intel64 Family 6")
    assert machine.processor() == "Intel64 Family 6"


@pytest.mark.parametrize("key", ["flags", "Features"])  # as x86 kernels call them, and ARM kernels
def test_what_the_processor_can_do(key, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, **_: f"processor : 0\n{key}\t: fpu avx512_bf16 amx_bf16\n")
    assert machine.features() == {"fpu", "avx512_bf16", "amx_bf16"}


@pytest.mark.parametrize(
    ("flags", "units"),
    [
        ("fpu avx512_bf16 amx_bf16", ("AVX-512 BF16", "AMX")),
        ("fpu avx512_bf16", ("AVX-512 BF16",)),
        ("amx_bf16", ("AMX",)),
        ("fpu avx2 avx512f", ()),
    ],
)
def test_units_for_bfloat16(flags, units, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path, **_: f"flags : {flags}\n")
    assert machine.bfloat16_units() == units


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 4000000 kB\n"}, 4_096_000_000),
        (
            {
                "proc/meminfo": "MemAvailable: 4000000 kB\n",
                "sys/fs/cgroup/memory.max": "2000000000\n",
                "sys/fs/cgroup/memory.current": "500000000\n",
            },
            1_500_000_000,
        ),
        (
            {
                "proc/meminfo": "MemAvailable: 4000000 kB\n",
                "sys/fs/cgroup/memory.max": "max\n",
                "sys/fs/cgroup/memory.current": "500000000\n",
            },
            4_096_000_000,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "900000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "300000000\n",
            },
            600_000_000,
        ),
        ({"proc/meminfo": "MemAvailable: 10 kB\n"}, 1 << 28),  # so little that no limit would be of use
    ],
)
def test_free_memory_is_the_least_of_what_limits_it(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert machine.free_memory(tmp_path) == expected


def test_a_limit_of_addresses_counts_without_the_libraries():
    """`ulimit -v`, in a process of its own."""
    script = "from kerastl.system import machine; print(machine.free_memory())"
    limit = machine._LIBRARIES + 1_000_000_000
    result = subprocess.run(
        ["bash", "-c", f"ulimit -v {limit // 1024}; exec {sys.executable} -c '{script}'"],
        capture_output=True,
        text=True,
    )
    assert int(result.stdout) == limit // 1024 * 1024 - machine._LIBRARIES, result.stderr
