"""CreateML: a JSON list of pictures with their ``annotations``, each with a ``label``, as Apple's tool reads it."""

from __future__ import annotations

from kerastl.data.annotations.export import Album, Annotated, Export, joined
from kerastl.system import bounded_json


def annotated(album: Album) -> Export | None:
    """The pictures that such a file lists, with the labels of what was marked; ``None`` where there is none."""
    marked, problems = [], []
    for file in album.with_ending(".json"):
        if album.is_named(file.stem) or file.stat().st_size > bounded_json.LARGEST:
            continue
        try:
            content = bounded_json.read(file)
            boxes = {
                str(one.get("image") or one["imagefilename"]): {str(box["label"]).strip() for box in one["annotations"]}
                for one in content
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # some other list
        for name, labels in boxes.items():
            picture = album.of(name, beside=file)
            if picture is None:
                problems.append(f"{file.relative_to(album.root)}: there is no picture {name!r}")
            else:
                marked.append(Annotated(picture, tuple(labels), album.split_of(picture)))
    return Export("CreateML", joined(marked), tuple(problems)) if marked else None
