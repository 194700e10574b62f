"""The one reader of rows, whatever holds them: a file of any format of this family, packed or not, several, a folder.

`kerastl advise`, `kerastl audit` and recipes read through it and say the same.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import lzma
from collections.abc import Sequence
from pathlib import Path

from kerastl.data import parquet_table, split_names, tables, unpack
from kerastl.data.tables import text_folders
from kerastl.data.tables.table import LARGEST, Layout, Source, Table, TableError, merged
from kerastl.system import bounded_zip, special_files

PACKED = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_NO_ROWS = ("readme", "license", "licence", "notice", "requirements", "classes", "labels", "label_names", "classnames")
"""What files are called that tell of others: of several in a folder they are none of the tables."""


def read(
    path: Path,
    layout: Layout = Layout(),  # noqa: B008  frozen
    *,
    wanted: Sequence[str] = (),
) -> Table:
    """The rows at a path; of several files they have a column ``split``, by the files' names.

    Args:
        path: a file (see `endings`), also packed by gzip, bzip2 or xz; a zip or tar file of such; a folder of them,
            called by their splits where they are several; or a folder of texts, see `text_folders.read`.
        layout: how it is written, where somebody knows it.
        wanted: names of columns, which tell delimiters, and headers, apart.

    Raises:
        FileNotFoundError: there is nothing at a path.
        TableError: it is no table, one of several that cannot be told apart, or what its format says.
    """
    if layout.more:
        alone = dataclasses.replace(layout, validation_file=None, test_file=None)
        return _together(path, [("train", path), *layout.more], alone, wanted=wanted)
    if not path.exists():
        raise FileNotFoundError(f"There is no table, and no file of sentences, {path}.")
    if path.is_dir():
        return _folder(path, layout, wanted=wanted)
    special_files.refuse(path)
    if _format(path) is not None:
        return _file(path, layout, wanted)
    if path.name.lower().endswith(unpack.ENDINGS) or bounded_zip.is_zip(path):
        try:
            folder = unpack.in_workspace(path)
        except unpack.ArchiveError as error:
            raise TableError(str(error)) from error
        found = _folder(folder, layout, wanted=wanted)
        return dataclasses.replace(found, path=path)
    raise TableError(f"A table ends in {', '.join(endings())}. Received: {path.name}.")


def endings() -> tuple[str, ...]:
    """Endings of the files that are read; each also with one of `PACKED` behind it."""
    return tuple(tables.formats())


def is_table(path: Path) -> bool:
    """Whether there are rows at a path, by names: of a folder, or of what lies in an archive."""
    if path.is_dir():
        inner = unpack.strip_single_folders(path)
        some = _tables_in(inner)
        return is_table(some[0]) if some else text_folders.is_one(inner)
    if _format(path) is not None:
        return path.suffix.lower() != ".parquet" or parquet_table.holds_table(path)
    return False


def is_packed_table(archive: Path) -> bool:
    """Whether an archive holds tables or texts and no pictures; one that cannot be read holds none."""
    from kerastl.data import class_folders

    try:
        names = [Path(name) for name in unpack.names(archive)]
    except (unpack.ArchiveError, OSError):
        return False
    return not any(map(class_folders.is_picture, names)) and any(
        _format(name) is not None and not _tells_of_others(name) for name in names
    )


def _format(path: Path):
    return tables.formats().get(_ending(path))


def _ending(path: Path) -> str:
    inner = Path(path.stem) if path.suffix.lower() in PACKED else path
    return inner.suffix.lower()


def _tells_of_others(path: Path) -> bool:
    return path.name.lower().split(".")[0] in _NO_ROWS


def _file(path: Path, layout: Layout, wanted: Sequence[str]) -> Table:
    member = _format(path)
    assert member is not None
    opener = PACKED.get(path.suffix.lower())
    held = path.stat().st_size
    if held > LARGEST:
        raise TableError(f"Wanted at most {LARGEST:,} bytes of a table. Received: {path} of {held:,}.")
    if opener is None:
        # parquet is read from its place
        content = b"" if path.suffix.lower() == ".parquet" else path.read_bytes()
        return member.rows(Source(path, content), layout, wanted=wanted)
    try:
        with opener(io.BytesIO(path.read_bytes()), "rb") as stream:
            content = stream.read(min(LARGEST, bounded_zip.SMALL + bounded_zip.RATIO * held) + 1)
    except Exception as error:  # decoders raise whatever damage provokes
        raise TableError(f"{path} cannot be unpacked: {error or type(error).__name__}.") from error
    if len(content) > LARGEST or bounded_zip.unpacks_too_far(len(content), held=held):
        raise TableError(f"{path} of {held:,} bytes unpacks to more than {bounded_zip.RATIO} times as many.")
    inner = path.with_name(path.stem)  # by which its delimiter is found
    found = member.rows(Source(inner, content, packed=True), layout, wanted=wanted)
    return dataclasses.replace(found, path=path)


def _tables_in(folder: Path) -> list[Path]:
    """The tables of a folder: those that splits call by their names, where there are some, else all of them."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    some = [file for file in files if _format(file) is not None and not _tells_of_others(file)]
    named = [file for file in some if split_names.of(file.name.split(".")[0])]
    return named or some


def _folder(folder: Path, layout: Layout, *, wanted: Sequence[str]) -> Table:
    files = _tables_in(folder)
    if not files:
        if text_folders.is_one(folder):
            return text_folders.read(folder, layout)
        inner = unpack.strip_single_folders(folder)
        if inner != folder:
            return _folder(inner, layout, wanted=wanted)
        raise TableError(f"Wanted a folder of tables ({', '.join(endings())}) or of texts. Received: {folder}.")
    splits_of = {file: split_names.of(file.name.split(".")[0]) for file in files}
    if len(files) > 1 and "train" not in splits_of.values():
        raise TableError(
            "Wanted one table, or one called train among them. Received: "
            f"{', '.join(file.name for file in files[:20])} in {folder}: give one of them itself, "
            f"--data {folder / files[0].name} say."
        )
    if len(files) == 1:
        return dataclasses.replace(_file(files[0], layout, wanted), path=folder)
    parts = sorted(((split or "train", file) for file, split in splits_of.items()), key=lambda part: part[0] != "train")
    found = _together(folder, parts, layout, wanted=wanted)
    words = ", ".join(f"{file.name} ({split})" for file, split in splits_of.items())
    return dataclasses.replace(found, said=(f"read together: {words}", *found.said))


def _together(path: Path, parts: Sequence[tuple[str, Path]], layout: Layout, *, wanted: Sequence[str]) -> Table:
    """Files of one set, train first: what its first line holds, names or an example, theirs hold as well."""
    (split, first), *others = parts
    train = read(first, layout, wanted=wanted)
    if train.unnamed and layout.header == "auto":
        layout = dataclasses.replace(layout, header="no")
    some = [(file.name, split, read(file, layout, wanted=train.columns)) for split, file in others]
    return merged(path, [(first.name, split, train), *some])
