"""COCO: one JSON file of ``images``, ``annotations`` and ``categories`` for a folder of pictures.

Lin et al. 2014, https://arxiv.org/abs/1405.0312. Label Studio, CVAT and Roboflow write it too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerastl.data.annotations.export import Album, Annotated, Export, joined
from kerastl.system import bounded_json

_KEYS = (b'"images"', b'"annotations"', b'"categories"')
_MOST = 50  # files that are looked into: tools also write one a picture
_END = 100_000


def annotated(album: Album) -> Export | None:
    """The pictures that such files list, with the categories of what was marked; ``None`` where there are none."""
    files = [file for file in album.with_ending(".json") if not album.is_named(file.stem)]
    files = [file for file in files[:_MOST] if _is_one(file)]
    objects = [file for file in files if file.name.startswith("instances")]
    marked, problems = [], []
    for file in objects or files:  # beside the objects COCO has keypoints of persons
        try:
            some, lost = _of_file(bounded_json.read_object(file), file, album)
        except ValueError as error:
            problems.append(str(error))
            continue
        marked += some
        problems += [f"{file.relative_to(album.root)}: there is no picture {name!r}" for name in lost]
    return Export("COCO", joined(marked), tuple(problems)) if files else None


def _is_one(file: Path) -> bool:
    with file.open("rb") as opened:
        content = opened.read(bounded_json.LARGEST)
        opened.seek(max(file.stat().st_size - _END, 0))
        content += opened.read(_END)  # a file that is too large is one all the same
    return all(key in content for key in _KEYS)


def _of_file(content: Mapping[str, Any], file: Path, album: Album) -> tuple[list[Annotated], list[str]]:
    """The pictures of one file, and the names of those that are not there.

    Raises:
        ValueError: its lists hold something else.
    """
    try:
        names = {one["id"]: str(one["name"]).strip() for one in content["categories"]}
        labels = defaultdict(set)
        for one in content["annotations"]:
            labels[one["image_id"]].add(names[one["category_id"]])
        images = {one["id"]: str(one["file_name"]) for one in content["images"]}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is no COCO file: {type(error).__name__} at {error}.") from error
    split = album.split_of(file, stem=True)
    found = {number: album.of(name, beside=file, split=split) for number, name in images.items()}
    marked = [
        Annotated(picture, tuple(labels[number]), album.split_of(picture) or split)
        for number, picture in found.items()
        if picture is not None
    ]
    return marked, [images[number] for number, picture in found.items() if picture is None]
