"""Text to piece ids, as SentencePiece's unigram models read it (Kudo 2018; Kudo and Richardson 2018).

This file needs Python and nothing else: not the library, not protobuf. Ids are those of ``sentencepiece``'s
``SentencePieceProcessor(model_file=...).encode(text)``, from the ``.model`` file of XLM-R, ALBERT, T5 and others: the
model's own table of characters brings a text to its form, spaces become ``▁``, the most probable division into pieces
is found, and what no piece spells is unknown, or its bytes where the model has pieces for them.
"""

from __future__ import annotations

import functools
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

SPACE = "▁"
"""Stands for a space in pieces (U+2581)."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of pieces: ``SentencePiece.Type`` of ``sentencepiece_model.proto``."""
_UNIGRAM = 1
_PENALTY = 10.0  # of an unknown character, below the least probable piece
_LOST = "\ufffd"  # what is no text


class Piece(NamedTuple):
    """A piece of a vocabulary.

    Attributes:
        text: as it stands in texts that were brought to their form.
        score: logarithm of its probability, a float32.
        kind: ``NORMAL``, ``UNKNOWN`` ...
    """

    text: str
    score: float
    kind: int


class Tokenizer:
    """Turns texts into ids of a unigram model's pieces.

    Args:
        model: content of a ``.model`` file.

    Raises:
        ValueError: if it is none, or a model of another kind: BPE, words, characters.
    """

    def __init__(self, model: bytes) -> None:
        try:
            self.pieces, trainer, normalizer = _read(model)
        except (IndexError, struct.error, UnicodeDecodeError, TypeError, AttributeError) as error:
            raise ValueError(f"Wanted the content of a SentencePiece model file. Received: {error!r}.") from error
        kind = trainer.get(3, _UNIGRAM)
        unknown = [number for number, piece in enumerate(self.pieces) if piece.kind == UNKNOWN]
        if kind != _UNIGRAM or len(unknown) != 1 or trainer.get(24, 0):
            raise ValueError(
                "Wanted a unigram model with one unknown piece, and spaces before words. Received: model type "
                f"{kind}, {len(self.pieces):,} pieces with {len(unknown)} unknown ones."
            )
        self.unknown = unknown[0]
        self._bytes = {piece.text: number for number, piece in enumerate(self.pieces) if piece.kind == BYTE}
        self._bytes = self._bytes if trainer.get(35, 0) else {}
        scores = [piece.score for piece in self.pieces if piece.kind == NORMAL]
        self._least, self._greatest = min(scores, default=0.0), max(scores, default=0.0)
        self._normalized = _Normalizer(
            normalizer, [piece.text for piece in self.pieces if piece.kind == USER_DEFINED]
        ).normalized
        self._ids = {
            piece.text: number
            for number, piece in enumerate(self.pieces)
            if piece.kind in (NORMAL, USER_DEFINED, UNUSED) and piece.text
        }
        self._beginnings = {text[:end] for text in self._ids for end in range(1, len(text) + 1)}

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads a ``.model`` file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: as for the class.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no model file {path}.")
        return cls(Path(path).read_bytes())

    def encode(self, text: str) -> list[int]:
        """The ids of a text's pieces, without any that mark its beginning or end."""
        ids: list[int] = []
        was_unknown = False
        for piece, number in self._division(self._normalized(text)):
            is_unknown = number == self.unknown
            if is_unknown and self._bytes:
                ids += (self._bytes[f"<0x{byte:02X}>"] for byte in piece.encode("utf-8", "surrogatepass"))
            elif not (is_unknown and was_unknown):  # a row of unknown characters is one
                ids.append(number)
            was_unknown = is_unknown
        return ids

    def _division(self, text: str) -> list[tuple[str, int]]:
        """The most probable division into pieces (Viterbi 1967), in float32 as the library computes."""
        # of each place: the score of the best way there, where its last piece begins, and which that is
        best: list[tuple[float, int, int]] = [(0.0, 0, -1)] + [(-math.inf, -1, -1)] * len(text)
        unknown = _float32(self._least - _PENALTY)
        for start in range(len(text)):
            here, alone = best[start][0], False
            for end in range(start + 1, len(text) + 1):
                piece = text[start:end]
                if piece not in self._beginnings:
                    break
                number = self._ids.get(piece)
                if number is None or self.pieces[number].kind == UNUSED:
                    continue
                score = self.pieces[number].score
                if self.pieces[number].kind == USER_DEFINED:  # is always taken
                    score = len(piece.encode()) * self._greatest - 0.1
                score = _float32(score + here)
                if best[end][1] == -1 or score > best[end][0]:
                    best[end] = (score, start, number)
                alone = alone or end == start + 1
            score = _float32(unknown + here)
            if not alone and (best[start + 1][1] == -1 or score > best[start + 1][0]):
                best[start + 1] = (score, start, self.unknown)
        found: list[tuple[str, int]] = []
        end = len(text)
        while end > 0:
            _, start, number = best[end]
            found.append((text[start:end], number))
            end = start
        return found[::-1]


