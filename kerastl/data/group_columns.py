"""Groups of examples, for figures by group: a column of the table that a data set came from, or the folder inside.

Whether the column goes into the model does not matter: it is read again from where the examples were found.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from kerastl.data import adult_census, bike_rentals
from kerastl.data.tables import files
from kerastl.data.tables.table import stored
from kerastl.system import near_names
from kerastl.types import Dataset, Split

FOLDER = "folder"
"""Instead of a column, of pictures in folders: the innermost folder that each lies in."""
_FETCHED = {"adult_census": adult_census, "bike_rentals": bike_rentals}
UNKNOWN = "unknown"
"""The group of examples of which the column says nothing."""


def of_split(dataset: Dataset, split: Split, *, column: str) -> np.ndarray:
    """The group of each example of a split, as texts ``(examples,)``.

    Args:
        dataset: that the split is of, with the source and the arguments that load it again.
        split: one of its parts, or some of its examples.
        column: of the table, by its name or its number from 1; or `FOLDER`.

    Raises:
        FileNotFoundError: the table does not lie where it did.
        ValueError: there is no such column (near names are offered), or no table: the examples came from arrays, say.
    """
    if split.origins is None:
        raise ValueError(
            f"Groups (--group-column) are a column of the table that examples came from. Received: {dataset.source}, "
            "which does not say where each was found."
        )
    if column == FOLDER and dataset.source == "image_folder":
        return np.array([PurePosixPath(str(one)).parent.name or UNKNOWN for one in split.origins])
    path = _table_of(dataset)
    table = files.read(path, stored(dataset.arguments.get("layout") or {}), wanted=[column])
    if not table.has(column):
        hint = near_names.did_you_mean(column, list(table.columns))
        raise ValueError(
            f"Groups (--group-column) are a column of the table. Received: {column!r}, and {path} has "
            f"{', '.join(table.columns)}.{hint}"
        )
    known = {}
    for row, value in zip(table.rows, table.values(column), strict=True):
        named = str(value).strip() if value is not None and str(value).strip() else UNKNOWN
        for file in dict.fromkeys((row.file or path.name, row.file or str(path))):
            known[f"{file}:{row.line}"] = named
    lacking = [str(one) for one in split.origins if str(one) not in known]
    if lacking:
        raise ValueError(
            f"Wanted the rows that examples came from. Received: {path} without {lacking[0]}"
            f"{f' and {len(lacking) - 1:,} more' if len(lacking) > 1 else ''}."
        )
    return np.array([known[str(one)] for one in split.origins])


def _table_of(dataset: Dataset) -> Path:
    """The table that a data set was read from: a path of one's own, or the file of a set that is fetched."""
    given = dataset.arguments.get("path")
    if given is None and dataset.source in _FETCHED:
        given = _FETCHED[dataset.source].fetch()
    if given is None or not files.is_table(Path(given)):
        raise ValueError(
            "Groups (--group-column) are a column of a table, or "
            f"{FOLDER!r} of pictures in folders. Received: data of {dataset.source}."
        )
    return Path(given)
