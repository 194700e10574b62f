"""Workbooks of Excel, LibreOffice and Google Sheets (``.xlsx``): the first sheet, or a sheet a split."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator, Sequence
from typing import Any

from kerastl.data import split_names
from kerastl.data.tables import headers
from kerastl.data.tables.json_records import cell
from kerastl.data.tables.table import Layout, Source, Table, TableError, merged
from kerastl.system import bounded_zip

ENDINGS = (".xlsx", ".xlsm")
_LOOKED_AT = 50  # rows by which a sheet is known for a table
_MOST_CELLS = 20_000_000


def rows(source: Source, layout: Layout, *, wanted: Sequence[str] = ()) -> Table:
    """The rows of a workbook; a formula is what it last gave.

    Args:
        source, layout, wanted: as for `delimited.rows`.

    Raises:
        TableError: it cannot be read, unpacks too far, is empty, or openpyxl is not installed.
    """
    path = source.path
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise TableError(
            f"Workbooks are read by openpyxl: pip install 'kerastl[excel]'. Received: {path}; saved as .csv it needs "
            "nothing."
        ) from error
    try:
        with bounded_zip.opened(source.content):
            book = openpyxl.load_workbook(io.BytesIO(source.content), read_only=True, data_only=True)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        divided = [sheet for sheet in sheets if split_names.of(sheet.title)]
        taken = divided if len(divided) > 1 else sheets
        every = {sheet.title: list(_records(sheet, source)) for sheet in taken}
        if len(divided) < 2:  # the first that is a table; a note to the reader has one column
            title = next((title for title, records in every.items() if _is_wide(records)), next(iter(every), None))
            taken = [sheet for sheet in sheets if sheet.title == title]
            every = {one: records for one, records in every.items() if one == title}
    except TableError:
        raise
    except Exception as error:  # whatever a damaged workbook provokes in who reads it
        raise TableError(f"{path} cannot be read: {error or type(error).__name__}.") from error
    if not any(every.values()):
        raise TableError(f"{path} is empty: wanted rows with the columns {', '.join(wanted) or 'of a table'}.")
    tables = {title: headers.table(path, records, layout, wanted=wanted) for title, records in every.items()}
    if len(taken) > 1:
        return merged(path, [(title, split_names.of(title), one) for title, one in tables.items()])
    ((title, one),) = tables.items()
    said = [f"{path.name}: its sheet {title!r} is read, and no other"] if len(sheets) > 1 else []
    return Table(path, one.columns, one.rows, (*one.said, *said))


def _is_wide(records: list[tuple[int, list[str | None]]]) -> bool:
    return any(sum(bool(cell) for cell in cells) > 1 for _, cells in records[:_LOOKED_AT])


def _records(sheet: Any, source: Source) -> Iterator[tuple[int, list[str | None]]]:
    """The rows of a sheet that are not blank, each with its number."""
    sheet.reset_dimensions()  # what the file declares may be a lie, and would fill every row up to it
    cells = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        cells += len(values)
        if cells > _MOST_CELLS:
            raise TableError(f"Wanted at most {_MOST_CELLS:,} cells. Received: {source.path}, sheet {sheet.title!r}.")
        if any(value is not None and str(value).strip() for value in values):
            yield number, [_written(value) for value in values]


def _written(value: object) -> str | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    found = cell(value)
    return found if isinstance(found, str) else None
