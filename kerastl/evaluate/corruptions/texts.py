"""Corruptions of texts at five strengths: slips of the keyboard, case, accents that nobody typed.

Typing errors as in Belinkov & Bisk 2018, https://arxiv.org/abs/1711.02173: neighbours on the keyboard, letters that
change places, are doubled or left out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import numpy as np

STRENGTHS = (1, 2, 3, 4, 5)
LEVELS: dict[str, tuple[float, ...]] = {
    "typos": (0.1, 0.2, 0.3, 0.45, 0.6),
    "case": (0.1, 0.25, 0.5, 0.75, 1.0),
    "missing_accents": (0.2, 0.4, 0.6, 0.8, 1.0),
}
"""What each strength is: the share of words with a slip, in capitals, or typed without their accents."""
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_PLAIN = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d"})


def corrupted(texts: Sequence[str], name: str, strength: int, *, seed: int = 0) -> list[str]:
    """Texts as a corruption leaves them.

    Args:
        texts: words with spaces between them; those of a writing without spaces are one word.
        name: a key of `LEVELS`.
        strength: 1 to 5.
        seed: of the words that are changed, and how; which words a weak corruption changes a stronger one changes, too.

    Raises:
        ValueError: if there is no such corruption or strength.
    """
    if name not in LEVELS or strength not in STRENGTHS:
        raise ValueError(f"Wanted one of {', '.join(LEVELS)} at 1 to 5. Received: {name!r} at {strength}.")
    level, made = LEVELS[name][strength - 1], []
    for place, text in enumerate(texts):
        random = np.random.default_rng([seed, place, *name.encode()])
        words = text.split()
        changed = random.uniform(size=len(words)) < level
        made.append(
            " ".join(_changed(word, name, random) if one else word for word, one in zip(words, changed, strict=True))
        )
    return made


def _changed(word: str, name: str, random: np.random.Generator) -> str:
    if name == "case":
        return word.upper() if word != word.upper() else word.lower()
    return without_accents(word) if name == "missing_accents" else _slip(word, random)


def without_accents(word: str) -> str:
    """As it is typed on a keyboard without accents: ``"café"`` as ``"cafe"``."""
    apart = unicodedata.normalize("NFD", word.translate(_PLAIN))
    return unicodedata.normalize("NFC", "".join(one for one in apart if not unicodedata.combining(one)))


def _slip(word: str, random: np.random.Generator) -> str:
    """One slip inside of a word; words of one letter are typed rightly."""
    if len(word) < 2:
        return word
    place, kind = int(random.integers(0, len(word) - 1)), int(random.integers(0, 4))
    before, one, other, behind = word[:place], word[place], word[place + 1], word[place + 2 :]
    if kind == 0 and one != other:
        return before + other + one + behind
    if kind == 1 and len(word) > 2:
        return before + other + behind
    if kind == 2:
        return before + one + one + other + behind
    return before + _neighbour(one, random) + other + behind


def _neighbour(letter: str, random: np.random.Generator) -> str:
    """A key beside a letter; of what is on no such key, a letter of the middle row."""
    for row in _KEYS:
        if (place := row.find(letter.lower())) >= 0:
            beside = [row[one] for one in (place - 1, place + 1) if 0 <= one < len(row)]
            found = beside[int(random.integers(0, len(beside)))]
            return found.upper() if letter.isupper() else found
    return _KEYS[1][int(random.integers(0, len(_KEYS[1])))]