class _Normalizer:
    """Brings a text to the form of a model's pieces, by the settings and the table in its file."""

    def __init__(self, settings: Mapping[int, Any], symbols: list[str]) -> None:
        self._dummy, self._remove, self._escape = (bool(settings.get(field, 1)) for field in (3, 4, 5))
        self._symbols = sorted(symbols, key=len, reverse=True)  # the longest first; they stay as they are
        table = settings.get(2, b"")
        size = struct.unpack_from("<I", table)[0] if table else 0
        if size % 4 or size > max(len(table) - 4, 0):
            raise ValueError(f"Wanted a table of characters of {size:,} bytes. Received: {len(table):,} bytes.")
        self._trie = struct.unpack_from(f"<{size // 4}I", table, 4) if table else ()
        self._replacements = table[4 + size :]
        self._one = functools.lru_cache(maxsize=1 << 12)(self._replacement)

    def normalized(self, text: str) -> str:
        written: list[str] = []
        after_space = self._remove
        for part in self._parts(text):
            part = part.lstrip(" ") if after_space else part
            written.append(part)
            if part or not self._remove:
                after_space = part.endswith(" ") and self._remove
        if self._remove and not any(written):
            return ""
        whole = (" " if self._dummy else "") + "".join(written)
        space = SPACE if self._escape else " "
        whole = whole.replace(" ", SPACE) if self._escape else whole
        return whole.rstrip(space) if self._remove else whole

    def _parts(self, text: str) -> Iterator[str]:
        """What becomes of a text, piece by piece: the longest row of characters that the table knows at each place."""
        start = 0
        while start < len(text):
            symbol = next((one for one in self._symbols if text.startswith(one, start)), "")
            length, written = (len(symbol), symbol) if symbol else self._one(text[start : start + _LONGEST])
            yield written
            start += length

    def _replacement(self, text: str) -> tuple[int, str]:
        """How many characters at the beginning are replaced, and by what: one by itself where the table has none.

        The table is a double array (Aoe 1989) over bytes of UTF-8, in units of 32 bits as Darts-clone writes them.
        """
        if "\ud800" <= text[0] <= "\udfff":
            return 1, _LOST
        place, longest, value = 0, 0, 0
        if self._trie:
            place = _offset(self._trie[0])
            for number, byte in enumerate(text.encode("utf-8", "surrogatepass")):
                place ^= byte
                unit = self._trie[place] if place < len(self._trie) else 0
                if unit & 0x800000FF != byte:
                    break
                place ^= _offset(unit)
                if unit >> 8 & 1:
                    longest, value = number + 1, self._trie[place] & 0x7FFFFFFF
        if not longest:
            return 1, text[0]
        replaced = text.encode("utf-8", "surrogatepass")[:longest].decode()
        end = self._replacements.index(b"\0", value)
        return len(replaced), self._replacements[value:end].decode()


_LONGEST = 32  # characters: longer than any row that a table has


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & 0x200) >> 6)


def _float32(number: float) -> float:
    return struct.unpack("f", struct.pack("f", number))[0]


def _read(model: bytes) -> tuple[tuple[Piece, ...], dict[int, Any], dict[int, Any]]:
    """Pieces, and the settings of trainer and normalizer by the numbers of their fields (``ModelProto``)."""
    pieces, trainer, normalizer = [], {}, {}
    for field, value in _fields(model):
        if field == 1:
            one = dict(_fields(value))
            (score,) = struct.unpack("<f", one.get(2, bytes(4)))
            pieces.append(Piece(one.get(1, b"").decode(), score, one.get(3, NORMAL)))
        elif field == 2:
            trainer = dict(_fields(value))
        elif field == 3:
            normalizer = dict(_fields(value))
    return tuple(pieces), trainer, normalizer


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message (https://protobuf.dev/programming-guides/encoding).

    Raises:
        IndexError: if the message ends within a field.
        ValueError: if there is a field of a type that no protobuf of today has.
    """
    place = 0

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def taken(count: int) -> bytes:
        nonlocal place
        if place + count > len(message):
            raise IndexError(f"a field of {count:,} bytes, and {len(message) - place:,} are left")
        place += count
        return message[place - count : place]

    readers: dict[int, Callable[[], Any]] = {
        0: varint,
        1: lambda: taken(8),
        2: lambda: taken(varint()),
        5: lambda: taken(4),
    }
    while place < len(message):
        tag = varint()
        if tag & 7 not in readers:
            raise ValueError(f"Wanted a SentencePiece model file. Received: a field of type {tag & 7} at byte {place}.")
        yield tag >> 3, readers[tag & 7]()
