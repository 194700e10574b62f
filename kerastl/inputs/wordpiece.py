"""Text to token ids, as BERT models read it: words, then the longest pieces that a vocabulary has.

This file needs Python and nothing else. It is also copied into the bundle for the phone, as ``tokenizer.py``:

    python tokenizer.py vocab.txt 128 "a sentence"

Ids are those of Hugging Face's ``tokenizers`` (``BertNormalizer``, ``BertPreTokenizer``, ``WordPiece``), which BERT
models are published with, for every character of Unicode: that library knows marks, punctuation and controls as they
were in Unicode 8, and so does this file, whatever Python runs it. One thing is left out: ``[SEP]`` written in a text is
brackets and letters here, and no token. Time grows with the length of a text and with nothing else: what one might
write to keep a tokenizer busy costs no more.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PAD, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Tokens that stand for no piece of a text; written out in a text they are brackets and letters like any other."""
SHORTEST_PAIR = 5
"""[CLS], a token, [SEP], a token, [SEP]."""
SUFFIX = "##"
"""Begins a piece that goes on with a word."""
LONGEST_WORD = 100
"""Characters; a longer word is unknown as a whole."""
CONFIG = "tokenizer_config.json"
"""File beside a vocabulary that says how texts are brought to it, in Hugging Face's words."""
_AT_ONCE = 1000  # characters
_LARGEST = 32_000_000  # bytes of JSON
# Tokenizers of Hugging Face that do what this file does; others divide texts otherwise.
_CLASSES = ("Bert", "DistilBert", "Electra", "MobileBert", "LayoutLM", "PreTrained", "Funnel", "SqueezeBert")

