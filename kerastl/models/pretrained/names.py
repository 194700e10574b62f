"""Names of foundation models: which come near a mistyped one, and what stands under one that is a path."""

from __future__ import annotations

import ast
import difflib
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from kerastl.types.settings import Known

ENCODER = "encoder.keras"
"""File of a finished run that holds a pretrained encoder, where its ``model.keras`` is what was made of one."""
TEXT_ENCODER = "encoder"
"""Folder of a finished run that holds a pretrained encoder of texts, as keras-hub saves it."""


def contents(name: str) -> object:
    """What a stage's key holds of a model that it starts from: its name, or the files that stand there where it is a
    path, so that a file which was trained anew is another model. A name that `kerastl fetch` or an encoder has is none,
    whatever lies beside.
    """
    path = Path(name.removeprefix("preset:"))
    if name in ("small", *(file.stem for file in Path(__file__).parent.glob("*.py"))):
        return name
    if path.is_dir() and (path / TEXT_ENCODER).is_dir():
        path = path / TEXT_ENCODER
    for inner in (ENCODER, "model.keras"):  # of a finished run nothing else is read
        if (path / inner).is_file():
            return path / inner
    if path.is_dir():
        files = ((file.relative_to(path), file) for file in sorted(path.rglob("*")) if file.is_file())
        # what a hub's client or git keeps there is no model
        return {name.as_posix(): file for name, file in files if not any(part.startswith(".") for part in name.parts)}
    return path if path.is_file() else name


def near(name: str, options: Iterable[str]) -> str:
    """`` Did you mean a, b?`` for the options that come near a name whatever its case, else nothing."""
    spelled = {option.lower(): option for option in options}
    found = difflib.get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)
    return f" Did you mean {', '.join(spelled[one] for one in found)}?" if found else ""


@functools.cache
def fetched() -> tuple[str, ...]:
    """Names of the models for pictures whose weights ``kerastl fetch`` brings: files with `fetch` and such a `load`."""
    found = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        functions = [node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)]
        takes = {node.name: [argument.arg for argument in node.args.kwonlyargs] for node in functions}
        if "fetch" in takes and "image_size" in takes.get("load", ()):
            found.append(path.stem)
    return tuple(found)


def lacking(name: str) -> str:
    """Which foundation models there are, where none is called so; the names that are near come first."""
    known = fetched()
    return (
        f"{near(name, known)} Available: {', '.join(known)}, applications:NAME, preset:NAME, and the path of a folder "
        "or file"
    )


def _fault(name: str) -> str:
    if name in fetched() or name.startswith(("applications:", "preset:")) or Path(name).exists():
        return ""
    return f"names no foundation model.{lacking(name)}"


BackboneName = Annotated[str, Known(_fault)]
