"""LabelMe: a JSON file beside each picture with its ``shapes``, each with a ``label``, or with ``flags`` of its own."""

from __future__ import annotations

from typing import Any

from kerastl.data.annotations.export import Album, Annotated, Export, joined
from kerastl.system import bounded_json


def annotated(album: Album) -> Export | None:
    """The pictures with the labels of their shapes and the flags that are set; ``None`` where there are none."""
    marked, problems = [], []
    for file in album.with_ending(".json"):
        if not album.is_named(file.stem) or (picture := album.of(file.stem, beside=file)) is None:
            continue
        try:
            content: Any = bounded_json.read(file)
            shapes = {str(shape["label"]).strip() for shape in content["shapes"]}
            flags = {str(name).strip() for name, there in (content.get("flags") or {}).items() if there}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            problems.append(f"{file.relative_to(album.root)}: no shapes of LabelMe ({error})")
            continue
        marked.append(Annotated(picture, tuple((shapes | flags) - {""}), album.split_of(picture)))
    return Export("LabelMe", joined(marked), tuple(problems)) if marked else None
