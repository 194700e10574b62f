"""Text to token ids, as uncased BERT models read it: words, then the longest pieces that a vocabulary has.

This file needs Python and nothing else. It is also copied into the bundle for the phone, as ``tokenizer.py``:

    python tokenizer.py vocab.txt 128 "a sentence"

Ids are those of keras-hub's ``BertTokenizer(vocabulary, lowercase=True, strip_accents=True)`` and of its packing, but
that every space of Unicode separates words, a no-break space too, as in BERT's own tokenizer
(https://github.com/google-research/bert/blob/master/tokenization.py, ``_is_whitespace``). Time grows with the length of
a text and with nothing else: what one might write to keep a tokenizer busy costs no more.
"""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Tokens that stand for no piece of a text; written out in a text they are brackets and letters like any other."""
SHORTEST_PAIR = 5
"""[CLS], a token, [SEP], a token, [SEP]."""
SUFFIX = "##"
"""Begins a piece that goes on with a word."""
LONGEST_WORD = 100
"""Bytes of UTF-8; a longer word is unknown as a whole, as in keras-hub."""
_SURELY_TOO_LONG = 1000  # characters: normalization makes at most four into one, of a byte at least
_AT_ONCE = 1000  # characters
_WHITE = ("Zs", "Zl", "Zp", "Cc", "Cf")
"""Categories of characters that separate words: spaces, ends of lines and of paragraphs, controls."""
# Characters that are written without spaces between words: each is a word of its own.
_CHINESE = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
# Unicode's Default_Ignorable_Code_Point: case folding drops them.
_IGNORABLE = (
    *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
    *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
    *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
)
_DROPPED: dict[int, None] = {code: None for first, last in _IGNORABLE for code in range(first, last + 1)}


class Tokenizer:
    """Turns texts into ids of a vocabulary.

    Args:
        vocabulary: the token of each id; those of ``SPECIAL`` are among them.
        strip_accents: whether accents are left out, as they were when BERT's uncased models were trained.

    Raises:
        ValueError: if a special token is missing, or comes twice.
    """

    def __init__(self, vocabulary: Iterable[str], *, strip_accents: bool = True) -> None:
        self.vocabulary = tuple(vocabulary)
        self._ids = {token: number for number, token in enumerate(self.vocabulary)}
        missing = [token for token in SPECIAL if token not in self._ids]
        if missing:
            raise ValueError(
                f"A vocabulary holds {', '.join(SPECIAL)}. Received: {len(self.vocabulary)} tokens without "
                f"{', '.join(missing)}."
            )
        if twice := [token for token in SPECIAL if self.vocabulary.count(token) > 1]:
            raise ValueError(f"A special token has one id. Received: {', '.join(twice)} more than once.")
        self._table = _table(strip_accents)
        self._pieces = functools.lru_cache(maxsize=1 << 16)(self._pieces_of)

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads a vocabulary file: UTF-8, one token a line, its number the id."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no vocabulary {path}.")
        return cls(read_vocabulary(Path(path).read_text(encoding="utf-8")))

    def encode(self, text: str, length: int) -> list[int]:
        """Ids ``[CLS] ... [SEP] [PAD] ...``, ``length`` of them; what does not fit is cut off.

        Raises:
            ValueError: if ``length`` leaves no room for a token.
        """
        if length < 3:
            raise ValueError(f"Wanted room for [CLS], a token and [SEP]: 3 ids at least. Received: {length}.")
        ids = [self._ids[START]]
        for piece in self._all(text):
            if len(ids) == length - 1:
                break
            ids.append(piece)
        ids.append(self._ids[END])
        return ids + [self._ids[PAD]] * (length - len(ids))

    def encode_pair(self, first: str, second: str, length: int) -> list[int]:
        """Ids ``[CLS] first [SEP] second [SEP] [PAD] ...``, ``length`` of them, as BERT reads two texts.

        What does not fit is cut off at the end of the longer text, of both where both are longer than half: the
        strategy ``longest_first`` of Hugging Face's ``tokenizers``.

        Raises:
            ValueError: if ``length`` leaves no room for a token of each.
        """
        if length < SHORTEST_PAIR:
            raise ValueError(f"Wanted room for a token of each text: {SHORTEST_PAIR} ids at least. Received: {length}.")
        parts = [list(self._all(text)) for text in (first, second)]
        room = length - 3
        less = min(len(parts[0]), len(parts[1]), room // 2)
        counts = (less, room - less) if len(parts[0]) <= len(parts[1]) else (room - less, less)
        ids = [self._ids[START]]
        for part, count in zip(parts, counts, strict=True):
            ids += [*part[:count], self._ids[END]]
        return ids + [self._ids[PAD]] * (length - len(ids))

    def pieces(self, text: str) -> list[int]:
        """Ids of a text without [CLS] and [SEP], however many."""
        return list(self._all(text))

    def _all(self, text: str) -> Iterator[int]:
        start = 0
        while start < len(text):  # what is cut off need not be read; a space separates words whatever stands beside it
            end = text.find(" ", start + _AT_ONCE) + 1 or len(text)
            for word in _split(text[start:end], self._table):
                yield from self._pieces(word) if len(word) <= _SURELY_TOO_LONG else self._pieces_of(word)
            start = end

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        """Greedy: the longest piece that begins the word, then the longest that goes on with it."""
        folded = _fold(word)
        if folded is None or len(folded.encode("utf-8", "surrogatepass")) > LONGEST_WORD:
            return (self._ids[UNKNOWN],)
        pieces: list[int] = []
        start = 0
        while start < len(folded):
            for end in range(len(folded), start, -1):
                number = self._ids.get((SUFFIX if start else "") + folded[start:end])
                if number is not None:
                    pieces.append(number)
                    start = end
                    break
            else:
                return (self._ids[UNKNOWN],)
        return tuple(pieces)


def read_vocabulary(text: str) -> tuple[str, ...]:
    """The tokens of a vocabulary file's text, one a line."""
    return tuple(line.rstrip() for line in text.removesuffix("\n").split("\n"))


