"""Vocabularies that texts are read with: BERT's, one in a file, or one learned from the texts themselves."""

from __future__ import annotations

import collections
import os
from collections.abc import Sequence
from pathlib import Path

from kerastl.data import bert_vocabulary
from kerastl.inputs import wordpiece

Vocabulary = str | Path | Sequence[str] | None
"""What texts are read with: ``"bert"``, the path of a file with a token a line, the tokens themselves, or ``None`` to
learn them from the texts."""


def learn_vocabulary(texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    """A vocabulary for texts of any language: their characters, which spell every word of theirs, and frequent words.

    Args:
        texts: training texts only: what is measured must not have been looked at.
        size: tokens at most.

    Returns:
        The special tokens, the most frequent characters at the beginning and within words (half of the size at most),
        then the most frequent words; equally frequent ones in the order of their code points.
    """
    words: collections.Counter[str] = collections.Counter()
    for text in texts:
        words.update(wordpiece.words(text))
    # folding makes a space and a mark of a sign such as "¨": a vocabulary file cannot hold it
    for word in [word for word in words if not word.isprintable() or " " in word]:
        del words[word]
    letters: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for place, letter in enumerate(word):
            letters[letter if place == 0 else wordpiece.SUFFIX + letter] += count
    tokens = list(wordpiece.SPECIAL)
    for counted, most in ((letters, size // 2), (words, size)):
        ranked = sorted(counted, key=lambda token: (-counted[token], token))
        known = set(tokens)
        tokens += [token for token in ranked if token not in known and not token.isspace()][: most - len(tokens)]
    return tuple(tokens)


def tokens(vocabulary: Vocabulary, texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    """The tokens themselves, of BERT's vocabulary, of a file with one a line, or for ``None`` learnt from the texts.

    Raises:
        FileNotFoundError: there is no such file, or BERT's cannot be had.
    """
    if vocabulary is None:
        return learn_vocabulary(texts, size=size)
    if not isinstance(vocabulary, str | Path):
        return tuple(vocabulary)
    if vocabulary == "bert":
        return bert_vocabulary.tokens()
    if not Path(vocabulary).is_file():
        raise FileNotFoundError(
            f"There is no vocabulary file {vocabulary}. Available without one: 'bert', and None to learn one."
        )
    return wordpiece.Tokenizer.from_file(vocabulary).vocabulary


def from_anywhere(vocabulary: Vocabulary) -> str | list[str] | None:
    """A vocabulary's name, its tokens, or a path that is the same from another working folder."""
    if vocabulary is not None and not isinstance(vocabulary, str | Path):
        return list(vocabulary)
    return None if vocabulary is None else "bert" if vocabulary == "bert" else os.path.abspath(vocabulary)
