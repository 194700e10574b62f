from __future__ import annotations

import platform
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
