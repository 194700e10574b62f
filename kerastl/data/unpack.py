"""Archives of strangers: everything in them is looked at before the first file is written, and all of it lands or none.

Zip and tar (plain, gzip, bzip2, xz), told apart by their contents.
"""

from __future__ import annotations

import bz2
import contextlib
import dataclasses
import errno
import gzip
import lzma
import math
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kerastl.system import atomic_files, bounded_json, bounded_zip, digests, downloads, locks

ENDINGS = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
"""Endings of archives, those that are not unpacked among them."""
_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
_AT_ONCE = 1 << 20  # bytes
_SMALL = bounded_zip.SMALL


class ArchiveError(ValueError):
    """An archive that is not unpacked, and why."""


@dataclasses.dataclass(frozen=True)
class _Member:
    name: str
    size: int
    kind: str  # "file", "folder", or what else it is, in words
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, folder: Path, *, largest: int = 20_000_000_000, ratio: float = 200.0) -> Path:
    """Unpacks an archive into a folder that appears whole or not at all.

    Args:
        archive: the file.
        folder: where its contents go; the folder above it exists. What stands there is replaced.
        largest: bytes that the contents may have in all.
        ratio: how many times larger than the archive its contents may be, once they are beyond ten megabytes.

    Raises:
        ArchiveError: no archive, or damaged; names that are absolute, lead out of the folder, come twice or differ in
            case alone; links, devices, archives inside; contents too large, or too large for the archive.
        OSError: if there is no room.
    """
    try:
        with _opened(archive, ratio=ratio) as members:
            listed = list(_checked(members, archive=archive, largest=largest, ratio=ratio))
            with atomic_files.atomic_replace(folder, needed_bytes=sum(member.size for member in listed)) as temporary:
                temporary.mkdir()
                for member in listed:
                    _write(member, temporary)
    except Exception as error:  # decoders raise whatever a damaged archive provokes in them
        # what the system says has a number, decoders' errors of the kind have none; a place before the file is damage
        of_system = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
        if of_system or isinstance(error, ArchiveError | MemoryError):
            raise
        raise ArchiveError(f"{archive} cannot be unpacked: {error}.") from error
    return folder


def cached(archive: Path, place: Path) -> Path:
    """The folder with an archive's contents, unpacked once for all processes and checked whenever it is asked for.

    Args:
        archive: the file; its digest is the folder's name.
        place: folder of such folders, made if it is not there. Beside each lies what its files were.

    Raises:
        ArchiveError, OSError: as `unpack`.
    """
    folder = place / digests.of_file(archive)[:32]
    list_of_files = folder.with_suffix(".json")
    place.mkdir(parents=True, exist_ok=True)
    with locks.held(folder):
        if not _is_as_unpacked(folder, list_of_files):
            unpack(archive, folder)
            atomic_files.write_json(list_of_files, digests.of_folder(folder))
    return folder


def in_workspace(archive: Path) -> Path:
    """The folder of an archive's contents in the cache, without single folders around them; errors as `cached`."""
    return strip_single_folders(cached(archive, downloads.workspace() / "unpacked"))


def names(archive: Path) -> list[str]:
    """The names of the files in an archive, of which none is unpacked.

    Raises:
        ArchiveError: as `unpack`.
    """
    try:
        with _opened(archive, ratio=200.0) as members:
            listed = _checked(members, archive=archive, largest=20_000_000_000, ratio=200.0)
            return [member.name for member in listed if member.kind == "file"]
    except Exception as error:
        if isinstance(error, ArchiveError | MemoryError):
            raise
        raise ArchiveError(f"{archive} cannot be unpacked: {error}.") from error


def _is_as_unpacked(folder: Path, list_of_files: Path) -> bool:
    try:
        return folder.is_dir() and bounded_json.read(list_of_files) == digests.of_folder(folder)
    except (OSError, ValueError):
        return False