# Each of these characters is a word of its own: ideographs, as BERT has them. The reference says 2B920 where BERT's
# list says 2B820, and ids are made by the reference.
_IDEOGRAPHS = (
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0x2F800, 0x2FA1F)),
)
# Scripts without spaces between words: Thai and Lao, Burmese, Khmer, kana, later ideographs.
_UNSPACED = (
    *((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x19E0, 0x19FF), (0x3005, 0x3007), (0x3040, 0x30FF)),
    *((0x31F0, 0x31FF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xFF66, 0xFF9F), (0x1B000, 0x1B16F), (0x20000, 0x323AF)),
)
# The reference knows categories as they were in Unicode 8, canonical composition and order of Unicode 9, and letters of
# Unicode 17. Python's tables are younger or older. Each range holds what has become of the kind since, and nothing that
# was of the kind before.
_NEW_MARKS = (
    *((0x7FD, 0x7FD), (0x897, 0x8E1), (0x9FE, 0x9FE), (0xAFA, 0xAFF), (0xB55, 0xB55), (0xC04, 0xC3C), (0xD00, 0xD00)),
    *((0xD3B, 0xD3C), (0xD81, 0xD81), (0xEBA, 0xEBA), (0xECE, 0xECE), (0x180F, 0x1886), (0x1ABF, 0x1AEB)),
    *((0x1DF6, 0x1DFB), (0xA82C, 0xA82C), (0xA8C5, 0xA8C5), (0xA8FF, 0xA8FF), (0xA9BD, 0xA9BD), (0x10D24, 0x10F85)),
    *((0x11070, 0x11074), (0x110C2, 0x110C2), (0x111C9, 0x111C9), (0x111CF, 0x111CF), (0x1123E, 0x11241)),
    *((0x1133B, 0x1133B), (0x113BB, 0x1145E), (0x1182F, 0x1612F), (0x16F4F, 0x16F4F), (0x16FE4, 0x16FE4)),
    *((0x1CF00, 0x1CF46), (0x1E000, 0x1E6F5), (0x1E944, 0x1E94A)),
)
_NEW_SIGNS = (
    *((0x61D, 0x61D), (0x9FD, 0xA76), (0xC77, 0xC84), (0x1B4E, 0x1B4F), (0x1B7D, 0x1B7F), (0x2E43, 0x2E5D)),
    *((0x10D6E, 0x10F89), (0x113D4, 0x1145D), (0x11660, 0x116B9), (0x1183B, 0x11FFF), (0x12FF1, 0x12FF2)),
    *((0x16D6D, 0x16FE2), (0x1E5FF, 0x1E95F)),
)
_NEW_CONTROLS = ((0x890, 0x8E2), (0x110CD, 0x1343F))
_NEW_COMPOSED = ((0x105C0, 0x105FF), (0x11380, 0x113FF), (0x11938, 0x11938), (0x16100, 0x1613F), (0x16D40, 0x16D7F))
_OLD_MARKS, _OLD_SIGNS = "\u1734\U0001171e", "\u166d\U000111c9"
"""What was a mark or a sign in Unicode 8 and is none any more."""
_NEW_CAPITALS = {
    **{0x1C89: 0x1C8A, 0xA7CB: 0x264, 0xA7CC: 0xA7CD, 0xA7CE: 0xA7CF, 0xA7D2: 0xA7D3, 0xA7D4: 0xA7D5, 0xA7DA: 0xA7DB},
    **{0xA7DC: 0x19B},
    **{code: code + 0x20 for code in range(0x10D50, 0x10D66)},
    **{code: code + 0x1B for code in range(0x16EA0, 0x16EB9)},
}
# Marks that stay and have a class of canonical order in Unicode 9.
_MOVABLE = (
    *((0x8D4, 0x8E1), (0x1B44, 0x1B44), (0x1BAA, 0x1BAA), (0x1BF2, 0x1BF3), (0x1DFB, 0x1DFB), (0x302E, 0x302F)),
    *((0xA953, 0xA953), (0xA9C0, 0xA9C0), (0x111C0, 0x111C0), (0x11235, 0x11235), (0x1134D, 0x1134D)),
    *((0x11442, 0x11446), (0x116B6, 0x116B6), (0x11C3F, 0x11C3F), (0x1D165, 0x1D166), (0x1D16D, 0x1D172)),
    *((0x1E000, 0x1E02A), (0x1E944, 0x1E94A)),
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a text is brought to a vocabulary; the default is that of BERT's uncased models.

    Attributes:
        lowercase: letters are small, one at a time: a sigma at the end of a word is like any other.
        strip_accents: marks are taken off, as when BERT's uncased models were trained; Hindi, Thai and Vietnamese lose
            vowels by it.
        split_ideographs: each Chinese character is a word.
        split_unspaced: so is each character of other scripts that have no spaces between words: Thai, Lao, Khmer,
            Burmese, Japanese. No published model does that; a learnt vocabulary does.
    """

    lowercase: bool = True
    strip_accents: bool = True
    split_ideographs: bool = True
    split_unspaced: bool = False

    def config(self) -> dict[str, Any]:
        """The content of ``tokenizer_config.json``, with the names of Hugging Face's ``BertTokenizer``."""
        config = {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "strip_accents": self.strip_accents,
            "tokenize_chinese_chars": self.split_ideographs,
        }
        return config | ({"tokenize_unspaced_scripts": True} if self.split_unspaced else {})

    @classmethod
    def of_config(cls, config: Mapping[str, Any], *, where: str = "the settings") -> Settings:
        """What ``tokenizer_config.json`` says; what it does not say is as in BERT's uncased models.

        Raises:
            ValueError: if it is of another tokenizer than BERT's, or a setting is neither true nor false.
        """
        if not isinstance(config, Mapping):
            raise ValueError(f"Wanted the settings of a tokenizer by their names. Received: {config!r} in {where}.")
        kind = str(config.get("tokenizer_class") or "BertTokenizer").removesuffix("Fast").removesuffix("Tokenizer")
        names = ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "tokenize_unspaced_scripts")
        found = {name: config[name] for name in names if config.get(name) is not None}
        if kind not in _CLASSES or not all(isinstance(value, bool) for value in found.values()):
            raise ValueError(
                "Wanted the settings of a BertTokenizer, each true or false. Received: "
                f"{config.get('tokenizer_class')} with {found} in {where}."
            )
        lowercase = found.get("do_lower_case", True)
        accents, ideographs = found.get("strip_accents", lowercase), found.get("tokenize_chinese_chars", True)
        return cls(lowercase, accents, ideographs, found.get("tokenize_unspaced_scripts", False))

    @classmethod
    def beside(cls, vocabulary: str | Path) -> Settings:
        """Those that were published with a vocabulary file: in ``tokenizer_config.json`` beside it, in Hugging Face's
        ``tokenizer.json``, or in that of the keras-hub preset whose vocabulary it is; else the default.

        Raises:
            ValueError: as `of_config`; or such a file cannot be read, or describes another tokenizer.
        """
        path = Path(vocabulary)
        config: dict[str, Any] = {}
        fast, preset = _json(path.with_name("tokenizer.json")), {}
        if "normalizer" in fast:
            config = _of_normalizer(fast, where=path.with_name("tokenizer.json"))
        if path.parts[-3:-1] == ("assets", "tokenizer"):
            preset = _json(path.parents[2] / "tokenizer.json").get("config", {})
        if isinstance(preset, Mapping) and "lowercase" in preset:  # accents are not asked: presets forgot them
            config |= {"do_lower_case": preset["lowercase"], "tokenize_chinese_chars": preset.get("split_on_cjk")}
        return cls.of_config(config | _json(path.with_name(CONFIG)), where=str(path.parent))


