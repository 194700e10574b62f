"""Aligned faces out of any pictures, several views of each: what a face embedding is distilled from and measured on.

Pictures in a folder a person make a class a person. Of pictures without such folders each face is a class of its own,
which nobody has to know: its views (mirrored, shifted, turned, darker) are what belongs together. Without a folder: the
21 faces of six photographs that face-api comes with (MIT licence), enough to see everything work and for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from kerastl import types
from kerastl.data import splits
from kerastl.inputs import faces, pictures
from kerastl.inputs.face import Face
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel

_SAMPLES = {
    "sample1.jpg": "8ecae4b267b2d3169e06e00c7dee97097aa2a94635d45216f7732a5f4943cb51",
    "sample2.jpg": "7d2b60ae6f13bf30f422e04df87451081a02c83de469056f25afb44b7000c691",
    "sample3.jpg": "8eb081c9efb14370fa94d9feab9e5fbeafd19a627491853a80c2bf67f7ffa936",
    "sample4.jpg": "729efa5923061d40eb4ed5f267a18cc7b8ba6f852bb2757b16d8b7e4937476fc",
    "sample5.jpg": "6d45095ebb182d8f975c0790e0e4eefd86fbb40609cf4b271776d92e12662938",
    "sample6.jpg": "9baad80f9d5e306fb9b8c0913d44445f1e95848df317530efb03d0934c57ba87",
}
FILES = downloads.Files(
    name="face_pictures",
    ways=(
        downloads.Package(
            registry="npm",
            name="@vladmandic/face-api",
            version="1.7.15",
            sha256="0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031",
            members={f"package/demo/{name}": digest for name, digest in _SAMPLES.items()},
        ),
    ),
    sha256=_SAMPLES,
)
LEAST_VIEWS = 4


def fetch() -> Path:
    """Gets the six photographs into the cache; the path of the first. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)["sample1.jpg"]


def load(
    path: str | Path | None = None,
    *,
    size: int = 150,
    views: int = 8,
    seed: int = 0,
    validation: int | float = 0.1,
    limit: int | None = None,
) -> types.Dataset:
    """Every face of every picture, aligned, with so many views of each.

    Args:
        path: a folder of pictures, of a folder a person where it has folders; ``None`` for the six photographs.
        size: side of an aligned face.
        views: of each face, the first as it is; 4 at least.
        seed: of views and splits.
        validation, limit: see `splits.dataset`. A quarter of the views of every face are for test; who wants faces to
            stand in one split only divides again, by `unseen_classes.divide`.

    Raises:
        FileNotFoundError: there is no such folder, or something is not cached and cannot be fetched.
        ValueError: fewer than two faces are found, or fewer views are asked for.
    """
    if views < LEAST_VIEWS:
        raise ValueError(f"Wanted {LEAST_VIEWS} views of a face at least. Received: {views}.")
    chips: list[np.ndarray] = []
    names: list[str] = []
    origins: list[str] = []
    unseen: list[str] = []
    for name, file, single in _files(path):
        found = faces.all_aligned(pictures.read(file).pixels, size=size)
        if not found:
            unseen.append(str(file))
        for number, chip in enumerate(found[:1] if single else found):
            chips.append(chip)
            origins.append(f"{file.name if path is None else file.relative_to(path)} face {number + 1}")
            names.append(name if single else f"{name} face {number + 1}")
    known = tuple(dict.fromkeys(names))
    if len(known) < 2:
        raise ValueError(
            f"Wanted pictures with faces of two people at least. Received: {len(known)} in {path}; no face was found "
            f"in {len(unseen)} pictures{f', {unseen[0]} the first' if unseen else ''}."
        )
    draw, arrays = np.random.default_rng(seed), {"train": [], "test": []}
    for chip, name, origin in zip(chips, names, origins, strict=True):
        for view in range(views):
            picture = chip if view == 0 else _view(chip, draw, mirrored=bool(view % 2))
            where = "test" if view >= views - views // LEAST_VIEWS else "train"
            arrays[where].append((picture, known.index(name), f"{origin} view {view}"))
    given: dict[str, Any] = {}
    for name, rows in arrays.items():
        inputs, labels, places = zip(*rows, strict=True)
        given |= {f"{name}_inputs": np.stack(inputs), f"{name}_labels": np.array(labels, np.int32)}
        given[f"{name}_origins"] = np.array(places)
    arguments = {"views": views, "size": size, **({} if path is None else {"path": str(path)})}
    return splits.dataset(
        types.Task("face_pictures", Face((size, size, 3)), SingleLabel(known)),
        given,
        seed=seed,
        validation=validation,
        limit=limit,
        source="face_pictures",
        arguments=arguments,
    )


def _files(path: str | Path | None) -> Iterator[tuple[str, Path, bool]]:
    """What each picture is called, where it lies, and whether its folder names the one person in it."""
    if path is None:
        yield from ((Path(name).stem, file, False) for name, file in sorted(downloads.fetch(FILES).items()))
        return
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} of pictures.")
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in pictures.ENDINGS and file.is_file() and not file.name.startswith("."):
            inside: Sequence[str] = file.relative_to(folder).parts
            yield (inside[0] if len(inside) > 1 else file.stem), file, len(inside) > 1


def _view(chip: np.ndarray, draw: np.random.Generator, *, mirrored: bool) -> np.ndarray:
    """The face a little turned, shifted, nearer or further, brighter or darker, and maybe mirrored."""
    side = len(chip)
    angle, scale = draw.uniform(-0.12, 0.12), draw.uniform(0.93, 1.08)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array([side / 2, side / 2]) - turn @ [side / 2, side / 2] + draw.uniform(-0.03, 0.03, 2) * side
    matrix = (turn[0, 0], turn[0, 1], offset[0], turn[1, 0], turn[1, 1], offset[1])
    picture = PIL.Image.fromarray(chip[:, ::-1] if mirrored else chip)
    moved = picture.transform(picture.size, PIL.Image.Transform.AFFINE, matrix, PIL.Image.Resampling.BILINEAR)
    changed = (np.asarray(moved, np.float32) - 127.5) * draw.uniform(0.8, 1.2) + 127.5 * draw.uniform(0.8, 1.2)
    return np.rint(changed.clip(0, 255)).astype(np.uint8)
