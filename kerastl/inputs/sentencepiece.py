"""Text to piece ids, as SentencePiece's unigram models read it (Kudo 2018; Kudo and Richardson 2018).

This file needs Python and nothing else: not the library, not protobuf. It is also copied into the bundle for the phone,
as ``tokenizer.py``:

    python tokenizer.py sentencepiece.model 128 "a sentence"

Ids of pieces are those of ``sentencepiece``'s ``SentencePieceProcessor(model_file=...).encode(text)``, from the
``.model`` file of XLM-R, ALBERT, T5 and others: the model's own table of characters brings a text to its form, spaces
become ``▁``, the most probable division into pieces is found, and what no piece spells is unknown, or its bytes where
the model has pieces for them. `TextTokenizer` puts them between the tokens that an encoder wants around a text, and
counts them as that encoder does.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import math
import re
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SPACE = "▁"
"""Stands for a space in pieces (U+2581)."""
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of pieces: ``SentencePiece.Type`` of ``sentencepiece_model.proto``."""
_UNIGRAM = 1
_PENALTY = 10.0  # of an unknown character, below the least probable piece
_LOST = "\ufffd"  # what is no text
CONFIG = "tokenizer_config.json"
"""File beside a model that says how texts are brought to it, in Hugging Face's words."""
FILES = ("sentencepiece.bpe.model", "spiece.model", "sentencepiece.model")
"""Names that a model has in folders: of XLM-R, of ALBERT, and in bundles."""
_LARGEST = 1_000_000  # bytes of settings


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
        penalties: what is taken off the score of a piece.

    Raises:
        ValueError: if it is none, or a model of another kind: BPE, words, characters.
    """

    def __init__(self, model: bytes, penalties: Callable[[str], float] = lambda piece: 0.0) -> None:
        try:
            self.pieces, trainer, normalizer = _read(model, penalties)
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
        self._divisible = not any(SPACE in text[1:] for text in self._ids)

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

    def encode(self, text: str, most: int | None = None) -> list[int]:
        """The ids of a text's pieces, without any that mark its beginning or end; the first ``most`` of them."""
        written = self._normalized(text)
        end = 8 * most if most is not None and self._divisible else len(written)
        while True:  # no piece goes across the beginning of a word, so that what is behind one decides nothing
            end = (written.find(SPACE, end) + 1 or len(written) + 1) - 1
            ids = self._ids_of(written[:end])
            if most is None or len(ids) > most or end == len(written):
                return ids[:most]
            end *= 2

    def _ids_of(self, written: str) -> list[int]:
        ids: list[int] = []
        was_unknown = False
        for piece, number in self._division(written):
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
        self._plain = re.compile(self._plain_letters(), re.DOTALL)

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
            if plain := self._plain.match(text, start):
                yield plain.group()
                start = plain.end()
                continue
            symbol = next((one for one in self._symbols if text.startswith(one, start)), "")
            length, written = (len(symbol), symbol) if symbol else self._one(text[start : start + _LONGEST])
            yield written
            start += length

    def _plain_letters(self) -> str:
        """A pattern of what is copied at once: letters of ASCII before another one, where the table has no row of two.

        Most of a text in a European language is that; the table is asked of everything else.
        """
        letters = [chr(code) for code in range(33, 127)]
        pairs = (self._replacement(one + other) == (1, one) for one in letters for other in letters)
        if self._symbols or not all(pairs):
            return "(?!)"
        inside = re.escape("".join(letters))
        return f"[{inside}]+(?=[{inside}])"

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


def _read(model: bytes, penalties: Callable[[str], float]) -> tuple[tuple[Piece, ...], dict[int, Any], dict[int, Any]]:
    """Pieces, and the settings of trainer and normalizer by the numbers of their fields (``ModelProto``)."""
    pieces, trainer, normalizer = [], {}, {}
    for field, value in _fields(model):
        if field == 1:
            one = dict(_fields(value))
            (score,) = struct.unpack("<f", one.get(2, bytes(4)))
            text = one.get(1, b"").decode()
            pieces.append(Piece(text, _float32(score - penalties(text)), one.get(3, NORMAL)))
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


