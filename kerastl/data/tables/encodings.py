"""Bytes as text: in the encoding that the bytes prove, or somebody names, or else the likeliest, which is said."""

from __future__ import annotations

import codecs
from pathlib import Path

from kerastl.data.tables.table import TableError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark begins it
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WESTERN = frozenset("àâäáãåæçéèêëíìîïñóòôöõøœßúùûüÿÀÂÄÁÃÅÆÇÉÈÊËÍÌÎÏÑÓÒÔÖÕØŒÚÙÛÜŸ„“”‘’‚–—…€«»°´£§•·ºª¡¿½¼™®©\u00a0")
"""Signs of western European texts: of a file that has no other, Windows' 1252 is right, and a short one misleads."""
_LOOKED_AT = 200_000


def decoded(content: bytes, path: Path, *, encoding: str | None = None) -> tuple[str, tuple[str, ...]]:
    """The text, and what was guessed, in a sentence.

    Args:
        content: a file's bytes.
        path: the file, for messages.
        encoding: its encoding; by default UTF-8, what a byte order mark says, or the likeliest.

    Raises:
        TableError: there is no such encoding, or the bytes are none of it, naming line and byte; or they are mostly
            UTF-8, and damaged.
    """
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise TableError(f"Wanted an encoding, utf-8, cp1252 or gb18030 say. Received: {encoding!r}.") from error
        mark = next((mark for mark, name in _MARKS if content.startswith(mark) and encoding == name), b"")
        return _strict(content[len(mark) :], path, encoding, skipped=len(mark)), ()
    mark, name = next(((mark, name) for mark, name in _MARKS if content.startswith(mark)), (b"", "utf-8"))
    content = content[len(mark) :]
    if mark:
        return _strict(content, path, name, skipped=len(mark)), ()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    if text is not None and "\0" not in text[:1000]:
        return text, ()
    guess = _likeliest(content, path)
    return _strict(content, path, guess), (f"{path.name} is not UTF-8 and is read as {guess}; --encoding says another",)


def _strict(content: bytes, path: Path, encoding: str, *, skipped: int = 0) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(encoding, errors="replace")
        raise TableError(
            f"{path} is not {encoding.upper()}: line {before.count(chr(10)) + 1}, byte {skipped + error.start} "
            f"(0x{content[error.start]:02x}). Save it as UTF-8, or say --encoding NAME."
        ) from error


def _likeliest(content: bytes, path: Path) -> str:
    import charset_normalizer

    start = content[:_LOOKED_AT]
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):  # without a mark: of most letters one byte is zero
        if start[first::2].count(0) > len(start) // 8 > start[1 - first :: 2].count(0):
            return name
    start = start[: start.rfind(b"\n") + 1] or start
    signs = {sign for sign in start.decode("utf-8", errors="ignore") if not sign.isascii()}
    broken = start.decode("utf-8", errors="replace").count("\ufffd")
    whole = sum(not sign.isascii() for sign in start.decode("utf-8", errors="ignore"))
    if signs and whole > broken:
        _strict(content, path, "utf-8")
    western = {sign for sign in start.decode("cp1252", errors="replace") if not sign.isascii()}
    if western and western <= _WESTERN:
        return "cp1252"
    found = charset_normalizer.from_bytes(start).best()
    if found is None:
        _strict(content, path, "utf-8")
        raise TableError(f"{path} is in no encoding that is known. Say --encoding NAME.")
    return "cp1252" if "cp1252" in found.could_be_from_charset else found.encoding
