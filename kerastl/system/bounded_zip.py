"""Zip archives of strangers: judged by what their directory declares before anything is unpacked."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

SMALL, RATIO = 10_000_000, 200
"""Bytes below which no ratio is suspicious, for a blank picture shrinks a thousand times; and how many times larger
than what holds it anything may honestly become."""


class ZipError(ValueError):
    """A zip archive that is not read, and why."""


def unpacks_too_far(unpacked: int, *, held: int, ratio: float = RATIO) -> bool:
    """Whether so many bytes are more than what holds them can honestly become."""
    return unpacked > SMALL and unpacked > ratio * max(held, 1)


def is_zip(path: Path) -> bool:
    """Whether a file is a zip archive by its contents; a device or a pipe is none, and is not opened."""
    return path.is_file() and zipfile.is_zipfile(path)


@contextlib.contextmanager
def opened(source: Path | bytes, *, ratio: float = RATIO) -> Iterator[zipfile.ZipFile]:
    """An archive, the members of which unpack to no more than its size speaks for.

    Args:
        source: a file, or its bytes.
        ratio: how many times larger than the archive its members may be together. What each says of itself may be a
            lie, and many members, or members that share their bytes, are a bomb of many parts.

    Raises:
        ZipError: it has no directory that can be read, holds a member without a name, or unpacks too far.
    """
    held = len(source) if isinstance(source, bytes) else source.stat().st_size
    try:
        archive = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
    except Exception as error:  # a directory of members may provoke anything in who reads it
        raise ZipError(f"it cannot be read: {error or type(error).__name__}") from error
    with archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if not all(member.filename for member in archive.infolist()):  # of which `is_dir` cannot tell
            raise ZipError("it holds a member without a name")
        if unpacks_too_far(unpacked, held=held, ratio=ratio):
            raise ZipError(f"it has {held:,} bytes that unpack to {unpacked:,}: more than {ratio:g} times")
        yield archive


def read(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo) -> bytes:
    """The content of one member.

    Raises:
        ZipError: there is no such member, or it is encrypted, damaged or unpacks too far.
    """
    with stream(archive, member) as opened_member:
        return opened_member.read()


@contextlib.contextmanager
def stream(archive: zipfile.ZipFile, member: str | zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    """One member to read from; errors as for `read`, also those of the reading."""
    name = member.filename if isinstance(member, zipfile.ZipInfo) else member
    with contextlib.ExitStack() as stack:
        try:
            info = archive.getinfo(name) if isinstance(member, str) else member
            held, unpacked = info.compress_size, info.file_size
            opened_member = stack.enter_context(archive.open(info))
        except Exception as error:  # whatever a header provokes
            raise _unreadable(name, error) from error
        if unpacks_too_far(unpacked, held=held):
            # an empty mask may shrink as far; saved without compression it is read
            raise ZipError(f"{name!r} has {held:,} bytes that unpack to {unpacked:,}: more than {RATIO} times")
        try:
            yield opened_member
        except ValueError:  # of who reads, in words
            raise
        except Exception as error:  # of the decoder, whatever a damaged member provokes in it
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> ZipError:
    return ZipError(f"{name!r} cannot be read: {error or type(error).__name__}")