UNCASED = Settings()
LEARNT = Settings(strip_accents=False, split_unspaced=True)
"""Of vocabularies that are learnt from texts of any language."""


class Tokenizer:
    """Turns texts into ids of a vocabulary.

    Args:
        vocabulary: the token of each id; those of ``SPECIAL`` are among them.
        settings: how texts are brought to it.

    Raises:
        ValueError: if a special token is missing, or comes twice.

    Attributes:
        start, padding, end, unknown: ids of [CLS], [PAD], [SEP] and [UNK].
    """

    def __init__(self, vocabulary: Iterable[str], settings: Settings = UNCASED) -> None:
        self.vocabulary = tuple(vocabulary)
        self.settings = settings
        self._ids = {token: number for number, token in enumerate(self.vocabulary)}
        missing = [token for token in SPECIAL if token not in self._ids]
        if missing:
            raise ValueError(
                f"A vocabulary holds {', '.join(SPECIAL)}. Received: {len(self.vocabulary)} tokens without "
                f"{', '.join(missing)}."
            )
        if twice := [token for token in SPECIAL if self.vocabulary.count(token) > 1]:
            raise ValueError(f"A special token has one id. Received: {', '.join(twice)} more than once.")
        self.start, self.padding, self.end, self.unknown = (self._ids[token] for token in (START, PAD, END, UNKNOWN))
        self._pieces = functools.lru_cache(maxsize=1 << 16)(self._pieces_of)

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Reads a vocabulary file, UTF-8, one token a line, its number the id; and the settings beside it.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: as `Settings.beside`, and if a special token is missing.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"There is no vocabulary {path}.")
        return cls(read_vocabulary(Path(path).read_text(encoding="utf-8")), Settings.beside(path))

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
            yield from self.ids_of(words(text[start:end], self.settings))
            start = end

    def ids_of(self, words: Iterable[str]) -> Iterator[int]:
        """The ids of the pieces of words, as `words` gives them; of an unknown word one."""
        for word in words:
            yield from self._pieces(word) if len(word) <= LONGEST_WORD else (self._ids[UNKNOWN],)

    def words(self, text: str) -> list[str]:
        """The words of a text as the tokenizer compares them, see `words`."""
        return words(text, self.settings)

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where each of `words` begins and ends in a text as it was written, its accents and capitals included."""
        found: list[tuple[int, int]] = []
        start = end = -1
        table = _table(self.settings)
        for place, character in enumerate(text):
            written = table[ord(character)].replace(BARRIER, "")
            if not written and start >= 0:  # a mark that is taken off
                end = place + 1
            for part in written:
                if part == " " and start >= 0:
                    found.append((start, end))
                if part == " ":
                    start = -1
                else:
                    start, end = place if start < 0 else start, place + 1
        return [*found, (start, end)] if start >= 0 else found

    def decode(self, ids: Sequence[int]) -> str:
        """A text that reads like what the ids were made from, see `decode`."""
        return decode(ids, self.vocabulary)

    def is_special(self, number: int) -> bool:
        """Whether an id stands for what comes around a text."""
        return number in (self.start, self.padding, self.end)

    def goes_on(self, number: int) -> bool:
        """Whether a piece goes on with a word instead of beginning one."""
        token = self.vocabulary[number]
        return token.startswith(SUFFIX) and token != SUFFIX

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        """Greedy: the longest piece that begins the word, then the longest that goes on with it."""
        pieces: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                number = self._ids.get((SUFFIX if start else "") + word[start:end])
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


def words(text: str, settings: Settings = UNCASED) -> list[str]:
    """The words of a text as the tokenizer compares them, punctuation a word of its own."""
    table = _table(settings)
    spaced = text.translate(table)
    if not table.orders.keys().isdisjoint(spaced):
        spaced = _ordered(spaced, table.orders)
    return [word for word in spaced.replace(BARRIER, "").split(" ") if word]


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


BARRIER = "\0"
"""Stands for a mark that was taken off and that no other mark may move across; never part of a word."""


def becomes(character: str, settings: Settings) -> str:
    """What a tokenizer puts in the place of a character: nothing, a space, or other characters; a space on either side
    of what is a word by itself, and `BARRIER` for some marks that are taken off.
    """
    category = unicodedata.category(character)
    if character in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
        return " "
    if category in ("Cc", "Co") or (category == "Cf" and not _lies_in(character, _NEW_CONTROLS)):
        return ""
    if character == "\ufffd":  # what was no text where it came from
        return ""
    decomposed = settings.strip_accents and not _lies_in(character, _NEW_COMPOSED)
    written = ""
    for part in unicodedata.normalize("NFD", character) if decomposed else character:
        if settings.strip_accents and _is_mark(part):
            written += "" if unicodedata.combining(part) else BARRIER
        else:
            small = chr(_NEW_CAPITALS.get(ord(part), 0)).strip(BARRIER) or part.lower() if settings.lowercase else part
            written += "".join(f" {letter} " if _is_sign(letter) else letter for letter in small)
    alone = settings.split_ideographs and _lies_in(character, _IDEOGRAPHS)
    alone |= settings.split_unspaced and _lies_in(character, _UNSPACED)
    return f" {written} " if alone else written


def order(character: str, settings: Settings) -> int:
    """The class by which marks in a row are put in order (Unicode 3.11), 0 of what stays in its place."""
    place = unicodedata.combining(character) if settings.strip_accents else 0
    return place if place and _lies_in(character, _MOVABLE) else 0


class _Table(dict):
    """For `str.translate`: what becomes of each character, found out when it is first met.

    One character at a time, for normalizing a whole text takes time by the square of a row of accents.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, self.orders = settings, dict[str, int]()

    def __missing__(self, code: int) -> str:
        self[code] = written = becomes(chr(code), self.settings)
        self.orders |= {part: place for part in written if (place := order(part, self.settings))}
        return written