def strip_single_folders(folder: Path) -> Path:
    """The folder with the contents: without single folders that stand around everything."""
    while True:
        inner = [path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX"))]
        if len(inner) != 1 or not inner[0].is_dir():
            return folder
        folder = inner[0]


class _Flood(Exception):
    """More bytes than an archive of its size should hold; none of the errors that `tarfile` makes its own of."""


class _Bounded:
    """A tar file's bytes, of which no more are read than its size speaks for.

    Members are judged by their sizes. What else stands in an archive, long names and what follows its end, is not seen
    there, and `tarfile` asks for as much memory as such a name claims to need.
    """

    def __init__(self, stream: IO[bytes], *, limit: int) -> None:
        self._stream, self._limit = stream, limit
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        most = min(_AT_ONCE, max(self._limit - self.tell(), 0))
        content = self._stream.read(min(size, most + 1))
        if len(content) > most:
            raise _Flood("it holds far more than its size speaks for, or a name of megabytes")
        return content


@contextlib.contextmanager
def _opened(archive: Path, *, ratio: float) -> Iterator[Iterator[_Member]]:
    if bounded_zip.is_zip(archive):
        with bounded_zip.opened(archive, ratio=math.inf) as zipped:  # `_checked` judges, with tar files
            yield (
                _Member(one.filename, one.file_size, _kind_in_zip(one), lambda one=one: zipped.open(one))
                for one in zipped.infolist()
            )
        return
    with archive.open("rb") as plain:
        start = plain.read(6)
    opener = next((opener for mark, opener in _PACKED.items() if start.startswith(mark)), open)
    with opener(archive, "rb") as stream:
        bounded: Any = _Bounded(stream, limit=_SMALL + int(ratio * archive.stat().st_size))
        try:
            opened = tarfile.open(fileobj=bounded, mode="r:")  # noqa: SIM115  the stream is closed
        except tarfile.TarError as error:
            raise ArchiveError(f"{archive} is no zip or tar file: {error}.") from error
        yield _in_tar(opened, bounded)


def _in_tar(opened: tarfile.TarFile, stream: _Bounded) -> Iterator[_Member]:
    for one in opened:
        yield _Member(one.name, one.size, _kind_in_tar(one), lambda one=one: opened.extractfile(one))  # pyright: ignore
    end = stream.tell()
    while stream.read(_AT_ONCE):  # up to the end of the compressed stream, where its check sum stands
        if stream.tell() - end > _SMALL:
            raise _Flood("it goes on long after its end")


def _kind_in_zip(one: zipfile.ZipInfo) -> str:
    if one.flag_bits & 1:
        return "encrypted file"
    kind = stat.S_IFMT(one.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "device"
    return "folder" if one.is_dir() else "file"


def _kind_in_tar(one: tarfile.TarInfo) -> str:
    if one.issym() or one.islnk():
        return "link"
    if one.isdir():
        return "folder"
    return "file" if one.isreg() else "device"


def _checked(members: Iterator[_Member], *, archive: Path, largest: int, ratio: float) -> Iterator[_Member]:
    """Members, each refused as soon as it is read: an archive is judged by what its headers say."""
    compressed = max(archive.stat().st_size, 1)
    total = 0
    seen: dict[str, str] = {}
    for member in members:
        if member.kind not in ("file", "folder"):
            raise ArchiveError(
                f"{archive} holds a {member.kind}, {member.name!r}: only files and folders are unpacked."
            )
        name = member.name.rstrip("/") if member.kind == "folder" else member.name
        parts = re.split(r"[/\\]", name)
        if name in (".", "") and member.kind == "folder":
            continue
        if re.match(r"[/\\]|[A-Za-z]:", name) or "\0" in name or any(part in ("..", "") for part in parts):
            raise ArchiveError(f"{archive} holds the name {member.name!r}, which leads out of the folder or nowhere.")
        # Two names are one file where a file system folds case or composes letters (macOS, Windows).
        folded = unicodedata.normalize("NFC", "/".join(part for part in parts if part != ".")).casefold()
        if folded in seen and not (member.kind == "folder" and seen[folded] == name):
            raise ArchiveError(f"{archive} holds {name!r} and {seen[folded]!r}, which are one file on some systems.")
        seen[folded] = name
        if member.kind == "file" and name.lower().endswith(ENDINGS):
            raise ArchiveError(f"{archive} holds an archive, {name!r}: unpack it yourself if you trust it.")
        total += member.size
        if total > largest:
            raise ArchiveError(f"{archive} holds more than {largest:,} bytes.")
        if bounded_zip.unpacks_too_far(total, held=compressed, ratio=ratio):
            raise ArchiveError(
                f"{archive} of {compressed:,} bytes holds at least {total:,}: more than {ratio:g} times its size."
            )
        yield member


def _write(member: _Member, folder: Path) -> None:
    path = folder.joinpath(*re.split(r"[/\\]", member.name))
    if member.kind == "folder":
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with member.open() as source, path.open("xb") as target:
        shutil.copyfileobj(source, target, _AT_ONCE)
        if target.tell() != member.size:
            raise ArchiveError(f"{member.name!r} is {target.tell():,} bytes long; its header says {member.size:,}.")
