"""What a page declares is read before pyarrow asks memory for it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from kerastl.data import parquet_pages, parquet_table

COLUMNS = ["image", "label", "picture"]


def written(path, *, rows: int = 300, **options):
    columns = {
        "image": [[float(row), 2.0] for row in range(rows)],
        "label": [row % 7 for row in range(rows)],
        "picture": [{"bytes": b"x" * (row % 50), "path": None} for row in range(rows)],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path, **options)
    return path


def footer(path):
    return pyarrow.parquet.ParquetFile(path).metadata


def zigzag(value: int) -> bytes:
    """A number of a header, as the compact protocol writes it."""
    number, found = (value << 1) ^ (value >> 63), b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def with_size(path, size: int) -> None:
    """The first page declares another size unpacked; what follows moves, and the footer with it."""
    content = path.read_bytes()
    start = 4
    kind, rest = content[start : start + 2], content[start + 3 :]  # field 1 and its value, then field 2
    assert content[start + 2] == 0x15, "an i32, one field further"
    old = next(count for count in itertools.count(1) if rest[count - 1] < 128)
    path.write_bytes(content[:start] + kind + b"\x15" + zigzag(size) + rest[old:])


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_sound_files_pass(tmp_path, compression, version):
    for number, (dictionary, size, checksum) in enumerate(itertools.product((True, False), (100, None), (True, False))):
        options: dict[str, Any] = {"use_dictionary": dictionary, "data_page_size": size, "row_group_size": 170}
        path = written(
            tmp_path / f"{number}.parquet",
            compression=compression,
            data_page_version=version,
            write_page_checksum=checksum,
            **options,
        )
        parquet_pages.check(path, footer(path), columns=COLUMNS)
    empty = written(tmp_path / "empty.parquet", rows=0)
    parquet_pages.check(empty, footer(empty), columns=COLUMNS)


@pytest.mark.parametrize("size", [2**31 - 1, 2**27, -1])
def test_a_page_larger_than_its_column_is_refused_before_memory_is_asked_for(tmp_path, size):
    path = written(tmp_path / "a.parquet", rows=3000, use_dictionary=False, data_page_size=1000)
    with_size(path, size)
    pool = pyarrow.default_memory_pool()
    before = pool.max_memory()
    with pytest.raises(ValueError, match=rf"a\.parquet, column image.*: the page at 4 declares {size:,} bytes in"):
        parquet_table.read([path])
    assert pool.max_memory() <= max(before, 10_000_000)
    if size == 2**27:  # which pyarrow by itself would ask for
        with pytest.raises((OSError, pyarrow.ArrowException)):
            pyarrow.parquet.read_table(path)
        assert pool.max_memory() > size


def test_columns_that_nobody_reads_are_not_looked_at(tmp_path):
    path = written(tmp_path / "a.parquet", compression="none", use_dictionary=False)
    with_size(path, 2**31 - 1)
    content = path.read_bytes()
    moved = len(content) - len(written(tmp_path / "b.parquet", compression="none", use_dictionary=False).read_bytes())
    assert moved > 0
    labels = footer(path).row_group(0).column(1)
    assert labels.path_in_schema == "label"
    before = SimpleNamespace(
        **{key: getattr(labels, key) for key in ("path_in_schema", "num_values", "total_compressed_size")},
        total_uncompressed_size=labels.total_uncompressed_size,
        data_page_offset=labels.data_page_offset + moved,
        dictionary_page_offset=None,
    )
    assert parquet_pages.check(path, of(before), columns=["label"]) is None


def of(chunk) -> Any:
    """A footer of one column."""
    group = SimpleNamespace(num_columns=1, column=lambda _: chunk)
    return SimpleNamespace(num_row_groups=1, row_group=lambda _: group)


def chunk(content: bytes, **changed):
    whole = {"path_in_schema": "label", "num_values": 10, "total_compressed_size": len(content)}
    whole |= {"total_uncompressed_size": 100, "data_page_offset": 0, "dictionary_page_offset": None}
    return of(SimpleNamespace(**{**whole, **changed}))


def page(kind: int, unpacked: int, stored: int, values: int) -> bytes:
    """A page with its header; the counts stand in the structure of its kind."""
    step = {0: 2, 2: 4, 3: 5}[kind]
    head = b"\x15" + zigzag(kind) + b"\x15" + zigzag(unpacked) + b"\x15" + zigzag(stored)
    return head + bytes([step << 4 | 12]) + b"\x15" + zigzag(values) + b"\x00\x00" + bytes(max(stored, 0))


LARGE = 2**31 - 1


@pytest.mark.parametrize(
    ("content", "changed", "match"),
    [
        (page(0, 20, 20, LARGE), {}, "declares 20 bytes in 20, and 2,147,483,647 values"),
        (page(2, 20, 20, LARGE), {}, "2,147,483,647 values"),
        (page(0, 60, 5, 5) + page(0, 60, 5, 5), {}, "declares 60 bytes"),
        (page(0, 20, LARGE, 10)[:60], {}, "in 2,147,483,647"),
        (page(3, 20, -5, 10), {}, "declares 20 bytes in -5"),
        (page(0, 20, 20, 10), {"data_page_offset": 1 << 40}, "are declared, in a file of"),
        (page(0, 20, 20, 10), {"total_compressed_size": 1 << 40}, "1,099,511,627,776 bytes at 0 are declared"),
        (page(0, 20, 20, 10), {"num_values": -1}, "are declared"),
        (b"\xff" * 40, {}, "cannot be read"),
        (b"\x1c" * 40, {}, "cannot be read"),  # structures within structures
        (b"\x15" + b"\x80" * 40, {}, "cannot be read"),  # a number without an end
        (b"\x18" + zigzag(1 << 60), {}, "cannot be read"),  # a text of so many bytes
        (page(0, 50_000_000, 5, 10), {"total_uncompressed_size": 1 << 40}, "more than 200 times"),
        (page(0, 50, 5, 10**9), {"num_values": 10**9}, "more than 200 times"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path, content, changed, match):
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        parquet_pages.check(path, chunk(content, **changed), columns=["label"])


def test_pages_without_values_end(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_pages, "_MOST_PAGES", 50)
    content = page(0, 0, 0, 0) * 100
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(ValueError, match="more than 50 pages"):
        parquet_pages.check(tmp_path / "a.parquet", chunk(content), columns=["label"])