@functools.cache
def _table(settings: Settings) -> _Table:
    return _Table(settings)


def _ordered(text: str, orders: Mapping[str, int]) -> str:
    """A text with each row of marks in canonical order."""
    done: list[str] = []
    row: list[str] = []
    for character in text:
        if character in orders:
            row.append(character)
            continue
        done += sorted(row, key=orders.__getitem__)
        row.clear()
        done.append(character)
    return "".join(done + sorted(row, key=orders.__getitem__))


def _is_mark(character: str) -> bool:
    is_mark = unicodedata.category(character) == "Mn" and not _lies_in(character, _NEW_MARKS)
    return is_mark or character in _OLD_MARKS


def _is_sign(character: str) -> bool:
    if character.isascii():
        return character.isprintable() and not character.isalnum() and character != " "
    is_sign = unicodedata.category(character).startswith("P") and not _lies_in(character, _NEW_SIGNS)
    return is_sign or character in _OLD_SIGNS


def _lies_in(character: str, ranges: Sequence[tuple[int, int]]) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)


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


def _of_normalizer(fast: Mapping[str, Any], *, where: Path) -> dict[str, Any]:
    """Hugging Face's ``tokenizer.json`` in the words of ``tokenizer_config.json``.

    Raises:
        ValueError: its texts are brought to the vocabulary in another way than BERT's.
    """
    normalizer, model = fast["normalizer"], fast.get("model") or {}
    kinds = [one.get("type") if isinstance(one, Mapping) else one for one in (normalizer, model)]
    if kinds[0] != "BertNormalizer" or kinds[1] not in ("WordPiece", None) or normalizer.get("clean_text") is False:
        raise ValueError(
            "Wanted a tokenizer that is a BertNormalizer, which cleans texts, and a WordPiece. Received: "
            f"{' and '.join(map(str, kinds))} in {where}."
        )
    return {
        "do_lower_case": normalizer.get("lowercase"),
        "strip_accents": normalizer.get("strip_accents"),
        "tokenize_chinese_chars": normalizer.get("handle_chinese_chars"),
    }


if __name__ == "__main__":
    file, count, *texts = sys.argv[1:]
    for one in texts:
        print(*Tokenizer.from_file(file).encode(one, int(count)))