XLM_ROBERTA, ALBERT = "XLMRobertaTokenizer", "AlbertTokenizer"
"""What comes around pieces, by the names that Hugging Face has for it."""
_AROUND = {XLM_ROBERTA: ("<s>", "<pad>", "</s>", "<unk>", "<mask>"), ALBERT: ("[CLS]", "<pad>", "[SEP]", "<unk>")}
MASKS = {XLM_ROBERTA: "<mask>", ALBERT: "[MASK]"}
"""The token that stands for a hidden one while an encoder is pretrained."""
_QUOTES = re.compile("``|''")
_DIGIT_AND_COMMA = re.compile(r".*\d,", re.DOTALL)
SHORTEST_PAIR = 6
"""``<s>``, a token, twice ``</s>``, a token, ``</s>``."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How texts become ids of an encoder.

    XLM-R counts its pieces from 4 on, as fairseq does: ``<s>`` is 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3, and
    ``<mask>`` comes last; ALBERT has what comes around texts among the pieces, and brings texts to a form of its own
    before the model's table does: two quotes are one, and ``9,`` is no piece.

    Attributes:
        model: content of a ``.model`` file.
        convention: ``XLM_ROBERTA`` or ``ALBERT``.
        lowercase: letters are small, one at a time.
        strip_accents: letters are taken apart (NFKD) and marks taken off.
    """

    model: bytes = dataclasses.field(repr=False)
    convention: str
    lowercase: bool = False
    strip_accents: bool = False

    def config(self) -> dict[str, Any]:
        """The content of ``tokenizer_config.json``, with the names of Hugging Face's tokenizers."""
        if self.convention == XLM_ROBERTA:
            return {"tokenizer_class": XLM_ROBERTA}
        return {"tokenizer_class": ALBERT, "do_lower_case": self.lowercase, "keep_accents": not self.strip_accents}

    @classmethod
    def of_config(cls, model: bytes, config: Mapping[str, Any], *, where: str = "the settings") -> Settings:
        """What ``tokenizer_config.json`` says; what it does not say is as in the published models.

        Raises:
            ValueError: the tokenizer is of another convention than these two, or a setting is neither true nor false.
        """
        names = set(itertools.islice(_fields_of(model, 1, 1), 20))  # control pieces come first
        own = ALBERT if {b"[CLS]", b"[SEP]", b"<pad>"} <= names else XLM_ROBERTA
        kind = str(config.get("tokenizer_class") or own).removesuffix("Fast")
        kind = own if kind == "PreTrainedTokenizer" else kind
        lowercase, accents = config.get("do_lower_case", True), config.get("keep_accents", False)
        if kind != own or not isinstance(lowercase, bool) or not isinstance(accents, bool):
            raise ValueError(
                f"Wanted the settings of {XLM_ROBERTA} or {ALBERT}, as the model's pieces are, each true or false. "
                f"Received: {kind} with do_lower_case {lowercase!r} and keep_accents {accents!r} in {where}, pieces of "
                f"{own}."
            )
        return cls(model, kind) if kind == XLM_ROBERTA else cls(model, kind, lowercase, not accents)

    @classmethod
    def beside(cls, path: str | Path) -> Settings:
        """Those of a ``.model`` file, and what ``tokenizer_config.json`` beside it says.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: as `of_config`; or what stands beside it cannot be read.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"There is no model file {path}.")
        return cls.of_config(path.read_bytes(), _json(path.with_name(CONFIG)), where=str(path.parent))

    def becomes(self, character: str) -> str:
        """What is put in the place of a character before the model's table is asked."""
        written = unicodedata.normalize("NFKD", character) if self.strip_accents else character
        kept = (part for part in written if not (self.strip_accents and unicodedata.combining(part)))
        return "".join(part.lower() if self.lowercase else part for part in kept)