def words(text: str) -> list[str]:
    """The words of a text as the tokenizer compares them: folded, without accents, punctuation a word of its own.

    A word that is longer than any in a vocabulary stays as it is written.
    """
    if text.isascii():  # most texts, ten times as fast
        return _split(text.lower(), _table(True))
    return [word if (folded := _fold(word)) is None else folded for word in _split(text, _table(True))]


def decode(ids: Sequence[int], vocabulary: Sequence[str]) -> str:
    """A text that reads like what the ids were made from; [CLS], [SEP] and padding are left out."""
    written: list[str] = []
    for number in ids:
        token = vocabulary[number]
        if token in (PAD, START, END):
            continue
        if token.startswith(SUFFIX) and len(token) > len(SUFFIX) and written:
            written[-1] += token[len(SUFFIX) :]
        else:
            written.append(token)
    return " ".join(written)


class _Table(dict):
    """For `str.translate`: what becomes of each character, found out when it is first met.

    One character at a time, for normalizing a whole text takes time by the square of a row of accents.
    """

    def __init__(self, strip_accents: bool) -> None:
        super().__init__()
        self._strip_accents = strip_accents

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if self._strip_accents:
            parts = unicodedata.normalize("NFD", character)
            spaced = "".join(_spaced(part) for part in parts if unicodedata.category(part) != "Mn")
        else:
            spaced = _spaced(character)
        self[code] = spaced
        return spaced


@functools.cache
def _table(strip_accents: bool) -> _Table:
    return _Table(strip_accents)


def _spaced(character: str) -> str:
    """White space for what separates words, a space on either side of what is a word by itself."""
    category = unicodedata.category(character)
    if category in _WHITE:
        return " "
    sign = category.startswith("P") or (character.isascii() and not character.isalnum())
    return f" {character} " if sign or _lies_in(character, _CHINESE) else character


def _split(text: str, table: _Table) -> list[str]:
    return [word for word in text.translate(table).split(" ") if word]


def _fold(word: str) -> str | None:
    """NFKC case folding (Unicode 3.13, R5) of a word; ``None`` for one that is longer than any word known."""
    if word.isascii():
        return word.lower()
    if len(word) > _SURELY_TOO_LONG:
        word = word.translate(_DROPPED)
        if len(word) > _SURELY_TOO_LONG:
            return None
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold()).translate(_DROPPED)


def _lies_in(character: str, ranges: Sequence[tuple[int, int]]) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)


if __name__ == "__main__":
    file, count, *texts = sys.argv[1:]
    for one in texts:
        print(*Tokenizer.from_file(file).encode(one, int(count)))
