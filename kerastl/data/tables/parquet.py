"""Parquet files of words and numbers, as the Hugging Face hub has them; classes by the names in their metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kerastl.data import parquet_table
from kerastl.data.tables.json_records import cell
from kerastl.data.tables.table import Layout, Row, Source, Table, TableError

ENDINGS = (".parquet",)


def rows(source: Source, layout: Layout, *, wanted: Sequence[str] = ()) -> Table:
    """The rows of such a file, of its columns of words, numbers and lists of them; others are left aside.

    Args:
        source, layout, wanted: as for `delimited.rows`.

    Raises:
        TableError: it cannot be read, or unpacks, or says so, to far more than it holds.
    """
    if source.packed:
        raise TableError(f"Parquet is packed already. Received: {source.path}; unpack it.")
    try:
        columns = parquet_table.plain_columns(source.path)
        known = {name: parquet_table.class_names(source.path, name) for name in columns}
        found, number = [], 0
        for batch in parquet_table.batches(source.path, columns):
            values = [batch.column(name).to_pylist() for name in columns]
            for row in zip(*values, strict=True):
                cells = (_named(value, known[name]) for name, value in zip(columns, row, strict=True))
                found.append(Row(number, tuple(map(cell, cells))))
                number += 1
    except ValueError as error:
        raise TableError(str(error)) from error
    return Table(source.path, tuple(columns), tuple(found))


def _named(value: Any, names: Sequence[str]) -> Any:
    """Class indices by their names; -1 is a label that is held back."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value
