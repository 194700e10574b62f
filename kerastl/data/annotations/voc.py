"""Pascal VOC: an XML file a picture, in ``Annotations`` or beside it, and lists in ``ImageSets/Main``.

Everingham et al. 2010, https://doi.org/10.1007/s11263-009-0275-4. LabelImg, CVAT and Roboflow write it too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from kerastl.data import splits
from kerastl.data.annotations.export import LARGEST, Album, Annotated, Export, joined

_LISTED = re.compile(r"(\S+)(?:\s+(-?[01]))?")


def annotated(album: Album) -> Export | None:
    """The pictures that XML files tell of, or the lists of each class alone; ``None`` where there are none."""
    files = [file for file in album.with_ending(".xml") if file.parent.name == "Annotations" or _is_beside(album, file)]
    listed = _lists(album)
    marked, problems = list(_of_classes(album)) if not files else [], []
    for file in files:
        names, problem = _objects(file)
        picture = album.of(file.stem, beside=file)
        if problem is not None:
            problems.append(f"{file.relative_to(album.root)}: {problem}")
        elif picture is None:
            problems.append(f"{file.relative_to(album.root)}: there is no picture of this name")
        elif not listed or picture.stem in listed:
            marked.append(Annotated(picture, names, listed.get(picture.stem) or album.split_of(picture)))
    return Export("VOC", joined(marked), tuple(problems)) if marked else None


def _is_beside(album: Album, file: Path) -> bool:
    return album.of(file.stem, beside=file) is not None


def _objects(file: Path) -> tuple[tuple[str, ...], str | None]:
    """The names of the objects, or what is wrong with the file."""
    content = file.read_bytes()[: LARGEST + 1]
    if len(content) > LARGEST or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        return (), "no annotation of a picture: it is too large, or declares entities"
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        return (), f"no XML: {error}"
    names = ((one.findtext("name") or "").strip() for one in root.iter("object"))
    return tuple(name for name in names if name), None


def _lists(album: Album) -> dict[str, str]:
    """Name of a picture -> its split, as the lists of all classes together say it; ``trainval`` where nothing else."""
    found: dict[str, str] = {}
    files = {file.stem: file for file in album.with_ending(".txt") if file.parent.name == "Main"}
    whole = {"trainval": "train"} if not files.keys() & {"train", "val"} else {}
    for stem, split in ({word: splits.BY_WORD[word] for word in ("train", "val", "test")} | whole).items():
        for name, _ in _lines(files[stem]) if stem in files else ():
            found.setdefault(name, split)
    return found


def _of_classes(album: Album) -> Iterator[Annotated]:
    """Pictures by lists of a class and a split each, ``cat_train.txt``: 1 says that a picture has it, -1 that not."""
    lists = defaultdict(list)
    for file in album.with_ending(".txt"):
        name, _, word = file.stem.rpartition("_")
        if file.parent.name == "Main" and name and word in splits.BY_WORD:
            lists[name].append((file, splits.BY_WORD[word]))
    for name, files in lists.items():
        for file, split in files:
            for stem, flag in _lines(file):
                if flag is not None and (picture := album.of(stem, beside=file)) is not None:
                    yield Annotated(picture, (name,) if flag == "1" else (), split)


def _lines(file: Path) -> Iterator[tuple[str, str | None]]:
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        if match := _LISTED.fullmatch(line.strip()):
            yield match[1], match[2]
