"""`doctor`: what is installed, and what will not work."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kerastl.system import machine

_IMPORTS = {
    "tensorflow": "tensorflow",
    "keras": "keras",
    "keras-hub": "keras_hub",
    "tf-keras": "tf_keras",
    "tensorflow-model-optimization": "tensorflow_model_optimization",
    "tensorflow-datasets": "tensorflow_datasets",
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "litert-quantizer": "litert_quantizer",
}
"""Of each requirement that has native code of its own, or that imports such: its module."""
_ROOM = 2_000_000_000
_CONFINEMENT = "kerastl.untrusted.confinement"


class Finding(NamedTuple):
    """One thing looked at: `state` is `ok`, `note` (works, but worth knowing) or `wrong`."""

    what: str
    state: str
    detail: str


def doctor(*, imports: bool, as_json: bool) -> int:
    """Prints what was found; 1 if anything is wrong."""
    findings = [*_python(), *_packages(), *_settings(), *_machine(), _sandbox()]
    if imports:
        findings += [_import(_IMPORTS[name]) for name, _ in _requirements() if name in _IMPORTS]
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            print(f"{finding.state:<5}  {finding.what:<{width}}  {finding.detail}".rstrip())
        wrong = sum(finding.state == "wrong" for finding in findings)
        print(f"{wrong} thing(s) will not work" if wrong else "everything needed is here")
    return 1 if any(finding.state == "wrong" for finding in findings) else 0


def _python() -> Iterator[Finding]:
    wanted = _project().get("requires-python", "")
    yield _compare("python", platform.python_version(), wanted)


def distribution() -> str:
    """Name of what was installed with pip: ``kerastl``, or ``kerastl-light``; the first where nothing was."""
    for name in ("kerastl", "kerastl-light"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.distribution(name).name
    return "kerastl"


def _project() -> dict:
    """Requirements from the checkout's pyproject.toml, or from the installed package."""
    name, root = distribution(), Path(__file__).resolve().parents[2]
    path = (root / "light" if name == "kerastl-light" else root) / "pyproject.toml"
    if path.is_file():
        return tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    metadata = importlib.metadata.metadata(name)
    needed = [one for one in importlib.metadata.requires(name) or [] if "extra ==" not in one]
    return {"requires-python": metadata["Requires-Python"], "dependencies": needed}


def _requirements() -> Iterator[tuple[str, str]]:
    """Every package that has to be there, and its versions."""
    for requirement in _project()["dependencies"]:
        plain = requirement.partition(";")[0].strip()
        end = next((i for i, letter in enumerate(plain) if not (letter.isalnum() or letter in "-_.")), len(plain))
        yield plain[:end], plain[end:].strip()


def _packages() -> Iterator[Finding]:
    for name, wanted in _requirements():
        try:
            yield _compare(name, importlib.metadata.version(name), wanted)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "wrong", f'not installed; pip install "{name}{wanted}"')


def _compare(name: str, version: str, wanted: str) -> Finding:
    try:
        from packaging.specifiers import SpecifierSet  # TensorFlow brings it
    except ImportError:
        return Finding(name, "note", f"{version} (wanted {wanted}; not compared, for want of the package packaging)")
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(name, "ok", version)
    return Finding(name, "wrong", f"{version}, wanted {wanted}")


def _settings() -> Iterator[Finding]:
    from kerastl.runs import store

    if distribution() == "kerastl":  # the light one has no Keras
        try:
            store.check_backend()
            yield Finding("Keras backend", "ok", "tensorflow")
        except ValueError as error:
            yield Finding("Keras backend", "wrong", str(error))
    home = Path(os.environ.get("KERASTL_HOME") or Path.home() / ".cache" / "kerastl")
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK):
        files = [path for path in home.rglob("*") if path.is_file()] if home.exists() else []
        size = sum(path.stat().st_size for path in files)
        yield Finding("cache", "ok", f"{home}, {size / 1e6:,.0f} MB in {len(files)} file(s)")
    else:
        yield Finding("cache", "wrong", f"{home} cannot be written; set KERASTL_HOME to a folder that can")


def _machine() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    yield Finding("disk here", "ok" if free > _ROOM else "wrong", f"{free / 1e9:,.1f} GB free")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processor", "ok", f"{cores} core(s), {platform.machine()}")
    if units := machine.bfloat16_units():
        words = f"{' and '.join(units)}: wide networks can train faster through mixed_bfloat16"
        yield Finding("bfloat16 units", "ok", words)
    gpu = shutil.which("nvidia-smi")
    yield Finding("graphics card", "note", f"driver found ({gpu})" if gpu else "none; everything runs on the processor")
    if platform.system() == "Windows":
        yield Finding("run folders", "note", "not locked on Windows: start one run a folder at a time")


def _sandbox() -> Finding:
    """What the child that reads other people's files cannot do here: it is asked to try."""
    from kerastl.untrusted import sandbox

    try:
        with tempfile.TemporaryDirectory() as folder, sandbox.Sandbox(_CONFINEMENT, memory=500_000_000) as child:
            Path(folder, "kept").touch()
            possible = child.ask({"folder": folder}, b"", seconds=20)[0]["possible"]
            layers = child.confined
    except (sandbox.SandboxError, OSError, KeyError) as error:
        return Finding("sandbox", "wrong", f"other people's models cannot be read: {error}")
    if possible:
        return Finding("sandbox", "note", f"a child that reads other people's files could still {', '.join(possible)}")
    words = f"neither files nor sockets nor processes ({', '.join(layers)})"
    return Finding("sandbox", "ok", f"a child that reads other people's files makes or changes {words}")


def _import(name: str) -> Finding:
    """Imports in a process of its own: a package that crashes takes nobody along."""
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode == 0:
        return Finding(f"import {name}", "ok", "")
    lines = done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"]
    return Finding(f"import {name}", "wrong", lines[-1])
