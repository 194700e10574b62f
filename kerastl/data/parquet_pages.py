"""Page headers of a parquet file, read before pyarrow reads them: what they declare is what it asks memory for.

A page's header says how large the page is unpacked and how many values it has, and pyarrow asks for as much before it
unpacks a byte: four damaged bytes are 2 GiB. Headers are Thrift structures in the compact protocol
(https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md), those of
https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kerastl.system import bounded_zip

if TYPE_CHECKING:
    import pyarrow.parquet

_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_COUNTED = {_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}
"""Kind of a page -> the field of its header's structure whose first field is the number of values."""
_DEEPEST, _MOST_PAGES = 16, 1_000_000
_BOOLEANS, _BYTE, _NUMBERS, _DOUBLE, _BINARY, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, 12


def check(file: Path, metadata: pyarrow.parquet.FileMetaData, *, columns: Sequence[str]) -> None:
    """Refuses pages that declare more than the file can hold, or than the file's own footer says of them.

    Args:
        file: the file.
        metadata: its footer, as pyarrow read it.
        columns: names of those that will be read; of others nothing is asked for.

    Raises:
        ValueError: a page, or a column's footer, declares too much, or a header is none.
        OSError: the file cannot be read.
    """
    held, unpacked, values = file.stat().st_size, 0, 0
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in range(metadata.num_row_groups):
            row_group = metadata.row_group(group)
            for index in range(row_group.num_columns):
                chunk = row_group.column(index)
                if not any(f"{chunk.path_in_schema}.".startswith(f"{name}.") for name in columns):
                    continue
                where = f"{file}, column {chunk.path_in_schema}"
                unpacked += _chunk(content, chunk, held=held, where=where)
                values += chunk.num_values
                if bounded_zip.unpacks_too_far(max(unpacked, values // 8), held=held):
                    raise ValueError(
                        f"{where}: pages of {unpacked:,} bytes and {values:,} values are declared, more than "
                        f"{bounded_zip.RATIO} times the {held:,} bytes of the file."
                    )


def _chunk(content: mmap.mmap, chunk: pyarrow.parquet.ColumnChunkMetaData, *, held: int, where: str) -> int:
    """What the pages of one column of a group of rows declare together, in bytes."""
    declared, size, count = chunk.total_uncompressed_size, chunk.total_compressed_size, chunk.num_values
    start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset or 0
    start = dictionary if 0 < dictionary < start else start
    end = start + size
    if not (0 <= start < end <= held and declared >= 0 and count >= 0):
        raise ValueError(f"{where}: {size:,} bytes at {start:,} are declared, in a file of {held:,}.")
    place, unpacked, seen = start, 0, 0
    for _ in range(_MOST_PAGES):
        if seen >= count or place >= end:
            return unpacked
        header = _Header(content, place, end=end)
        try:
            fields = header.structure()
            kind, page, stored = (int(fields[number]) for number in (1, 2, 3))
            values = int(fields.get(_COUNTED[kind], {}).get(1, 0)) if kind in _COUNTED else 0
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{where}: the header of the page at {place:,} cannot be read.") from error
        unpacked += page
        # a value of a dictionary takes a byte at least, and a value of data is one of those that the footer counts
        most = page if kind == _DICTIONARY else count - seen
        if min(page, stored, values) < 0 or unpacked > declared or header.place + stored > end or values > most:
            raise ValueError(
                f"{where}: the page at {place:,} declares {page:,} bytes in {stored:,}, and {values:,} values; the "
                f"file's footer has {declared:,} bytes in {size:,}, and {count:,} values, for all pages of the column."
            )
        seen += 0 if kind == _DICTIONARY else values
        place = header.place + stored
    raise ValueError(f"{where}: more than {_MOST_PAGES:,} pages.")


class _Header:
    """A structure in Thrift's compact protocol, field by field; `place` is behind what was read."""

    def __init__(self, content: mmap.mmap, place: int, *, end: int) -> None:
        self._content, self.place, self._end = content, place, end

    def structure(self, deep: int = 0) -> dict[int, Any]:
        """Its fields by number: numbers and structures; of what else there is the number alone."""
        if deep > _DEEPEST:
            raise ValueError("structures within structures")
        fields: dict[int, Any] = {}
        number = 0
        while (first := self._byte()) != 0:
            step = first >> 4
            number = number + step if step else self._signed()
            fields[number] = self._value(first & 15, deep)
        return fields

    def _value(self, kind: int, deep: int) -> Any:
        if kind in _BOOLEANS:
            return None
        if kind in _NUMBERS:
            return self._signed()
        if kind == _STRUCT:
            return self.structure(deep + 1)
        sizes = {_BYTE: 1, _DOUBLE: 8}
        if kind in sizes or kind == _BINARY:
            return self._skip(sizes[kind] if kind in sizes else self._unsigned())
        raise ValueError(f"a value of type {kind}, which no page header has")

    def _skip(self, size: int) -> None:
        self.place += size
        if self.place > self._end:
            raise IndexError("it ends behind its column")

    def _byte(self) -> int:
        self._skip(1)
        return self._content[self.place - 1]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a number of more than ten bytes")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
