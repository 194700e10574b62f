"""YOLO: a text file a picture with a number of a class and a box a line; names stand in ``data.yaml``, or a list.

As Ultralytics, Darknet, LabelImg, Label Studio, CVAT and Roboflow write it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastl.data.annotations.export import LARGEST, Album, Annotated, Export, joined

_BOX = re.compile(r"\d+(?:\s+-?[0-9.eE+-]+){4,}")
_LISTS = ("classes.txt", "obj.names", "_darknet.labels", "names.txt")


def annotated(album: Album) -> Export | None:
    """The pictures with the classes of their boxes; ``None`` where no text of a picture's name holds boxes alone."""
    files = [file for file in album.with_ending(".txt") if album.is_named(file.stem)]
    some = [lines for file in files[:200] if (lines := _lines(file))]
    if not some or not all(_BOX.fullmatch(line) for lines in some for line in lines):
        return None
    names, said = _names(album)
    marked, problems = [], []
    for file in files:
        where, lines, picture = file.relative_to(album.root), _lines(file), album.of(file.stem, beside=file)
        odd = next((line for line in lines if not _BOX.fullmatch(line)), None)
        numbers = {int(line.split()[0]) for line in lines} if odd is None else set()
        if odd is not None:
            problems.append(f"{where}: {odd[:40]!r} is no class and its box")
        elif picture is None:
            problems.append(f"{where}: there is no picture of this name, or there are two")
        elif names and max(numbers, default=0) >= len(names):
            problems.append(f"{where}: class {max(numbers)}, where {len(names)} are named")
        else:
            labels = tuple(names[number] if names else str(number) for number in numbers)
            marked.append(Annotated(picture, labels, album.split_of(picture)))
    known = {one.file for one in marked}
    # a picture without a file is one in which nothing was marked, if it lies where others have theirs
    places = {file.parent for file in known}
    marked += [
        Annotated(file, (), album.split_of(file))
        for file in album.pictures
        if file not in known and file.parent in places
    ]
    return Export("YOLO", joined(marked), tuple(problems), said)


def _lines(file: Path) -> list[str]:
    content = file.read_bytes()[:LARGEST].decode("utf-8", errors="replace")
    return [line.strip() for line in content.splitlines() if line.strip()]


def _names(album: Album) -> tuple[Sequence[str], tuple[str, ...]]:
    """The names of the classes by their numbers, and what is said where there are none."""
    for file in album.with_ending(".yaml", ".yml"):
        if names := _of_yaml(file):
            return names, ()
    for file in album.all:
        if file.name.lower() in _LISTS:
            return _lines(file), ()
    return (), ("there are no names of the classes, as data.yaml or classes.txt would have them: they are numbers",)


def _of_yaml(file: Path) -> list[str]:
    import yaml

    try:
        content: Any = yaml.safe_load(file.read_bytes()[:LARGEST])
    except (yaml.YAMLError, RecursionError, ValueError):
        return []
    names = content.get("names") if isinstance(content, Mapping) else None
    if isinstance(names, Mapping) and all(isinstance(key, int) and 0 <= key < 100_000 for key in names):
        names = [names.get(number, str(number)) for number in range(max(names, default=-1) + 1)]
    return [str(name).strip() for name in names] if isinstance(names, list) else []
