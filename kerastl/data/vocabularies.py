"""Vocabularies that texts are read with: BERT's, one in a file, or one learned from the texts themselves."""

from __future__ import annotations

import collections
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerastl.data import bert_vocabulary
from kerastl.inputs import sentencepiece, wordpiece
from kerastl.inputs.text import Settings, Text, Tokenizer, restored, tokenizer_of

Vocabulary = str | Path | Sequence[str] | Mapping[str, Any] | None
"""What texts are read with: ``"bert"``, the path of a file with a token a line or of a SentencePiece ``.model``, the
tokens themselves, what `inputs.text.Text.described` says of texts that were read already, or ``None`` to learn the
tokens from the texts."""
MODEL = ".model"
"""Ending of a SentencePiece model's file."""


def learn_vocabulary(texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    """A vocabulary for texts of any language: their characters, which spell every word of theirs, and frequent words.

    Args:
        texts: training texts only: what is measured must not have been looked at.
        size: tokens at most.

    Returns:
        For texts that are read with `wordpiece.LEARNT`: the special tokens, the most frequent characters at the
        beginning and within words (half of the size at most), then the most frequent words; equally frequent ones in
        the order of their code points.
    """
    words: collections.Counter[str] = collections.Counter()
    for text in texts:
        words.update(wordpiece.words(text, wordpiece.LEARNT))
    for word in [word for word in words if not word.isprintable()]:  # a vocabulary file cannot hold it
        del words[word]
    letters: collections.Counter[str] = collections.Counter()
    for word, count in words.items():
        for place, letter in enumerate(word):
            first, later = letter, wordpiece.SUFFIX + letter
            letters[later if place else first] += count
            if (
                wordpiece.becomes(letter, wordpiece.LEARNT) == letter
            ):  # it may stand there too: the first to be left out
                letters[first if place else later] += 0
    tokens = list(wordpiece.SPECIAL)
    for counted, most in ((letters, size // 2), (words, size)):
        ranked = sorted(counted, key=lambda token: (-counted[token], token))
        known = set(tokens)
        tokens += [token for token in ranked if token not in known and not token.isspace()][
            : max(most - len(tokens), 0)
        ]
    return tuple(tokens)


def tokenizer(vocabulary: Vocabulary, texts: Sequence[str], *, size: int) -> Tokenizer:
    """What makes ids of texts: of the `tokens` of a vocabulary and its `settings`.

    Raises:
        FileNotFoundError, ValueError: as these two, and as the tokenizer.
    """
    brought = settings(vocabulary)
    if isinstance(brought, sentencepiece.Settings):
        return tokenizer_of((), brought)
    return wordpiece.Tokenizer(tokens(vocabulary, texts, size=size), brought)


def tokens(vocabulary: Vocabulary, texts: Sequence[str], *, size: int) -> tuple[str, ...]:
    """The tokens themselves, of BERT's vocabulary, of a file, or for ``None`` learnt from the texts.

    Raises:
        FileNotFoundError: there is no such file, or BERT's cannot be had.
    """
    if vocabulary is None:
        return learn_vocabulary(texts, size=size)
    if isinstance(vocabulary, Mapping):
        return _described(vocabulary).vocabulary
    if not isinstance(vocabulary, str | Path):
        return tuple(vocabulary)
    if vocabulary == "bert":
        return bert_vocabulary.tokens()
    if not Path(vocabulary).is_file():
        raise FileNotFoundError(
            f"There is no vocabulary file {vocabulary}. Available without one: 'bert', and None to learn one."
        )
    if str(vocabulary).endswith(MODEL):
        return tokenizer_of((), sentencepiece.Settings.beside(vocabulary)).vocabulary
    return wordpiece.Tokenizer.from_file(vocabulary).vocabulary


def settings(vocabulary: Vocabulary) -> Settings:
    """How texts are brought to it: what was published with a file, see `wordpiece.Settings.beside` and
    `sentencepiece.Settings.beside`; of a learnt one `wordpiece.LEARNT`; of BERT's and of tokens alone that of BERT's
    uncased models.

    Raises:
        FileNotFoundError: there is no such ``.model``.
        ValueError: what stands beside a file is of another tokenizer.
    """
    if vocabulary is None:
        return wordpiece.LEARNT
    if isinstance(vocabulary, Mapping):
        return _described(vocabulary).settings
    if vocabulary == "bert" or not isinstance(vocabulary, str | Path):
        return wordpiece.UNCASED
    if str(vocabulary).endswith(MODEL):
        return sentencepiece.Settings.beside(vocabulary)
    return wordpiece.Settings.beside(vocabulary)


def _described(vocabulary: Mapping[str, Any]) -> Text:
    found = restored(vocabulary)
    if found is None:
        raise ValueError(f"Wanted what texts say of themselves. Received: the keys {', '.join(vocabulary)}.")
    return found


def from_anywhere(vocabulary: Vocabulary) -> str | list[str] | dict[str, Any] | None:
    """A vocabulary's name, its tokens, or a path that is the same from another working folder."""
    if isinstance(vocabulary, Mapping):
        return dict(vocabulary)
    if vocabulary is not None and not isinstance(vocabulary, str | Path):
        return list(vocabulary)
    return None if vocabulary is None else "bert" if vocabulary == "bert" else os.path.abspath(vocabulary)