class TextTokenizer:
    """Turns texts into ids of an encoder.

    Args:
        settings: the model, and what comes around its pieces.

    Raises:
        ValueError: as `Tokenizer`; or the model has other pieces than its convention wants.

    Attributes:
        vocabulary: the token of each id.
        start, padding, end, unknown: ids.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        is_albert = settings.convention == ALBERT
        self._tokenizer = Tokenizer(
            settings.model, (lambda piece: 100.0 * bool(_DIGIT_AND_COMMA.fullmatch(piece))) if is_albert else _nothing
        )
        pieces = tuple(piece.text for piece in self._tokenizer.pieces)
        around = _AROUND[settings.convention]
        if is_albert:
            fits, self.vocabulary, self._offset = set(around) <= set(pieces), pieces, 0
        else:
            fits, self.vocabulary, self._offset = pieces[:3] == ("<unk>", "<s>", "</s>"), (), 1
            self.vocabulary = (*around[:4], *pieces[3:], around[4])
        if not fits:
            raise ValueError(
                f"Wanted the pieces of {settings.convention}, {', '.join(around)} among them. Received: a model whose "
                f"first pieces are {', '.join(map(repr, pieces[:5]))}."
            )
        self.start, self.padding, self.end, self.unknown = map(self.vocabulary.index, around[:4])
        self._special = {self.start, self.padding, self.end}
        self._table = _Characters(settings)

    @classmethod
    def from_file(cls, path: str | Path) -> TextTokenizer:
        """Reads a ``.model`` file, and the settings beside it. Raises as `Settings.beside` and the class."""
        return cls(Settings.beside(path))

    def encode(self, text: str, length: int) -> list[int]:
        """Ids ``<s> ... </s> <pad> ...``, ``length`` of them; what does not fit is cut off.

        Raises:
            ValueError: if ``length`` leaves no room for a token.
        """
        if length < 3:
            raise ValueError(f"Wanted room for a token between two others: 3 ids at least. Received: {length}.")
        ids = [self.start, *self.pieces(text, length - 2), self.end]
        return ids + [self.padding] * (length - len(ids))

    def encode_pair(self, first: str, second: str, length: int) -> list[int]:
        """Ids ``[CLS] first [SEP] second [SEP]`` of ALBERT, ``<s> first </s></s> second </s>`` of XLM-R, filled up.

        What does not fit is cut off as by `wordpiece.Tokenizer.encode_pair`.

        Raises:
            ValueError: if ``length`` leaves no room for a token of each.
        """
        if length < SHORTEST_PAIR:
            raise ValueError(f"Wanted room for a token of each text: {SHORTEST_PAIR} ids at least. Received: {length}.")
        between = [self.end] * (1 if self.settings.convention == ALBERT else 2)
        parts = [self.pieces(text) for text in (first, second)]
        room = length - 2 - len(between)
        less = min(len(parts[0]), len(parts[1]), room // 2)
        counts = (less, room - less) if len(parts[0]) <= len(parts[1]) else (room - less, less)
        ids = [self.start, *parts[0][: counts[0]], *between, *parts[1][: counts[1]], self.end]
        return ids + [self.padding] * (length - len(ids))

    def pieces(self, text: str, most: int | None = None) -> list[int]:
        """Ids of a text alone, ``most`` of them at most."""
        written = _QUOTES.sub('"', text) if self.settings.convention == ALBERT else text
        found = self._tokenizer.encode(written.translate(self._table), most)
        return [self.unknown if one == self._tokenizer.unknown else one + self._offset for one in found]

    def ids_of(self, words: Iterable[str]) -> Iterator[int]:
        """The ids of the pieces of words, each as if it stood alone."""
        for word in words:
            yield from self.pieces(word)

    def words(self, text: str) -> list[str]:
        """What stands between the spaces of a text."""
        return text.split()

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each of `words` begins and ends in a text."""
        return [found.span() for found in re.finditer(r"\S+", text)]

    def decode(self, ids: Sequence[int]) -> str:
        """A text that reads like what the ids were made from; what comes around it is left out."""
        return "".join(self.vocabulary[one] for one in ids if one not in self._special).replace(SPACE, " ").strip()

    def is_special(self, number: int) -> bool:
        """Whether an id stands for what comes around a text."""
        return number in self._special

    def special_tokens(self) -> tuple[str, ...]:
        """Tokens that are no words: what comes around texts, the unknown one, and the one for what is hidden."""
        return (*_AROUND[self.settings.convention][:4], MASKS[self.settings.convention])

    def goes_on(self, number: int) -> bool:
        """Whether a piece goes on with a word instead of beginning one."""
        return not self.vocabulary[number].startswith(SPACE)


class _Characters(dict):
    """For `str.translate`: what becomes of each character, found out when it is first met."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings

    def __missing__(self, code: int) -> str:
        self[code] = written = self.settings.becomes(chr(code))
        return written


def _nothing(piece: str) -> float:
    return 0.0


def _fields_of(message: bytes, *path: int) -> Iterator[Any]:
    """The values of fields within fields, by their numbers; nothing of what is no message."""
    try:
        for field, value in _fields(message):
            if field == path[0] and len(path) == 1:
                yield value
            elif field == path[0]:
                yield from _fields_of(value, *path[1:])
    except (IndexError, ValueError, TypeError):
        return


def _json(path: Path) -> dict[str, Any]:
    """The object of a JSON file, empty where there is no such file."""
    if not path.is_file():
        return {}
    if path.stat().st_size > _LARGEST:
        raise ValueError(f"Wanted at most {_LARGEST:,} bytes of JSON. Received: {path} of more.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"Wanted an object of JSON. Received: {path}, which holds a {type(content).__name__}.")
    return content


if __name__ == "__main__":
    file, count, *texts = sys.argv[1:]
    for one in texts:
        print(*TextTokenizer.from_file(file).encode(one, int(count)))
